"""Set up and run brokergate from a checkout, with nothing but Python and pip.

    python3 packaging/dev.py demo [ARGUMENTS]      the demo: three simulators, one order
    python3 packaging/dev.py test [ARGUMENTS]      the tests; arguments go to pytest
    python3 packaging/dev.py lint | types          ruff; mypy
    python3 packaging/dev.py run COMMAND...        a command of the environment, as in `run python`

The environment is `.venv` in the checkout; the brokers' official SDKs and schemathesis, whose pins
clash with ours, get environments of their own under `.venvs`. Everything is installed from files
that pin every package by hash. A stamp, written last, says what an environment holds: one without
its stamp was interrupted, and is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)
STAMP = "brokergate-stamp.json"
MARK = "made-by-brokergate"
SDKS = ("fyers", "mstock")
SCHEMATHESIS = ROOT / "tests" / "trust" / "schema-requirements.txt"
# Most tests wait for sockets and timers, so more of them than cores run side by side. On a machine
# that stood still for seconds one may run out of patience: it is tried again, which the summary
# says. Never again: what shows a doubled or lost order (tests/conftest.py). The longest files begin
# first, as put in order there: by itself xdist begins with those of the most tests.
WHOLE_SUITE = [
    *("-n", "5", "--dist", "loadfile", "--no-loadscope-reorder"),
    *("--reruns", "2", "--reruns-delay", "2", "-rR"),
]
OLDEST_PIP_FOR_OTHER_ENVIRONMENTS = (22, 3)


class SetupError(Exception):
    """Setting up failed; the text says what to do."""


def main(arguments: list[str]) -> int:
    use_a_suitable_python()
    commands = {"demo": demo, "test": test, "lint": lint, "types": types, "run": run}
    if not arguments or arguments[0] not in commands:
        print(__doc__)
        return 0 if arguments[:1] in (["-h"], ["--help"], ["help"]) else 2
    try:
        return commands[arguments[0]](arguments[1:])
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next run goes on from a clean state.", file=sys.stderr)
        return 130


def demo(arguments: list[str]) -> int:
    environment = project_environment(for_development=False)
    return become(environment.program("brokergate"), "demo", *arguments)


def test(arguments: list[str]) -> int:
    environment = project_environment(for_development=True)
    for broker in SDKS:
        sdk_environment(broker)
    other_environment("schemathesis", SCHEMATHESIS, "schemathesis")
    os.chdir(ROOT)
    chosen = arguments or WHOLE_SUITE
    return become(environment.program("python"), "-m", "pytest", *chosen)


def lint(arguments: list[str]) -> int:
    environment = project_environment(for_development=True)
    os.chdir(ROOT)
    ruff = environment.program("ruff")
    checked = subprocess.run([ruff, "check", *arguments], check=False).returncode
    formatted = subprocess.run([ruff, "format", "--check", *arguments], check=False).returncode
    return checked or formatted


def types(arguments: list[str]) -> int:
    environment = project_environment(for_development=True)
    os.chdir(ROOT)
    return become(environment.program("python"), "-m", "mypy", *arguments)


def run(arguments: list[str]) -> int:
    if not arguments:
        raise SetupError("run what? For example: packaging/dev.py run python -m benchmarks")
    environment = project_environment(for_development=True)
    return become(environment.program(arguments[0]), *arguments[1:])


class Environment:
    """A virtual environment that is trusted only as far as its stamp says.

    The stamp holds a digest per layer of what was installed. It is taken away before anything
    is touched and written after everything succeeded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stamp = folder / STAMP

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def holds(self, layers: dict[str, str]) -> bool:
        """Whether every layer is installed as wanted."""
        return layers.items() <= self.layers().items()

    def layers(self) -> dict[str, str]:
        """Return what is installed; nothing when the environment is not to be trusted."""
        try:
            stamp = json.loads(self._stamp.read_text())
            usable = stamp["basis"] == self._basis() and Path(self.program("python")).exists()
            return dict(stamp["layers"]) if usable else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def _basis(self) -> list[str]:
        # Scripts in an environment name it by its absolute path: a moved checkout needs another.
        return [sys.version, os.path.realpath(sys.executable), str(self.folder)]

    def make(self, layers: dict[str, str], install: Callable[[], None]) -> None:
        """Create the environment if need be, run `install`, and vouch for the result."""
        if not self.layers():
            self._create()
        self._stamp.unlink(missing_ok=True)
        install()
        written = self._stamp.with_suffix(".new")
        written.write_text(json.dumps({"basis": self._basis(), "layers": layers}))
        written.replace(self._stamp)

    def _create(self) -> None:
        mark = self.folder / MARK
        if self.folder.is_symlink() or (self.folder.exists() and not mark.exists()):
            # An empty folder is all that an interruption before the mark can leave.
            if self.folder.is_symlink() or any(self.folder.iterdir()):
                raise SetupError(
                    f"{self.folder} was made by something else. Move it away or delete it, "
                    "then run this again."
                )
        elif mark.exists():
            say(f"Removing {self.folder.name}, whose set-up is out of date or was interrupted")
            empty_but_for(mark)
        say(f"Making {self.folder.name} with Python {sys.version.split()[0]}")
        self.folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        create_virtual_environment(self.folder)

    def pip_install(self, *arguments: str, what: str) -> None:
        """Install, with progress on screen and pip's own words only when it fails."""
        python = self.program("python")
        own_pip = subprocess.run(
            [python, "-m", "pip", "--version"], capture_output=True, check=False
        )
        pip = [python, "-m", "pip"] if own_pip.returncode == 0 else pip_from_outside(python)
        command = [*pip, "--disable-pip-version-check", "install", "--no-input", *arguments]
        began = time.monotonic()
        output = follow(command, what)
        if output is not None:
            raise SetupError(
                f"Installing {what} failed. pip said:\n\n{output}\n\nIf that is the network, try "
                "again; what was done so far is not relied on."
            )
        say(f"Installed {what} in {time.monotonic() - began:.0f} s")


def project_environment(*, for_development: bool) -> Environment:
    """Return `.venv` with the pinned packages and brokergate itself, installed if need be."""
    environment = Environment(ROOT / ".venv")
    runtime, development = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
    # The digest covers the metadata, which names the commands and the adapters.
    layers = {"runtime": digest_of(runtime, ROOT / "pyproject.toml")}
    if for_development:
        layers["development"] = digest_of(runtime, development, ROOT / "pyproject.toml")
    if environment.holds(layers):
        return environment

    def install() -> None:
        pins = development if for_development else runtime
        what = f"{count_of(pins)} packages"
        environment.pip_install(*pinned(pins), "--only-binary", ":all:", what=what)
        here = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        environment.pip_install(*here, what="brokergate")

    with lock(ROOT / ".venvs" / "lock"):
        if not environment.holds(layers):
            environment.make(layers, install)
    return environment


def sdk_environment(broker: str) -> None:
    """Make `.venvs/<broker>-sdk`, if that broker's SDK is to be tested against."""
    pins = ROOT / "tests" / broker / "sdk-requirements.txt"
    other_environment(f"{broker}-sdk", pins, f"{broker}'s official SDK")


def other_environment(name: str, pins: Path, what: str) -> None:
    """Make `.venvs/<name>`, whose packages clash with ours, if there is a file of pins for it.

    Without BROKERGATE_REQUIRE_SDK=1 a failure is only told: the tests that need it are skipped.
    """
    if not pins.exists():
        return
    environment = Environment(ROOT / ".venvs" / name)
    layers = {"sdk": digest_of(pins)}
    try:
        with lock(ROOT / ".venvs" / "lock"):
            if not environment.holds(layers):
                environment.make(layers, lambda: environment.pip_install(*pinned(pins), what=what))
    except SetupError as error:
        if os.environ.get("BROKERGATE_REQUIRE_SDK") == "1":
            raise
        say(f"Going on without {what}, whose tests are skipped. {error}")


def pinned(pins: Path) -> tuple[str, ...]:
    if "--hash=" in pins.read_text():
        return ("--require-hashes", "--requirement", str(pins))
    return ("--requirement", str(pins))


def count_of(pins: Path) -> int:
    return sum("==" in line for line in pins.read_text().splitlines())


def digest_of(*files: Path) -> str:
    digests = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return " ".join(digests)


def use_a_suitable_python() -> None:
    """Go on in a Python of a supported version, if this one is not."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if (
            found
            and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            os.execv(found, [found, __file__, *sys.argv[1:]])
    mine = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] > NEWEST:
        say(f"Python {mine} is newer than any this was tried with (3.13); going on with it")
        return
    print(
        f"brokergate needs Python 3.11 to 3.13; this is {mine} and no other was found.\n"
        "On Debian 12 or Ubuntu 24.04 and later: sudo apt install python3 python3-venv",
        file=sys.stderr,
    )
    raise SystemExit(1)


def create_virtual_environment(folder: Path) -> None:
    """Fill `folder` with a virtual environment, without pip where this Python has none to give."""
    if importlib.util.find_spec("venv") is None:
        raise SetupError(
            "This Python has no venv module. On Debian and Ubuntu: sudo apt install python3-venv"
        )
    with_pip = importlib.util.find_spec("ensurepip") is not None
    for extra in [[], ["--without-pip"]] if with_pip else [["--without-pip"]]:
        command = [sys.executable, "-m", "venv", *extra, str(folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False, close_fds=False)
        if made.returncode == 0:
            return
    raise SetupError(f"Making the environment failed:\n\n{made.stdout}{made.stderr}".rstrip())


def pip_from_outside(python: str) -> list[str]:
    """Return how this Python's own pip installs into an environment that has none."""
    own = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False
    )
    advice = "On Debian and Ubuntu: sudo apt install python3-venv, then run this again."
    if own.returncode != 0:
        raise SetupError(f"This Python has neither pip nor ensurepip. {advice}")
    version = own.stdout.split()[1]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PIP_FOR_OTHER_ENVIRONMENTS:
        raise SetupError(
            f"This Python has no ensurepip, and its pip {version} is too old. {advice}"
        )
    return [sys.executable, "-m", "pip", "--python", python]


def follow(command: list[str], what: str) -> str | None:
    """Run pip and show how far it is; return what it said if it failed, None if it did not."""
    environ = {
        name: value
        for name, value in os.environ.items()
        # These would send the packages elsewhere.
        if name not in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME")
    }
    # Fyers' SDK pins an aiohttp from before Python 3.13, which needs no compiler this way.
    environ["AIOHTTP_NO_EXTENSIONS"] = "1"
    lines: list[str] = []
    seen = 0
    live = sys.stdout.isatty()
    if not live:
        say(f"Installing {what}")
    with subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("Collecting "):
                seen += 1
            if live:
                print(
                    f"\r\033[K  {what}: {seen} found, {lines[-1].strip()[:60]}", end="", flush=True
                )
    if live:
        print("\r\033[K", end="", flush=True)
    return "\n".join(lines[-25:]) if process.returncode != 0 else None


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Let one process at a time set environments up; released by the system if it dies.

    The children that work on an environment inherit the lock (`close_fds=False`): should this
    process be killed, the next one waits until they have ended, before it clears up.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up of this checkout to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def empty_but_for(mark: Path) -> None:
    """Empty the mark's folder, the mark last, so that an interruption leaves it recognisable."""
    for entry in mark.parent.iterdir():
        if entry == mark:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def become(program: str, *arguments: str) -> int:
    """Replace this process by `program`, so that its signals and exit status are the command's."""
    sys.stdout.flush()
    try:
        os.execv(program, [program, *arguments])
    except OSError as error:
        raise SetupError(f"Cannot start {program}: {error.strerror}") from error


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

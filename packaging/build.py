"""Build brokergate as one program that needs no Python, with PyInstaller.

    python3 packaging/build.py [--folder]      --folder: that form of it only

It makes in `dist/`:

    brokergate/                              the program as a folder: `brokergate/brokergate`
    brokergate-VERSION-linux-MACHINE         the same in one file
    brokergate-VERSION-linux-MACHINE.tar.gz  the folder, packed
    SHA256SUMS                               of the two

The environment is `.venvs/build`, installed from `packaging/requirements-binary.txt`, which pins
every package by hash. A binary runs on Linux of the same machine type with a C library at least
as new as the one that it was built with: build on the oldest system that it has to run on.
"""

from __future__ import annotations

import gzip
import os
import platform
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import dev

PINS = dev.ROOT / "packaging" / "requirements-binary.txt"
SPEC = dev.ROOT / "packaging" / "brokergate.spec"
DIST = dev.ROOT / "dist"
FOLDER = DIST / "brokergate"
# Not `build`: a folder of that name would be taken for the package of this file.
WORK = dev.ROOT / ".venvs" / "pyinstaller"
# Tells the spec which of the two to make.
FORMS = "BROKERGATE_FORMS"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--folder"]):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    dev.use_a_suitable_python()
    try:
        build(only_folder=bool(arguments))
    except dev.SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def build(*, only_folder: bool) -> None:
    python = build_environment().program("python")
    began, when = time.monotonic(), commit_time()
    # Files of another version would be tried and summed up with the new ones.
    for old in DIST.glob(f"brokergate-*-linux-{platform.machine()}*"):
        old.unlink()
    command = [python, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN"]
    places = ["--distpath", str(DIST), "--workpath", str(WORK)]
    # The same input should give the same bytes.
    environ = os.environ | {"PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": str(when)}
    environ[FORMS] = "folder" if only_folder else "folder file"
    done = subprocess.run([*command, *places, str(SPEC)], env=environ, check=False)
    if done.returncode != 0:
        raise dev.SetupError("PyInstaller failed; what it said stands above.")
    made = [FOLDER] if only_folder else [FOLDER, *files(python, when)]
    for path in made:
        dev.say(f"{size_of(path) / 1e6:7.1f} MB  {path.relative_to(dev.ROOT)}")
    dev.say(f"Built in {time.monotonic() - began:.0f} s")


def files(python: str, when: int) -> list[Path]:
    """Pack the folder beside the one file, and write the sums of both; return both."""
    [one_file] = DIST.glob(f"brokergate-{version(python)}-linux-*")
    packed = pack(one_file.with_name(one_file.name + ".tar.gz"), when)
    sums = "".join(f"{dev.digest_of(path)}  {path.name}\n" for path in (one_file, packed))
    (DIST / "SHA256SUMS").write_text(sums)
    return [one_file, packed]


def build_environment() -> dev.Environment:
    """Return `.venvs/build` with the pinned packages and brokergate itself."""
    environment = dev.Environment(dev.ROOT / ".venvs" / "build")
    layers = {"build": dev.digest_of(PINS, dev.ROOT / "pyproject.toml")}

    def install() -> None:
        what = f"{dev.count_of(PINS)} packages"
        environment.pip_install(*dev.pinned(PINS), "--only-binary", ":all:", what=what)
        here = ("--no-deps", "--no-build-isolation", "--editable", str(dev.ROOT))
        environment.pip_install(*here, what="brokergate")

    with dev.lock(dev.ROOT / ".venvs" / "lock"):
        if not environment.holds(layers):
            environment.make(layers, install)
    return environment


def version(python: str) -> str:
    code = "from importlib.metadata import version; print(version('brokergate'))"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit_time() -> int:
    """When what is built was committed; outside a repository, when this is run."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(dev.ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return int(time.time())


def pack(target: Path, when: int) -> Path:
    """Pack the folder so that equal folders give equal archives."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = when
        return entry

    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=when) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path in sorted(FOLDER.rglob("*")):
            name = str(path.relative_to(DIST))
            archive.add(path, name, recursive=False, filter=plain)
    return target


def size_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Setting up a checkout: an environment is trusted only when its stamp says that it is whole."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "packaging" / "dev.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("brokergate_dev", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script()
    # Environments without pip are made in a moment and need no network.
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: name != "ensurepip" or None
    )
    return module


WANTED = {"runtime": "digest"}


def test_finished_environment_is_trusted_for_what_it_holds(dev: ModuleType, tmp_path: Path) -> None:
    environment = dev.Environment(tmp_path / "env")
    assert not environment.holds(WANTED)
    environment.make(WANTED, lambda: None)
    assert environment.holds(WANTED)
    assert not environment.holds({"runtime": "another digest"})
    assert not environment.holds({**WANTED, "development": "digest"})
    python = environment.program("python")
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0


def test_interrupted_installation_is_not_trusted_and_is_made_anew(
    dev: ModuleType, tmp_path: Path
) -> None:
    environment = dev.Environment(tmp_path / "env")
    environment.make(WANTED, lambda: None)

    def interrupted() -> None:
        (environment.folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment.make({"runtime": "newer"}, interrupted)
    assert not environment.holds(WANTED)
    environment.make(WANTED, lambda: None)
    assert environment.holds(WANTED)
    assert not (environment.folder / "half").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"basis": 1, "layers": 2}', "\x00"])
def test_damaged_stamp_is_not_trusted(dev: ModuleType, tmp_path: Path, content: str) -> None:
    environment = dev.Environment(tmp_path / "env")
    environment.make(WANTED, lambda: None)
    (environment.folder / dev.STAMP).write_text(content)
    assert not environment.holds(WANTED)


def test_moved_environment_is_not_trusted(dev: ModuleType, tmp_path: Path) -> None:
    dev.Environment(tmp_path / "env").make(WANTED, lambda: None)
    (tmp_path / "env").rename(tmp_path / "moved")
    assert not dev.Environment(tmp_path / "moved").holds(WANTED)


def test_environment_whose_python_is_gone_is_not_trusted(dev: ModuleType, tmp_path: Path) -> None:
    environment = dev.Environment(tmp_path / "env")
    environment.make(WANTED, lambda: None)
    Path(environment.program("python")).unlink()
    assert not environment.holds(WANTED)


def test_somebody_elses_environment_is_left_alone(dev: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / "precious").touch()
    with pytest.raises(dev.SetupError, match="made by something else"):
        dev.Environment(folder).make(WANTED, lambda: None)
    assert (folder / "precious").exists()


def test_without_pip_and_ensurepip_the_remedy_is_told(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, complaint in (("exit 1", "neither pip nor"), ("echo pip 21.3 from x", "too old")):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{words}\n")
        python.chmod(0o755)
        monkeypatch.setattr(dev.sys, "executable", str(python))
        with pytest.raises(dev.SetupError, match=f"{complaint}.*apt install python3-venv"):
            dev.pip_from_outside("python")


def test_lock_outlives_a_killed_process_until_its_installer_ends(tmp_path: Path) -> None:
    """The installer here waits for a file; the lock must not be had before it is there."""
    program = f"""
import importlib.util, subprocess, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("dev", {str(SCRIPT)!r})
dev = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dev)
installer = "import pathlib, time\\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\\n"
installer += "pathlib.Path('ended').touch()"
with dev.lock(Path("lock")):
    if sys.argv[1] == "first":
        child = subprocess.Popen([sys.executable, "-c", installer], close_fds=False)
        Path("started").touch()
        child.wait()
    else:
        print(Path("ended").exists())
"""
    command = [sys.executable, "-c", program]
    first = subprocess.Popen([*command, "first"], cwd=tmp_path)
    while not (tmp_path / "started").exists():
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.Popen([*command, "second"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    assert second.stdout.readline().startswith("Waiting for another set-up")
    (tmp_path / "go").touch()
    output, _ = second.communicate(timeout=60)
    assert output == "True\n"

"""The frozen program in both its forms, where it was built.

`packaging/build.py` builds it; BROKERGATE_BINARIES names the folder that it was put into.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.cli.conftest import ROOT, Program, stop

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
VARIABLE = "BROKERGATE_BINARIES"


def binaries() -> dict[str, Path]:
    """The folder's program and the one file, where they are to be tested."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return {}
    dist = ROOT / folder
    [one_file] = [path for path in dist.glob("brokergate-*-linux-*") if path.suffix != ".gz"]
    return {"folder": dist / "brokergate" / "brokergate", "file": one_file}


@pytest.fixture(params=["folder", "file"])
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = binaries()
    if not found:
        pytest.skip(f"{VARIABLE} names no folder: run `just build`")
    monkeypatch.setattr("tests.cli.conftest.PROGRAM", [str(found[request.param])])
    return found[request.param]


def _end_with_parent() -> None:
    """Have the kernel tell the program to stop where its tester is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class BinaryProgram(Program):
    """Its processes end with the test, and with the one who tests, in whichever way those end.

    The one file is two processes: a kill of the first leaves the other behind, so each start is a
    group of its own, which is killed as a whole.
    """

    how: ClassVar[dict[str, Any]] = {"start_new_session": True, "preexec_fn": _end_with_parent}

    def end(self, process: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def stop_all(self) -> None:
        """Tell each to stop first, so that it can take its unpacked files away."""
        for process in self._started:
            if process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    stop(process)
        super().stop_all()


@pytest.fixture
def program(binary: Path) -> Iterator[Program]:
    # Short, because a control socket's path may have 107 bytes and pytest's own are long.
    folder = Path(tempfile.mkdtemp(prefix="bg-bin-"))
    program = BinaryProgram(folder)
    # So that nothing can come from the source tree or from an interpreter.
    program.environ["PATH"] = "/nowhere"
    del program.environ["PYTHONPATH"]
    try:
        yield program
    finally:
        program.stop_all()
        shutil.rmtree(folder)


@pytest.fixture
def home(program: Program) -> Program:
    made = program.run("init", "--broker", "fyers", "--broker", "mstock", "--broker", "hdfc")
    assert 0 == made.returncode, made.stderr
    return program

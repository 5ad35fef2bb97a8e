"""The frozen program in both its forms, where it was built.

`packaging/build.py` builds it; BROKERGATE_BINARIES names the folder that it was put into.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Program, stop

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


@pytest.fixture
def program(binary: Path) -> Iterator[Program]:
    # Short, because a control socket's path may have 107 bytes and pytest's own are long.
    folder = Path(tempfile.mkdtemp(prefix="bg-bin-"))
    program = Program(folder)
    # So that nothing can come from the source tree or from an interpreter.
    program.environ["PATH"] = "/nowhere"
    del program.environ["PYTHONPATH"]
    try:
        yield program
    finally:
        # Told, not killed: the one file is two processes, and a killed one leaves the other behind.
        for process in program._started:
            if process.poll() is None:
                stop(process)
        program.stop_all()
        shutil.rmtree(folder)


@pytest.fixture
def home(program: Program) -> Program:
    made = program.run("init", "--broker", "fyers", "--broker", "mstock", "--broker", "hdfc")
    assert 0 == made.returncode, made.stderr
    return program

"""Nothing that a test of the frozen program starts outlives it, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import children_of, read_until, wait_until_gone
from tests.packaging.conftest import BinaryProgram

# As the one file is: a process that waits for the one that does the work. Neither can be told.
_TWO = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os.wait()
print("up", flush=True)
time.sleep(600)
"""
_TESTER = """
import sys, time
from pathlib import Path
import tests.cli.conftest as cli
from tests.packaging.conftest import BinaryProgram
cli.PROGRAM[:] = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
process = BinaryProgram(Path(sys.argv[1])).start()
cli.read_until(process, "up")
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BinaryProgram:
    monkeypatch.setattr("tests.cli.conftest.PROGRAM", [sys.executable, "-c", _TWO])
    monkeypatch.setattr("tests.cli.conftest.DEADLINE_S", 1.0)
    return BinaryProgram(tmp_path)


def test_both_halves_end_where_they_do_not_listen(
    stubborn: BinaryProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = stubborn.start()
    read_until(process, "up")
    halves = [process.pid, *children_of(process.pid)]
    assert 2 == len(halves)

    stubborn.stop_all()

    monkeypatch.undo()
    wait_until_gone(halves)


def test_a_command_that_takes_too_long_is_ended_with_its_child(
    stubborn: BinaryProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    end = stubborn.end

    def note(process: subprocess.Popen[str]) -> None:
        seen.extend([process.pid, *children_of(process.pid)])
        end(process)

    monkeypatch.setattr(stubborn, "end", note)
    with pytest.raises(subprocess.TimeoutExpired):
        stubborn.run()

    monkeypatch.undo()
    assert 2 == len(seen)
    wait_until_gone(seen)


def test_a_tester_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    tester = subprocess.Popen(
        [sys.executable, "-c", _TESTER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with tester:
        assert tester.stdout is not None
        started = int(tester.stdout.readline())
        tester.send_signal(signal.SIGKILL)

    wait_until_gone([started])

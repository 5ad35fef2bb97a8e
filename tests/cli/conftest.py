"""The real program in processes of its own, in a folder that nothing else uses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "gateway.cli.main"]
DEADLINE_S = 30.0


class Program:
    """Runs `brokergate`; whatever is still running at the end of the test is killed.

    `how` is passed on to each process that is made.
    """

    how: dict[str, Any] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("BROKERGATE_")
        }
        self.environ |= {
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "TMPDIR": str(self.scratch),
            "PYTHONWARNINGS": "error::ResourceWarning",
        }
        self.environ.pop("XDG_CONFIG_HOME", None)
        self._started: list[subprocess.Popen[str]] = []

    def run(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environ | (env or {}),
            **self.how,
        )
        with process:
            try:
                said, complained = process.communicate(stdin, timeout=DEADLINE_S)
            except BaseException:
                self.end(process)
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """Run with `--json` and return what it printed; the command must succeed."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert (done.returncode, done.stderr) == (0, done.stderr), done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self._log = self.scratch.with_name(f"stderr-{len(self._started)}")
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [*PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.folder,
                env=self.environ | {"PYTHONUNBUFFERED": "1"},
                **self.how,
            )
        self._started.append(process)
        return process

    def log(self) -> str:
        """What the last started program wrote to stderr."""
        return self._log.read_text()

    def end(self, process: subprocess.Popen[str]) -> None:
        """End a process that is not to be waited for."""
        process.kill()

    def stop_all(self) -> None:
        for process in self._started:
            self.end(process)
            if process.stdin and not process.stdin.closed:
                process.stdin.close()
            if process.stdout:
                process.stdout.close()
            process.wait()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read standard output up to the line that holds `words`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(f"{words!r} never came, but {lines}")


def stop(process: subprocess.Popen[str], with_signal: int = signal.SIGTERM) -> int:
    process.send_signal(with_signal)
    process.communicate(timeout=DEADLINE_S)
    return process.returncode


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.02)


@pytest.fixture
def program() -> Iterator[Program]:
    # Short, because a control socket's path may have 107 bytes and pytest's own are long.
    folder = Path(tempfile.mkdtemp(prefix="bg-cli-"))
    program = Program(folder)
    try:
        yield program
    finally:
        program.stop_all()
        shutil.rmtree(folder)


@pytest.fixture
def home(program: Program) -> Program:
    """A program whose folder `brokergate init` has prepared, with one account per broker."""
    made = program.run("init", "--broker", "fyers", "--broker", "mstock", "--broker", "hdfc")
    assert made.returncode == 0, made.stderr
    return program

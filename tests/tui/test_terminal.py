"""The real command in a real terminal: what a person at 09:14 does."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Program
from tests.cli.conftest import program as program  # the fixture
from tests.cli.test_practice import Practice

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux is not installed: nothing to drive the console in"
)


class Terminal:
    """A tmux server of its own with one window of 80x24."""

    def __init__(self, program: Program, command: list[str]) -> None:
        self._tmux = ["tmux", "-S", str(program.folder / "tmux.sock"), "-f", "/dev/null"]
        environ = {**program.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        size = ["-x", "80", "-y", "24"]
        subprocess.run(
            [*self._tmux, "-u", "new-session", "-d", *size, shlex.join(command)],
            env=environ,
            cwd=program.folder,
            check=True,
            timeout=30,
        )

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True, timeout=30)

    @property
    def screen(self) -> str:
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def sees(self, words: str) -> None:
        for _ in range(600):
            if words in self.screen:
                return
            time.sleep(0.1)
        raise AssertionError(f"never came: {words}\n{self.screen}")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=30)


@pytest.fixture
def practice(program: Program) -> Iterator[Practice]:
    practice = Practice(program, "mstock")
    yield practice
    practice.stop()


def test_morning_login_kill_and_release_in_a_terminal(practice: Practice, program: Program) -> None:
    command = [sys.executable, "-m", "gateway.cli.main", "console"]
    terminal = Terminal(program, command)
    try:
        terminal.sees("● connected")
        terminal.sees("✗ missing")
        terminal.keys("l")
        terminal.sees("one-time password")
        terminal.keys("-l", practice.otp())
        terminal.keys("Enter")
        terminal.sees("1 of 1 logged in")
        terminal.keys("Escape")
        terminal.sees("● active")

        terminal.keys("-l", "!")
        terminal.sees("▶ HALT_NEW")
        terminal.keys("Enter")
        terminal.sees("KILL SWITCH ENGAGED")
        terminal.keys("x")
        terminal.sees("Release HALT_NEW")
        terminal.keys("-l", "all is well")
        terminal.keys("Enter")
        terminal.keys("-l", "RELEASE")
        terminal.keys("Enter")
        terminal.sees("Kill switch: not engaged")
        terminal.keys("Escape")
        terminal.keys("q")
    finally:
        terminal.close()

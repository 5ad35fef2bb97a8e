"""A terminal for programs that paint: what they show is read until it holds some words."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence

from tests.cli.conftest import DEADLINE_S, Program


def paint_until(program: Program, command: Sequence[str], words: str) -> None:
    """Run `command` in a terminal of 140 by 40 until it has shown `words`, then end it."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    painter = subprocess.Popen(
        command,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=program.folder,
        env=program.environ | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(inside)
    shown = b""
    try:
        while words.encode() not in shown:
            assert select.select([terminal], [], [], DEADLINE_S)[0], shown[-2000:]
            shown += os.read(terminal, 65536)
    except OSError as error:
        raise AssertionError(f"it ended: {shown[-2000:]!r}") from error
    finally:
        # The whole session: a program that is one file is two processes.
        os.killpg(painter.pid, signal.SIGKILL)
        painter.wait()
        os.close(terminal)

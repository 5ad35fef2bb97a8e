"""Keeps what the process knows from leaving it by way of the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4
DEBUG_VARIABLE = "BROKERGATE_DEBUG"


def keep_to_itself() -> None:
    """Let no core dump be written, no other process of the same user look into this one, and
    nobody else read what it writes.

    Secrets that are in use are in memory, so a dump would hold them. Call it before any is read.
    With `BROKERGATE_DEBUG` a debugger may still attach; core dumps are off all the same. Root can
    look into every process.
    """
    os.umask(0o077)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.environ.get(DEBUG_VARIABLE):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

"""How this program is started once more: as a child process, or by a service manager."""

from __future__ import annotations

import sys

CONSOLE = "_console"


def own_command() -> list[str]:
    """Return the command to run, to which arguments are added; also for a frozen binary."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [*_python(), "gateway.cli.main"]


def console_command() -> list[str]:
    """As `own_command`, for the console: `packaging/entry.py` knows it by that word."""
    if getattr(sys, "frozen", False):
        return [sys.executable, CONSOLE]
    return [*_python(), "tui"]


def _python() -> list[str]:
    # -P: a module of the same name in the folder where the user stands must not get in.
    return [sys.executable, "-P", "-m"]

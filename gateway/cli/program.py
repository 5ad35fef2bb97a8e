"""How this program is started once more: as a child process, or by a service manager."""

from __future__ import annotations

import sys


def own_command() -> list[str]:
    """Return the command to run, to which arguments are added; also for a frozen binary."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    # -P: a module of the same name in the folder where the user stands must not get in.
    return [sys.executable, "-P", "-m", "gateway.cli.main"]

"""The KILL file: a switch that needs no program, only write access to the data directory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.kill.switch import KILL_FILE_SOURCE, KillSwitch

log = logging.getLogger(__name__)

KILL_FILE = "KILL"
_POLL_S = 0.25
_MOST_WORDS = 200


class KillFile:
    """Engages the switch while `data_dir/KILL` exists, whatever is in it.

    A directory that cannot be looked into counts as having the file.
    """

    def __init__(
        self, data_dir: Path, switch: KillSwitch, on_change: Callable[[bool, str], Awaitable[None]]
    ) -> None:
        self.path = data_dir / KILL_FILE
        self._switch = switch
        self._on_change = on_change

    def look(self) -> bool:
        """Bring the switch in line with the file now; True when that changed something."""
        there = self._is_there()
        if there is (self._switch.condition(KILL_FILE_SOURCE) is not None):
            return False
        if there:
            self._switch.set_condition(KILL_FILE_SOURCE, self._words())
        else:
            self._switch.clear_condition(KILL_FILE_SOURCE)
        return True

    async def watch(self) -> None:
        """Look four times a second. Ends only by cancellation."""
        while True:
            if self.look():
                there = self._switch.condition(KILL_FILE_SOURCE)
                log.warning("the file %s %s", self.path, "appeared" if there else "is gone")
                await self._on_change(there is not None, there.reason if there else "")
            await asyncio.sleep(_POLL_S)

    def _is_there(self) -> bool:
        try:
            self.path.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def _words(self) -> str:
        """What the file says, where it says anything."""
        reason = f"the file {self.path} exists"
        try:
            if not self.path.is_file():
                return reason
            with self.path.open(encoding="utf-8", errors="replace") as file:
                words = file.read(_MOST_WORDS).strip().partition("\n")[0]
        except OSError:
            return reason
        return f"{reason}: {words}" if words else reason

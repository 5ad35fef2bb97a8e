"""What the gateway tells the service manager that started it (systemd's notification socket).

Without `NOTIFY_SOCKET` in the environment nothing is told, and nothing here does anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """`beat_s`: how often a sign of life is due, None where nobody watches.

    Telling never fails and never waits: a service manager that is slow or gone must not hold up
    an order.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.beat_s = _beat_s(environ) if self._address else None
        self._complained = False

    def ready(self) -> None:
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def beat(self) -> None:
        """Give signs of life from the event loop until cancelled, so that a stuck loop shows."""
        while self.beat_s is not None:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.beat_s)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_UNIX, kind) as notify:
            try:
                notify.sendto(state.encode(), self._address)
            except OSError as error:
                if not self._complained:
                    log.warning("cannot tell the service manager %s: %s", state, error)
                self._complained = True


def _beat_s(environ: Mapping[str, str]) -> float | None:
    """Twice as often as the service manager asks for, if it asks this process."""
    asked, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not asked.isdigit() or int(asked) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(asked) / 2_000_000

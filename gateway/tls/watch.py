"""Notices that certificate files were renewed, and takes nothing that could not be served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.tls.checks import WARN_AHEAD, Finding, read_pair

log = logging.getLogger(__name__)

LOOK_S = 2.0
_DAY = timedelta(days=1)

_Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateWatch:
    """Looks at the files every few seconds; `run` it as a task.

    `findings` says what is wrong with the files as they are now; `take` makes the listener use
    them; `alarm` tells people, by the name of an event and words. A pair that is half renewed is
    left alone until both files fit each other.
    """

    def __init__(
        self,
        files: Sequence[Path],
        findings: Callable[[], list[Finding]],
        take: Callable[[], Awaitable[bool]],
        alarm: Callable[[str, str], None] = lambda _, __: None,
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self._files = files
        self._findings = findings
        self._take = take
        self._alarm = alarm
        self._look_s = look_s
        self._taken = self._seen = self._stamp()
        self._told: str | None = None
        self._warned_at: datetime | None = None

    async def run(self) -> None:
        while True:
            try:
                self._warn_of_end(datetime.now(UTC))
                await self.look()
            except Exception:
                log.exception("TLS: the certificate files were not looked at")
            await asyncio.sleep(self._look_s)

    async def look(self) -> bool:
        """Look once; True when the listener was moved to what the files hold now."""
        stamp = self._stamp()
        settled, self._seen = stamp == self._seen, stamp
        # Files change one after the other: what was still moving is looked at next time.
        if stamp == self._taken or not settled:
            return False
        findings = self._findings()
        if findings:
            self._tell("; ".join(map(str, findings)))
            return False
        if not await self._take():
            self._tell("the listener did not come up with them")
            return False
        self._taken, self._told, self._warned_at = stamp, None, None
        ends_at = read_pair(self._files[0]).ends_at
        log.info("TLS: new certificate in use, valid until %s", ends_at.isoformat())
        return True

    def _tell(self, why: str) -> None:
        """Say once for each reason, not at every look."""
        if why != self._told:
            self._told = why
            text = f"the changed files are not used, the old ones stay in use: {why}"
            log.error("TLS: %s", text)
            self._alarm("certificate_refused", text)

    def _warn_of_end(self, now: datetime) -> None:
        """Warn once a day while what is served ends soon."""
        if self._warned_at is not None and now - self._warned_at < _DAY:
            return
        self._warned_at = now
        try:
            pair = read_pair(self._files[0])
        except ValueError:
            return
        if pair.ends_at - now <= WARN_AHEAD:
            days = pair.days_left(now)
            text = f"the certificate ends at {pair.ends_at.isoformat()} ({days} days); renew it"
            log.warning("TLS: %s", text)
            self._alarm("certificate_ends", text)

    def _stamp(self) -> _Stamp:
        return tuple(_stamp_of(file) for file in self._files)


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

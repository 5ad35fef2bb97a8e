"""Looks, now and then, at what no row of the audit log tells of by itself."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.alerts.alert import Alert, Rule, Severity, make_alert
from gateway.kill.switch import JOURNAL, KillSwitch
from gateway.orchestrator.account import Account
from gateway.orders.states import LegState
from gateway.orders.times import now_us
from gateway.store import Store, StoreBroken

if TYPE_CHECKING:
    from gateway.config.settings import Alerts

log = logging.getLogger(__name__)

_LOOK_S = 5.0
_DISK_EVERY = 12
_IN_DOUBT = (LegState.UNKNOWN, LegState.NOT_FOUND)


class Watch:
    """The disk, the journal, legs in doubt; sessions tell of themselves, once looked at.

    `tell` drops what is told again.
    """

    def __init__(
        self,
        settings: Alerts,
        store: Store,
        accounts: Mapping[str, Account],
        switch: KillSwitch,
        data_dir: Path,
        tell: Callable[[Alert], None],
        look_at_sessions: Callable[[], object],
        *,
        look_s: float = _LOOK_S,
    ) -> None:
        self._settings = settings
        self._store = store
        self._accounts = accounts
        self._switch = switch
        self._data_dir = data_dir
        self._tell = tell
        self._look_at_sessions = look_at_sessions
        self._look_s = look_s
        self._disk_is_low = False

    async def run(self) -> None:
        """Look until cancelled."""
        count = 0
        while True:
            try:
                self._look_at_journal()
                self._look_at_legs()
                self._look_at_sessions()
                if count % _DISK_EVERY == 0:
                    await self._look_at_disk()
            except StoreBroken:
                pass  # which the next look tells
            except Exception:
                log.exception("watching for alerts failed")
            count += 1
            await asyncio.sleep(self._look_s)

    def _look_at_journal(self) -> None:
        condition = self._switch.condition(JOURNAL)
        if condition is not None:
            self._say(
                Rule.AUDIT_FAILURE,
                Severity.CRITICAL,
                f"{condition.reason}; nothing new is sent: mend it and restart the gateway",
                "journal",
            )

    def _look_at_legs(self) -> None:
        late_us = now_us() - self._settings.unresolved_after_s * 1_000_000
        for account in self._accounts.values():
            for leg in account.moving.values():
                record = leg.record
                if leg.state in _IN_DOUBT and record.updated_us <= late_us:
                    self._tell(
                        make_alert(
                            Rule.UNRESOLVED_LEG,
                            Severity.WARNING,
                            f"what became of a leg at {account.id} is still not proven"
                            f" ({record.side} {record.quantity} {record.instrument}, {leg.state});"
                            " it counts as placed: see GET /v1/unresolved",
                            f"leg {record.leg_id}",
                            account=account.id,
                            order_id=record.order_id,
                            details={"leg_id": record.leg_id, "state": leg.state},
                        )
                    )

    async def _look_at_disk(self) -> None:
        usage = await asyncio.to_thread(shutil.disk_usage, self._data_dir)
        free_mb = usage.free // (1024 * 1024)
        is_low = free_mb < self._settings.disk_free_mb
        begins, self._disk_is_low = is_low and not self._disk_is_low, is_low
        if not is_low:
            return
        text = (
            f"the disk of {self._data_dir} has {free_mb} MB left, less than the"
            f" {self._settings.disk_free_mb} MB of alerts.disk_free_mb; a full disk stops trading"
        )
        self._say(Rule.DISK, Severity.CRITICAL, text, "disk")
        if begins:
            log.error("%s", text)
            await self._store.audit("alarm", {"event": "disk", "text": text})

    def _say(self, rule: Rule, severity: Severity, text: str, subject: str) -> None:
        self._tell(make_alert(rule, severity, text, subject))

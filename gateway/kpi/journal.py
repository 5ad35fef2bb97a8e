"""The audit log added up: what became of the orders of a window. Pure: rows in, figures out."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable

import msgspec

from gateway.orders.states import UNPROVEN, LegState
from gateway.store.audit import AuditRow


class _LegRow(msgspec.Struct, kw_only=True):
    leg_id: str = ""
    old: LegState | None = msgspec.field(name="from", default=None)
    new: LegState | None = msgspec.field(name="to", default=None)
    event: str = ""
    attempt: int = 0
    ms: float | None = None


class _Row(msgspec.Struct, kw_only=True):
    event: str = ""
    id: str = ""
    level: str | None = None
    new: str | None = msgspec.field(name="to", default=None)


_decode_leg = msgspec.json.Decoder(_LegRow, strict=False).decode
_decode = msgspec.json.Decoder(_Row, strict=False).decode
_KILL_FILE = "KILL_FILE"


class JournalFigures:
    """Feed it the rows of a window, oldest first. Accounts that `allows` refuses are left out.

    `ends` counts how legs' sending ended: `accepted rejected denied cancelled lapsed absent
    operator`. `unproven` and `struck` hold the legs whose fate is open, and those that met a fault
    which may pass. `recovered` are struck legs whose fate the gateway proved by itself.
    """

    def __init__(self, from_us: int, to_us: int, allows: Callable[[str], bool]) -> None:
        self._from_us = from_us
        self._to_us = to_us
        self._allows = allows
        self.orders = 0
        self.legs = 0
        self.ends: Counter[str] = Counter()
        self.rejected_later = 0
        self.struck: set[str] = set()
        self.met = 0
        self.recovered = 0
        self.found = 0
        self.duplicates = 0
        self.unproven: set[str] = set()
        self.overhead_ms = array("f")
        self.engaged: Counter[str] = Counter()
        self.outages: Counter[str] = Counter()
        self._last_order: str | None = None
        self._began: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._engaged: set[str] = set()

    def feed(self, rows: list[AuditRow]) -> None:
        for row in rows:
            if not self._from_us <= row.at_us < self._to_us:
                continue
            if row.account is not None and not self._allows(row.account):
                continue
            if row.kind == "leg":
                self._leg(row, _decode_leg(row.body))
            elif row.kind == "kill":
                self._kill(_decode(row.body))
            elif row.kind == "breaker" and row.account and _decode(row.body).new == "open":
                self.outages[row.account] += 1

    def _leg(self, row: AuditRow, leg: _LegRow) -> None:
        if leg.old is None:
            self.legs += 1
            self._began[leg.leg_id] = row.at_us
            if row.order_id != self._last_order:
                self.orders += 1
                self._last_order = row.order_id
        if leg.old is leg.new:
            if leg.event == "cancel_requested":
                self._cancelled.add(leg.leg_id)
            return
        match leg.new:
            case LegState.RETRY_WAIT:
                self._strike(leg)
            case LegState.UNKNOWN:
                self._strike(leg)
                self.unproven.add(leg.leg_id)
                self._time(row, leg)
            case LegState.DUPLICATE_DETECTED:
                self.duplicates += 1
            case LegState.DENIED:
                self._end(leg, "denied", proven=False)
            case LegState.LAPSED:
                cancelled = leg.leg_id in self._cancelled
                self._end(leg, "cancelled" if cancelled else "lapsed", proven=False)
            case LegState.ABSENT:
                by_itself = leg.event == "absent"
                self._end(leg, "absent" if by_itself else "operator", proven=by_itself)
            case LegState.REFUSED:
                self._time(row, leg)
                self._end(leg, "rejected", proven=True)
            case LegState.ACKED:
                self._acked(row, leg)
            case LegState.REJECTED:
                self.rejected_later += 1
            case _:
                pass

    def _acked(self, row: AuditRow, leg: _LegRow) -> None:
        if leg.old in UNPROVEN:
            by_itself = leg.event != "adopted_by_operator"
            self.found += by_itself
            self._end(leg, "accepted" if by_itself else "operator", proven=by_itself)
        else:
            self._time(row, leg)
            self._end(leg, "accepted", proven=True)

    def _strike(self, leg: _LegRow) -> None:
        if leg.leg_id not in self.struck:
            self.struck.add(leg.leg_id)
            self.met += 1

    def _end(self, leg: _LegRow, end: str, *, proven: bool) -> None:
        """Count how it ended and let go of it, so that a long window needs no more memory."""
        self.ends[end] += 1
        if leg.leg_id in self.struck:
            self.struck.discard(leg.leg_id)
            self.recovered += proven
            # A leg that its client took back was not the gateway's to recover.
            self.met -= end == "cancelled"
        self.unproven.discard(leg.leg_id)
        self._cancelled.discard(leg.leg_id)
        self._began.pop(leg.leg_id, None)

    def _time(self, row: AuditRow, leg: _LegRow) -> None:
        """Take the time that a leg spent here: sent once, and the broker's share known."""
        began = self._began.get(leg.leg_id)
        if began is None or leg.ms is None or leg.attempt != 1 or leg.old is not LegState.SENDING:
            return
        self.overhead_ms.append(max((row.at_us - began) / 1000 - leg.ms, 0.0))

    def _kill(self, row: _Row) -> None:
        if row.event == "file_appeared":
            self.engaged[_KILL_FILE] += 1
        elif row.event == "engaged" and row.id not in self._engaged:
            # One that could not be written at once is written again later.
            self._engaged.add(row.id)
            self.engaged[row.level or "HALT_NEW"] += 1

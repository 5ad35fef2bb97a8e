"""`GET /v1/kpis`: the figures that the gateway promises, over any window."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from gateway.api.routing import Answer, Call, Route
from gateway.kpi.figures import Kpis, Memory, by_adapter, of_journal, uptimes, watched_from
from gateway.kpi.journal import JournalFigures
from gateway.kpi.keeper import MinuteKeeper, resident_bytes
from gateway.kpi.minutes import MINUTE_US
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.orders.times import ist, now_us, to_us
from gateway.secrets.api_keys import Scope
from gateway.store import Store
from gateway.store.figures import FigureStore

_DAY_US = 86_400_000_000
_UNITS = {"m": MINUTE_US, "h": 60 * MINUTE_US, "d": _DAY_US, "w": 7 * _DAY_US}
_WINDOW = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
# Rows of one read: orders wait no longer than these take to be read and added up.
_ROWS = 250
# How far rows may be out of order, where the clock was set back.
_SLACK_US = 5 * MINUTE_US


class KpiRoutes:
    def __init__(
        self,
        store: Store,
        figures: FigureStore,
        keeper: MinuteKeeper,
        accounts: Mapping[str, Account],
    ) -> None:
        self._store = store
        self._figures = figures
        self._keeper = keeper
        self._accounts = accounts

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/kpis",
                scope=Scope.READ,
                handler=self.kpis,
                summary="What the gateway promises, as figures over any window",
                tag="health",
                response=Kpis,
                query={
                    "window": "up to now: a number and m, h, d or w, such as 90m or 30d; 24h by"
                    " default",
                    "from": "RFC 3339 with offset, instead of window",
                    "to": "RFC 3339 with offset, with from; now by default",
                },
            )
        ]

    async def kpis(self, call: Call) -> Answer:
        from_us, to_us = _window(call.query)
        if self._keeper.running:
            # What the present minute holds so far.
            await self._keeper.keep()
        minutes = await self._figures.between(from_us - from_us % MINUTE_US, to_us)
        begin_us = watched_from(await self._figures.first_us(), from_us, to_us)
        seen = JournalFigures(from_us, to_us, call.who.allows)
        await self._scan(seen, from_us, to_us)
        accounts = uptimes(
            minutes,
            {a.id: a.broker for a in self._accounts.values() if call.who.allows(a.id)},
            seen.outages,
            (begin_us or to_us, to_us),
        )
        return Answer(
            body=Kpis(
                from_=ist(from_us),
                to=ist(to_us),
                watched_from=None if begin_us is None else ist(begin_us),
                adapters=by_adapter(accounts),
                accounts=accounts,
                memory=Memory(
                    now=resident_bytes() if self._keeper.running else None,
                    most=max((minute.rss for minute in minutes), default=None),
                ),
                event_loop_lag_ms=max((minute.lag_ms for minute in minutes), default=None),
                **of_journal(seen, minutes),
            )
        )

    async def _scan(self, seen: JournalFigures, from_us: int, to_us: int) -> None:
        seq = await self._store.audit_seq_at(from_us - _SLACK_US)
        while True:
            rows = await self._store.audit_rows_from(seq, _ROWS)
            seen.feed(rows)
            if len(rows) < _ROWS or rows[-1].at_us > to_us + _SLACK_US:
                return
            seq = rows[-1].seq + 1


def _window(query: Mapping[str, str]) -> tuple[int, int]:
    """Read what is asked for. Raises: `Problem` 422."""
    errors: list[FieldError] = []
    now = now_us()
    if "from" not in query:
        if "to" in query:
            errors.append(FieldError("to", "goes with from"))
        text = query.get("window", "24h")
        found = _WINDOW.fullmatch(text)
        if found is None:
            errors.append(FieldError("window", "must be a number and m, h, d or w, such as 24h"))
        elif not errors:
            return max(now - int(found[1]) * _UNITS[found[2]], 0), now
    else:
        if "window" in query:
            errors.append(FieldError("window", "is given beside from; give one of them"))
        from_us, to_us = _time(query, "from", errors), now
        if "to" in query:
            to_us = min(_time(query, "to", errors), now)
        if not errors and from_us >= to_us:
            errors.append(FieldError("from", "must be before to, and in the past"))
        if not errors:
            return from_us, to_us
    text = "; ".join(f"{error.field} {error.message}" for error in errors)
    raise Problem(422, "invalid_request", text, errors=errors)


def _time(query: Mapping[str, str], name: str, errors: list[FieldError]) -> int:
    try:
        # A plus sign that the client did not escape arrives as a space.
        return to_us(datetime.fromisoformat(query[name].replace(" ", "+")))
    except ValueError:
        errors.append(
            FieldError(name, "must be RFC 3339 with an offset, such as 2026-11-22T09:15:00+05:30")
        )
        return 0

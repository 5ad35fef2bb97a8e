"""Rows of the audit log as the events that the API promises (design section 4, `events`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.api.redaction import hidden_of, shown_leg, without
from gateway.api.views import leg_view
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.live import LiveOrder
from gateway.orchestrator.service import OrderService
from gateway.orders.times import rfc3339
from gateway.store.audit import AuditRow

# What an event is called, by the kind of its row. Rows of other kinds are no events.
TYPES = {
    "leg": "order",
    "session": "session",
    "kill": "kill",
    "breaker": "breaker",
    "alarm": "alarm",
}
# Of no one account, and told to keys that may see only some.
COMMON_KINDS = frozenset({"kill"})
_COMMON_SCOPES = ("global", "broker")

Event = tuple[int, str, dict[str, Any]]


def kinds_of(types: Sequence[str]) -> frozenset[str]:
    """Return the kinds of rows that make events of these types, all of them for none.

    Raises: `ValueError` naming a type that does not exist.
    """
    for name in types:
        if name not in TYPES.values():
            raise ValueError(name)
    return frozenset(kind for kind, name in TYPES.items() if not types or name in types)


class Shaper:
    """Makes events for one caller. `strategy` keeps only the order events of that strategy."""

    def __init__(self, orders: OrderService, caller: Caller, strategy: str | None) -> None:
        self._orders = orders
        self._caller = caller
        self._strategy = strategy

    async def events(self, rows: Sequence[AuditRow]) -> list[Event]:
        found: dict[str, LiveOrder | None] = {}
        events = []
        for row in rows:
            body = msgspec.json.decode(row.body)
            if row.kind == "leg" and row.order_id is not None:
                if row.order_id not in found:
                    found[row.order_id] = await self._orders.find(row.order_id)
                event = self._order_event(row, body, found[row.order_id])
            else:
                event = self._other_event(row, body)
            if event is not None:
                events.append((row.seq, TYPES[row.kind], event))
        return events

    def _order_event(
        self, row: AuditRow, body: dict[str, Any], live: LiveOrder | None
    ) -> dict[str, Any] | None:
        if live is None:
            return None
        strategy = live.order.request.strategy
        if self._strategy is not None and strategy != self._strategy:
            return None
        leg = next(leg for leg in live.legs if leg.record.leg_id == body["leg_id"])
        hidden = hidden_of(
            live.order.request, [each.record for each in live.legs], self._caller.allows
        )
        body = without(body, hidden)
        return {
            **_head(row),
            "order_id": row.order_id,
            "strategy": strategy,
            "account": row.account,
            **{name: value for name, value in body.items() if name != "leg_id"},
            "leg": leg_view(shown_leg(leg.record, hidden)),
        }

    def _other_event(self, row: AuditRow, body: dict[str, Any]) -> dict[str, Any] | None:
        if self._strategy is not None:
            return None
        hidden = self._caller.accounts is not None and row.account is None
        if hidden and body.get("scope") not in _COMMON_SCOPES:
            return None
        return {**_head(row), "account": row.account, **body}


def _head(row: AuditRow) -> dict[str, Any]:
    return {"seq": row.seq, "type": TYPES[row.kind], "at": rfc3339(row.at_us)}

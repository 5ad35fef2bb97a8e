"""Which orders are in memory, so that no leg ever has two owners."""

from __future__ import annotations

from weakref import WeakValueDictionary

from adapters.sdk.models import BrokerOrder
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.store import Store


class Register:
    """`live` are the orders that still move; `known` also those that somebody else still holds.

    Two owners of one leg would each believe a state that the other has changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.live: dict[str, LiveOrder] = {}
        self.known: WeakValueDictionary[str, LiveOrder] = WeakValueDictionary()

    async def find(self, order_id: str) -> LiveOrder | None:
        """Return an order, from memory while anybody holds it, from the journal otherwise."""
        live = self.known.get(order_id)
        if live is not None:
            return live
        loaded = await self._store.load_order(order_id)
        if loaded is None:
            return None
        live = LiveOrder(*loaded, self._store)
        return self.known.setdefault(order_id, live)

    async def leg_tagged(self, broker_tag: int) -> LiveLeg | None:
        place = await self._store.find_tag(broker_tag)
        live = await self.find(place[0]) if place else None
        if place is None or live is None:
            return None
        return next((leg for leg in live.legs if leg.record.n == place[1]), None)

    async def reopen(self, account: Account, row: BrokerOrder) -> LiveLeg | None:
        known = account.finished.get(row.broker_order_id)
        live = await self.find(known.order_id) if known else None
        if known is None or live is None:
            return None
        self.live[known.order_id] = live
        return next((leg for leg in live.legs if leg.record.n == known.n), None)

"""`POST /v1/baskets`: up to 50 orders under one key."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.api.orders import idempotency_key
from gateway.api.routing import Answer, Call, Route
from gateway.api.views import OrderView, order_view
from gateway.orchestrator.baskets import Baskets, PlacedBasket
from gateway.orders.basket import BasketRequest, Sequence, StopOn
from gateway.orders.states import Summary
from gateway.secrets.api_keys import Scope

_WAIT_S = 60.0


class BasketView(msgspec.Struct, kw_only=True):
    """`orders` in the order asked for; null where an order's turn has not come yet."""

    basket_id: str
    summary: Summary
    sequence: Sequence
    stop_on: StopOn
    orders: list[OrderView | None]


_decode = msgspec.json.Decoder(BasketRequest)


class BasketRoutes:
    def __init__(self, baskets: Baskets, on_repeat: Callable[[], None]) -> None:
        self._baskets = baskets
        self._on_repeat = on_repeat

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/baskets",
                scope=Scope.TRADE,
                handler=self.place,
                summary="Place several orders under one key, side by side or one after another",
                tag="orders",
                request=BasketRequest,
                response=BasketView,
                statuses=(200, 201, 202),
                needs_key=True,
            )
        ]

    async def place(self, call: Call) -> Answer:
        key = idempotency_key(call)
        request: BasketRequest = call.decode(_decode, "invalid_order")
        placed, replayed = await self._baskets.place(call.who, key, request, _WAIT_S)
        if replayed:
            self._on_repeat()
        view = _view(call, placed)
        headers = [(b"Idempotency-Replayed", b"true")] if replayed else []
        return Answer(_STATUS[view.summary], view, headers)


_STATUS = {
    Summary.ACCEPTED: 201,
    Summary.PARTIAL: 200,
    Summary.REJECTED: 200,
    Summary.NOT_SENT: 200,
    Summary.PENDING: 202,
}


def _view(call: Call, placed: PlacedBasket) -> BasketView:
    views = [order_view(live, call.who.allows) if live else None for live in placed.orders]
    return BasketView(
        basket_id=placed.basket.basket_id,
        summary=_summary([view.summary if view else Summary.PENDING for view in views]),
        sequence=placed.basket.request.sequence,
        stop_on=placed.basket.request.stop_on,
        orders=views,
    )


def _summary(orders: list[Summary]) -> Summary:
    """One word for the basket: as an order's, over its orders."""
    found = set(orders)
    if Summary.PENDING in found:
        return Summary.PENDING
    if found == {Summary.ACCEPTED}:
        return Summary.ACCEPTED
    if found & {Summary.ACCEPTED, Summary.PARTIAL}:
        return Summary.PARTIAL
    return Summary.REJECTED if Summary.REJECTED in found else Summary.NOT_SENT

"""`POST /v1/orders/validate`: everything that placing would check, with nothing sent."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.orchestrator.plan import PlannedLeg
from gateway.orchestrator.service import OrderService
from gateway.orders.checks import Check
from gateway.orders.records import Reason, Sent
from gateway.orders.request import OrderRequest
from gateway.secrets.api_keys import Scope


class TriedLeg(msgspec.Struct, kw_only=True):
    """`ok`: it would be sent. `required` and `left` are rupees, null where they are not known.

    `sent` is what would go to the broker; `checks` are all that were made, the passed ones too.
    """

    account: str
    broker: str
    ok: bool
    quantity: int
    precheck: str
    checks: list[Check]
    sent: Sent
    required: Decimal | None
    source: str | None
    left: Decimal | None
    slice: dict[str, int] | None
    reason: Reason | None


class Trial(msgspec.Struct, kw_only=True):
    """`ok`: every leg would be sent."""

    ok: bool
    request: OrderRequest
    legs: list[TriedLeg]


_decode = msgspec.json.Decoder(OrderRequest)


class ValidateRoutes:
    def __init__(self, orders: OrderService) -> None:
        self._orders = orders

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/orders/validate",
                scope=Scope.READ,
                handler=self.validate,
                summary="Check an order as placing would, and send nothing",
                tag="orders",
                request=OrderRequest,
                response=Trial,
            ),
        ]

    async def validate(self, call: Call) -> Answer:
        request: OrderRequest = call.decode(_decode, "invalid_order")
        legs = await self._orders.try_out(call.who, request)
        tried = [_tried(leg, request) for leg in legs]
        return Answer(body=Trial(ok=all(leg.ok for leg in tried), request=request, legs=tried))


def _tried(leg: PlannedLeg, request: OrderRequest) -> TriedLeg:
    judged = leg.judged
    asked = Sent(
        order_type=request.order_type,
        price=request.price,
        trigger_price=request.trigger_price,
    )
    return TriedLeg(
        account=leg.account.id,
        broker=leg.account.broker,
        ok=leg.denial is None,
        quantity=leg.quantity,
        precheck=leg.precheck,
        checks=list(judged.checks) if judged else [],
        sent=leg.sent or asked,
        required=judged.margin if judged else None,
        source=judged.margin_source if judged else None,
        left=judged.left if judged else None,
        slice=leg.slice,
        reason=leg.denial,
    )

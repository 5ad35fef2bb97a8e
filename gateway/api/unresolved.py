"""The operator's list: legs whose fate is not proven, what was seen, how to settle them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from adapters.sdk.models import BrokerOrder
from gateway.api.routing import Answer, Call, Route
from gateway.api.views import LegView, OrderView, leg_view, order_view
from gateway.orchestrator.account import Account
from gateway.orchestrator.evidence import Evidence
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.resolving import Resolving
from gateway.orders.ids import order_of_leg
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.orders.times import now_us
from gateway.secrets.api_keys import Scope


class Exposure(msgspec.Struct, kw_only=True):
    """The worst case: everything still open of the leg has traded. `value` is rupees."""

    quantity: int
    value: Decimal | None


class Suspect(msgspec.Struct, kw_only=True):
    """An order at the broker that looks like the leg and that nothing else claims."""

    broker_order_id: str
    broker_tag: str | None
    state: str | None
    raw_state: str
    side: str | None
    order_type: str | None
    product: str | None
    quantity: int
    filled_quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    placed_at: str | None


class Unresolved(msgspec.Struct, kw_only=True):
    order_id: str
    leg: LegView
    age_s: float
    exposure: Exposure
    evidence: list[dict[str, Any]]
    suspects: list[Suspect]


class UnresolvedList(msgspec.Struct):
    unresolved: list[Unresolved]


class Resolution(StrEnum):
    ADOPT = "adopt"
    ABSENT = "absent"


class ResolveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    action: Resolution
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    broker_order_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


_decode = msgspec.json.Decoder(ResolveRequest)


class UnresolvedRoutes:
    def __init__(self, resolving: Resolving) -> None:
        self._resolving = resolving

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/unresolved",
                scope=Scope.READ,
                handler=self.list,
                summary="Legs whose fate is not proven, oldest first",
                tag="unresolved",
                response=UnresolvedList,
            ),
            Route(
                method="POST",
                path="/v1/unresolved/{leg_id}/resolve",
                scope=Scope.OPERATE,
                handler=self.resolve,
                summary="Settle a leg on the operator's word: adopt an order, or declare it absent",
                tag="unresolved",
                request=ResolveRequest,
                response=OrderView,
            ),
        ]

    async def list(self, call: Call) -> Answer:
        rows = [
            _unresolved(leg, evidence)
            for leg, account, evidence in self._resolving.unresolved()
            if call.who.allows(account.id)
        ]
        return Answer(body=UnresolvedList(rows))

    async def resolve(self, call: Call) -> Answer:
        request: ResolveRequest = call.decode(_decode)
        leg, _ = self._find(call)
        actor = call.who.actor()
        if request.action is Resolution.ADOPT:
            if request.broker_order_id is None:
                errors = [FieldError("broker_order_id", "is required to adopt an order")]
                raise Problem(422, "invalid_request", "broker_order_id is required", errors=errors)
            await self._resolving.adopt(leg, request.broker_order_id, actor, request.reason)
        else:
            await self._resolving.declare_absent(leg, actor, request.reason)
        return Answer(body=order_view(leg.order, call.who.allows))

    def _find(self, call: Call) -> tuple[LiveLeg, Account]:
        leg_id = call.params["leg_id"]
        for leg, account, _ in self._resolving.unresolved():
            if leg.record.leg_id == leg_id and call.who.allows(account.id):
                return leg, account
        known = order_of_leg(leg_id)
        hint = f"; see /v1/orders/{known[0]}" if known else ""
        raise Problem(404, "leg_not_unresolved", f"no unresolved leg is called {leg_id!r}{hint}")


def _unresolved(leg: LiveLeg, evidence: Evidence) -> Unresolved:
    record = leg.record
    since = record.unknown_since_us or record.created_us
    price = record.price or record.trigger_price
    return Unresolved(
        order_id=record.order_id,
        leg=leg_view(record),
        age_s=round((now_us() - since) / 1_000_000, 3),
        exposure=Exposure(
            quantity=record.pending_quantity,
            value=price * record.pending_quantity if price is not None else None,
        ),
        evidence=list(evidence.log),
        suspects=[_suspect(row) for row in evidence.suspects],
    )


def _suspect(row: BrokerOrder) -> Suspect:
    return Suspect(
        broker_order_id=row.broker_order_id,
        broker_tag=str(row.broker_tag) if row.broker_tag is not None else None,
        state=row.state,
        raw_state=row.raw_state,
        side=row.side,
        order_type=row.order_type,
        product=row.product,
        quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        price=row.price,
        trigger_price=row.trigger_price,
        placed_at=row.placed_at.isoformat() if row.placed_at else None,
    )

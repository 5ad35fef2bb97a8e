"""Modifying an order by the broker's id, whoever placed it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapters.sdk.errors import Denied
from adapters.sdk.models import BrokerOrder
from gateway.api.modify import ModifyRequest
from gateway.api.routing import Answer, Call, Route
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import Change
from gateway.orchestrator.elsewhere import Elsewhere
from gateway.orchestrator.service import OrderService
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError, price_problems
from gateway.secrets.api_keys import Scope

_WAIT_S = 15.0
_decode = msgspec.json.Decoder(ModifyRequest)


class ModifiedElsewhere(msgspec.Struct, kw_only=True):
    """`modify`: applied, refused, unknown or not_live. Ours have an order and a leg id."""

    account: str
    broker_order_id: str
    order_id: str | None
    leg_id: str | None
    modify: str
    message: str | None


class OrderBookRoutes:
    def __init__(
        self, service: OrderService, elsewhere: Elsewhere, accounts: Mapping[str, Account]
    ) -> None:
        self._service = service
        self._elsewhere = elsewhere
        self._accounts = accounts

    def routes(self) -> list[Route]:
        return [
            Route(
                method="PATCH",
                path="/v1/orderbook/{account}/{broker_order_id}",
                scope=Scope.TRADE,
                handler=self.modify,
                summary="Modify an order by the broker's id, whoever placed it",
                tag="orderbook",
                request=ModifyRequest,
                response=ModifiedElsewhere,
            )
        ]

    async def modify(self, call: Call) -> Answer:
        account_id, wanted = call.params["account"], call.params["broker_order_id"]
        account = self._accounts.get(account_id)
        if account is None or not call.who.allows(account_id):
            raise Problem(404, "account_unknown", f"there is no account {account_id!r}")
        request: ModifyRequest = call.decode(_decode, "invalid_order")
        change = _change(request)
        view = await self._service.read_book(account)
        if view is None:
            detail = f"the order book of {account_id} cannot be read; nothing was sent"
            raise Problem(503, "broker_unavailable", detail)
        row = view.order(wanted)
        if row is None:
            raise Problem(404, "order_unknown", f"the book of {account_id} has no order {wanted}")
        _check_quantity(request, row)
        leg = account.leg_at(wanted)
        if leg is not None:
            outcome = await self._service.modify(
                leg.order, {account_id: change}, _WAIT_S, call.who.key_id, leg.record.leg_id
            )
            done = outcome[leg.record.leg_id]
            modified = done.outcome
            message = done.reason.message if done.reason else None
        else:
            try:
                modified, message = await self._elsewhere.modify(
                    account, row, change, call.who.key_id, call.who.actor()
                )
            except Denied as error:
                modified, message = "refused", error.message
        answer = ModifiedElsewhere(
            account=account_id,
            broker_order_id=wanted,
            order_id=leg.record.order_id if leg else None,
            leg_id=leg.record.leg_id if leg else None,
            modify=modified,
            message=message,
        )
        return Answer(body=answer)


def _change(request: ModifyRequest) -> Change:
    errors: list[FieldError] = []
    for field, price in (("price", request.price), ("trigger_price", request.trigger_price)):
        errors.extend(price_problems(field, price))
    if request.quantities:
        errors.append(FieldError("quantities", "this is one order; give quantity"))
    change = Change(
        quantity=request.quantity,
        price=request.price,
        trigger_price=request.trigger_price,
        order_type=request.order_type,
    )
    if change == Change() and not request.quantities:
        errors.append(
            FieldError("body", "changes nothing; give quantity, price, trigger_price or order_type")
        )
    _raise(errors)
    return change


def _check_quantity(request: ModifyRequest, row: BrokerOrder) -> None:
    if request.quantity is not None and request.quantity <= row.filled_quantity:
        words = f"is the new total and must be above the {row.filled_quantity} already filled"
        _raise([FieldError("quantity", words)])


def _raise(errors: list[FieldError]) -> None:
    if errors:
        text = "; ".join(f"{error.field} {error.message}" for error in errors)
        raise Problem(422, "invalid_order", text, errors=errors)

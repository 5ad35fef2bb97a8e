"""Modifying an order that was placed elsewhere: it has no leg, only the audit log tells of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    NotSent,
    NotSupported,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import BrokerOrder, Instrument, ModifyOrder, OrderType
from gateway.kill import Subject
from gateway.orchestrator.account import Account
from gateway.orchestrator.actions import Change, assert_meant
from gateway.orchestrator.cancelling import NameContract, ReadBook, SessionExpired
from gateway.orchestrator.pricing import assert_may_become
from gateway.orchestrator.stops import Stops
from gateway.store import Store

_MODIFY_WAIT_S = 5.0
_LOOKS = 4


class Elsewhere:
    """Modifies orders by what the book says of them. As with legs, a modify is sent once."""

    def __init__(
        self,
        store: Store,
        stops: Stops,
        read_book: ReadBook,
        name_contract: NameContract,
        on_session_expired: SessionExpired,
    ) -> None:
        self._store = store
        self._stops = stops
        self._read_book = read_book
        self._name_contract = name_contract
        self._on_session_expired = on_session_expired

    async def modify(
        self,
        account: Account,
        row: BrokerOrder,
        change: Change,
        key_id: str | None,
        actor: dict[str, Any],
    ) -> tuple[str, str | None]:
        """Send the change; returns `applied`, `refused`, `unknown` or `not_live`, and why.

        Raises: `Denied` before anything is sent; `StoreBroken` when it cannot be audited first.
        """
        session = account.session
        if row.state is not None and row.state.is_final:
            return "not_live", None
        if session is None:
            raise Denied(f"{account.id} is not logged in", reason=ReasonCode.SESSION_MISSING)
        assert_may_become(account, change.order_type)
        as_it_is = _order_of(row, await self._name_contract(account, row.codes))
        wanted = _changed(as_it_is, change)
        assert_meant(change, wanted.order_type)
        lower = wanted.quantity < as_it_is.quantity
        decreases = lower and msgspec.structs.replace(as_it_is, quantity=wanted.quantity) == wanted
        subject = Subject(
            account=account.id, broker=account.broker, keys=(key_id,) if key_id else ()
        )
        audit = {"actor": actor, "broker_order_id": row.broker_order_id, "change": change}

        def may_go() -> None:
            self._stops.assert_may_modify_for(subject, decreases=decreases)

        async def note(event: str, message: str | None = None) -> None:
            body = {"event": event, **audit, "message": message}
            await self._store.audit("orderbook", body, account=account.id)

        may_go()
        wanted = msgspec.structs.replace(wanted, previous_quantity=as_it_is.quantity)
        account.adapter.check_modify(wanted)
        deadline = time.monotonic() + _MODIFY_WAIT_S
        gate = _Gate(may_go, lambda: note("modify_begin"))
        try:
            await account.calls.modify_order(session, wanted, gate, deadline)
        except Denied as error:
            if gate.begun:
                await note("modify_dropped", error.message)
            raise
        except (Refused, NotSent) as error:
            await note("modify_refused", error.message)
            return "refused", error.message
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_session_expired(account, error)
            await note("modify_unknown", error.message)
        else:
            await note("modify_sent")
        return await self._confirm(account, wanted), None

    async def _confirm(self, account: Account, wanted: ModifyOrder) -> str:
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(account.pace().book_min_gap_s)
            view = await self._read_book(account)
            row = view.order(wanted.broker_order_id) if view else None
            if row is None:
                continue
            if row.state is not None and row.state.is_final:
                return "not_live"
            if _shows(row, wanted):
                return "applied"
        return "unknown"


class _Gate:
    def __init__(self, check: Callable[[], None], begin: Callable[[], Any]) -> None:
        self._check = check
        self._begin = begin
        self.begun = False

    async def ready(self) -> None:
        self._check()
        await self._begin()
        self.begun = True

    def check(self) -> None:
        self._check()


def _order_of(row: BrokerOrder, instrument: Instrument | None) -> ModifyOrder:
    """The order as the book shows it. Raises `NotSupported` where that leaves something open."""
    if instrument is None:
        raise NotSupported("the order's contract is not in the instrument master")
    side, order_type, product, validity = row.side, row.order_type, row.product, row.validity
    if side is None or order_type is None or product is None or validity is None:
        raise NotSupported("the order book does not say all that a modify has to repeat")
    return ModifyOrder(
        broker_order_id=row.broker_order_id,
        instrument=instrument,
        side=side,
        order_type=order_type,
        product=product,
        validity=validity,
        quantity=row.quantity,
        previous_quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        price=row.price if order_type in (OrderType.LIMIT, OrderType.SL) else None,
        trigger_price=row.trigger_price if order_type in (OrderType.SL, OrderType.SL_M) else None,
    )


def _changed(order: ModifyOrder, change: Change) -> ModifyOrder:
    order_type = change.order_type or order.order_type
    price = change.price if change.price is not None else order.price
    trigger = change.trigger_price if change.trigger_price is not None else order.trigger_price
    return msgspec.structs.replace(
        order,
        order_type=order_type,
        quantity=change.quantity if change.quantity is not None else order.quantity,
        price=price if order_type in (OrderType.LIMIT, OrderType.SL) else None,
        trigger_price=trigger if order_type in (OrderType.SL, OrderType.SL_M) else None,
    )


def _shows(row: BrokerOrder, wanted: ModifyOrder) -> bool:
    return (
        row.quantity == wanted.quantity
        and row.order_type is wanted.order_type
        and (wanted.price is None or row.price == wanted.price)
        and (wanted.trigger_price is None or row.trigger_price == wanted.trigger_price)
    )

"""Closing positions once orders are cancelled: protected limits, as ordinary journalled legs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, NotSupported
from adapters.sdk.models import (
    BrokerPosition,
    BrokerQuote,
    Instrument,
    OrderType,
    Product,
    Side,
)
from gateway.calls.bulkhead import Priority
from gateway.kill import Engagement, Scope
from gateway.orchestrator.account import Account
from gateway.orchestrator.cancelling import CancelRun, CancelState, NameContract
from gateway.orchestrator.live import LiveOrder
from gateway.orders.problems import Problem
from gateway.orders.request import MAX_QUANTITY, OrderRequest, WaitFor
from gateway.orders.states import UNPROVEN

KILL_CLIENT = "kill-switch"
_PRODUCTS = (Product.MIS, Product.NRML)
_TTL_MS = 30_000
_WAIT_S = 15.0
_DEFAULT_BAND = Decimal(1)


class Skipped(msgspec.Struct, kw_only=True):
    """A position that is left alone, and why. `instrument` is None where nobody knows it."""

    account: str
    instrument: str | None
    product: Product | None
    quantity: int | None
    why: str


class Closing(msgspec.Struct, kw_only=True):
    account: str
    order: LiveOrder


class SquareRun(msgspec.Struct, kw_only=True):
    """Progress: the closing orders, and what is left alone."""

    orders: list[Closing] = []
    skipped: list[Skipped] = []


class _Place(Protocol):
    def __call__(self, key: str, request: OrderRequest) -> Awaitable[LiveOrder]: ...


class _Target(msgspec.Struct, frozen=True, kw_only=True):
    instrument: Instrument
    product: Product
    quantity: int

    @property
    def side(self) -> Side:
        return Side.SELL if self.quantity > 0 else Side.BUY


class SquareOff:
    """Closes MIS and NRML positions. `place` sends an order that the kill switch lets through."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        name_contract: NameContract,
        instrument_of: Callable[[Account, str], Awaitable[Instrument | None]],
        place: _Place,
        on_session_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        self._accounts = accounts
        self._name_contract = name_contract
        self._instrument_of = instrument_of
        self._place = place
        self._on_session_expired = on_session_expired

    async def close(
        self,
        account: Account,
        engagement: Engagement,
        cancels: CancelRun,
        run: SquareRun,
        stands: Callable[[], bool],
    ) -> None:
        """Close one account's positions, shorts before what may hedge them.

        May be called again: what was placed stays as it is, what was left alone is looked at anew.
        """
        run.skipped[:] = [skipped for skipped in run.skipped if skipped.account != account.id]

        def skip(why: str, row: BrokerPosition | None, instrument: Instrument | None) -> None:
            run.skipped.append(
                Skipped(
                    account=account.id,
                    instrument=instrument.instrument if instrument else None,
                    product=row.product if row else None,
                    quantity=row.quantity if row else None,
                    why=why,
                )
            )

        if engagement.scope in (Scope.STRATEGY, Scope.KEY):
            skip("the broker's positions do not tell strategies or keys apart", None, None)
            return
        rows = await self._positions(account, skip)
        targets = []
        for row in rows:
            if not row.quantity or row.product not in _PRODUCTS:
                continue
            instrument = await self._name_contract(account, row.codes)
            why = self._obstacle(account, row, instrument, cancels)
            if why is not None or instrument is None:
                skip(why or "unknown contract", row, instrument)
                continue
            target = _Target(instrument=instrument, product=row.product, quantity=row.quantity)
            targets.append((target, row))
        targets.sort(key=lambda item: item[0].quantity)
        quotes = await self._quotes(account, [target.instrument for target, _ in targets])
        for target, row in targets:
            if not stands():
                return
            quote = quotes.get(target.instrument.instrument)
            price = None if quote is None else protected_price(account, target, quote.last_price)
            if price is None:
                skip("there is no fresh price for it", row, target.instrument)
                continue
            await self._close(account, engagement, target, price, run, skip_row=(skip, row))

    async def _close(
        self,
        account: Account,
        engagement: Engagement,
        target: _Target,
        price: Decimal,
        run: SquareRun,
        skip_row: tuple[Callable[..., None], BrokerPosition],
    ) -> None:
        """Place a position's closing orders, each no larger than the exchange takes at once."""
        for n, quantity in enumerate(_slices(target), 1):
            name = target.instrument.instrument
            request = OrderRequest(
                instrument=name,
                side=target.side,
                order_type=OrderType.LIMIT,
                product=target.product,
                accounts=(account.id,),
                quantity=quantity,
                price=price,
                ttl_ms=_TTL_MS,
                wait_for=WaitFor.ACK,
            )
            key = f"{engagement.id}:{account.id}:{name}:{target.product}:{n}"
            try:
                live = await self._place(key, request)
            except Problem as problem:
                skip, row = skip_row
                skip(problem.detail, row, target.instrument)
                return
            if all(closing.order.order.order_id != live.order.order_id for closing in run.orders):
                run.orders.append(Closing(account=account.id, order=live))
            # The next one waits for this answer, so that a broker that fails fails once.
            await live.wait_until(lambda live=live: live.acked, _WAIT_S)  # type: ignore[misc]

    def _obstacle(
        self,
        account: Account,
        row: BrokerPosition,
        instrument: Instrument | None,
        cancels: CancelRun,
    ) -> str | None:
        if instrument is None:
            return f"its contract is not in the instrument master: {row.codes}"
        name = instrument.instrument
        unproven = [
            leg.record.leg_id
            for leg in account.moving.values()
            if leg.state in UNPROVEN and leg.record.instrument == name
        ]
        if unproven:
            return f"the fate of {', '.join(unproven)} is not proven; resolve it first"
        for cancel in cancels.orders.values():
            unsure = cancel.state not in (CancelState.CONFIRMED, CancelState.UNRESOLVED)
            if cancel.account == account.id and unsure and cancel.instrument in (name, None):
                return f"the cancel of {cancel.broker_order_id} is not confirmed"
        if abs(row.quantity) % instrument.lot_size:
            return f"its quantity {row.quantity} is not a multiple of {instrument.lot_size}"
        return None

    async def _positions(
        self, account: Account, skip: Callable[..., None]
    ) -> Sequence[BrokerPosition]:
        if account.session is None:
            skip("the account is not logged in", None, None)
            return ()
        try:
            return await account.calls.positions(account.session, Priority.RECONCILE)
        except LoginExpired as error:
            self._on_session_expired(account, error)
            skip(f"the positions cannot be read: {error.message}", None, None)
        except GatewayError as error:
            skip(f"the positions cannot be read: {error.message}", None, None)
        return ()

    async def _quotes(
        self, account: Account, instruments: list[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Prices by canonical id; the ones that the account lacks from its `quotes_from`."""
        found = await self._quotes_at(account, instruments)
        other = self._accounts.get(account.policy.quotes_from or "")
        lacking = [item for item in instruments if item.instrument not in found]
        if other is not None and lacking:
            theirs = []
            for item in lacking:
                contract = await self._instrument_of(other, item.instrument)
                if contract is not None:
                    theirs.append(contract)
            found |= await self._quotes_at(other, theirs)
        return found

    async def _quotes_at(
        self, account: Account, instruments: list[Instrument]
    ) -> dict[str, BrokerQuote]:
        if account.session is None or not instruments:
            return {}
        try:
            return await account.calls.quotes(account.session, instruments, Priority.RECONCILE)
        except NotSupported:
            return {}
        except LoginExpired as error:
            self._on_session_expired(account, error)
        except GatewayError:
            pass
        return {}


def protected_price(account: Account, target: _Target, last_price: Decimal) -> Decimal | None:
    """A limit that trades at once in a calm market and no worse than the account's band allows.

    Rounded to the tick towards the last price, so never outside the band.
    """
    if last_price <= 0:
        return None
    percent = account.policy.protect_band.get(target.instrument.type, _DEFAULT_BAND)
    tick = target.instrument.tick_size
    if target.side is Side.SELL:
        worst = last_price * (1 - percent / 100)
        price = (worst / tick).to_integral_value(ROUND_CEILING) * tick
    else:
        worst = last_price * (1 + percent / 100)
        price = (worst / tick).to_integral_value(ROUND_FLOOR) * tick
    return max(price, tick)


def _slices(target: _Target) -> list[int]:
    """Split by the freeze quantity, in whole lots."""
    lot = target.instrument.lot_size
    most = target.instrument.freeze_quantity or MAX_QUANTITY
    most = max(min(most, MAX_QUANTITY) // lot * lot, lot)
    left = abs(target.quantity)
    found = []
    while left:
        found.append(min(left, most))
        left -= found[-1]
    return found

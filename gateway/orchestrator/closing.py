"""Closing positions by protected limits: shorts before what may hedge them, slice by slice.

Whoever closes holds the account's turn from its cancels to its last order, so that two closes of
one position never add up to more than it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, NotSupported, ReasonCode
from adapters.sdk.models import BrokerQuote, Instrument, OrderType, Side
from gateway.calls.bulkhead import Priority
from gateway.orchestrator.account import Account
from gateway.orchestrator.exposure import Exposure, Held, left
from gateway.orchestrator.live import LiveOrder
from gateway.orders.close import Left
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import MAX_QUANTITY, OrderRequest, Precheck, WaitFor
from gateway.orders.states import LIVE, LegState

_TTL_MS = 30_000
_WAIT_S = 15.0
# How long a hedge waits for the short that it covers to be bought back.
_COVER_WAIT_S = 3.0
_DEFAULT_BAND = Decimal(1)

Place = Callable[[Held, OrderRequest], Awaitable[LiveOrder]]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A position and how much of it is to be closed, in units, above zero and in whole lots."""

    held: Held
    quantity: int


class Sending(msgspec.Struct, kw_only=True):
    """What one closing sends and leaves, told as it happens. `stands`: it is still wanted.

    `strategy` is what the orders are for. `shorts` are underlyings of shorts that are known not
    to be bought back: nothing that may hedge them is sold.
    """

    place: Place
    on_order: Callable[[LiveOrder], None]
    on_left: Callable[[Left], None]
    stands: Callable[[], bool] = lambda: True
    strategy: str | None = None
    shorts: set[str] = msgspec.field(default_factory=set)


class Closer:
    """Sends closing orders. One per process: it holds the accounts' turns."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        exposure: Exposure,
        instrument_of: Callable[[Account, str], Awaitable[Instrument | None]],
        on_session_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        self.exposure = exposure
        self._accounts = accounts
        self._instrument_of = instrument_of
        self._on_session_expired = on_session_expired
        self._turns: dict[str, asyncio.Lock] = {}

    def turn(self, account: Account) -> asyncio.Lock:
        """What one closing at a time holds, from its cancels to its last order."""
        return self._turns.setdefault(account.id, asyncio.Lock())

    async def send(self, account: Account, targets: Sequence[Target], sending: Sending) -> None:
        """Send what closes the targets; returns once every order's broker has answered."""
        quotes = await self.quotes(account, [target.held.instrument for target in targets])
        shorts = sorted(
            (item for item in targets if item.held.quantity < 0), key=lambda item: -item.quantity
        )
        longs = [target for target in targets if target.held.quantity > 0]
        bought = []
        for target in shorts:
            orders = await self._close(account, target, quotes, sending)
            bought.append((target, orders))
        hedged = {target.held.underlying for target in longs}
        for target, orders in bought:
            waited = target.held.underlying in hedged
            if not await _is_filled(target, orders, _COVER_WAIT_S if waited else 0.0):
                sending.shorts.add(target.held.underlying)
        for target in longs:
            if target.held.underlying in sending.shorts:
                _leave(account, target, sending, _kept(target.held.underlying))
                continue
            await self._close(account, target, quotes, sending)

    async def _close(
        self,
        account: Account,
        target: Target,
        quotes: Mapping[str, BrokerQuote],
        sending: Sending,
    ) -> list[LiveOrder]:
        """Place a position's closing orders, each no larger than the exchange takes at once."""
        held, orders = target.held, list[LiveOrder]()
        quote = quotes.get(held.name)
        price = None
        if quote is not None:
            price = protected_price(account, held.instrument, held.side, quote.last_price)
        if price is None:
            _leave(account, target, sending, NO_PRICE)
            return orders
        for quantity in _slices(target):
            if not sending.stands():
                return orders
            request = OrderRequest(
                instrument=held.name,
                side=held.side,
                order_type=OrderType.LIMIT,
                product=held.product,
                accounts=(account.id,),
                quantity=quantity,
                price=price,
                strategy=sending.strategy,
                # Nothing that is checked of new risk may keep an order from ending one.
                precheck=Precheck.OFF,
                ttl_ms=_TTL_MS,
                wait_for=WaitFor.ACK,
            )
            try:
                live = await sending.place(held, request)
            except Problem as problem:
                reason = Reason(code=ReasonCode.INVALID_ORDER, message=problem.detail)
                _leave(account, target, sending, reason)
                return orders
            orders.append(live)
            self.exposure.sent(account, held, live)
            sending.on_order(live)
            # The next one waits for this answer, so that a broker that fails fails once.
            await live.wait_until(lambda live=live: live.acked, _WAIT_S)  # type: ignore[misc]
            if not all(leg.state in _WORKED for leg in live.legs):
                return orders
        return orders

    async def quotes(
        self, account: Account, instruments: Collection[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Prices by canonical id; the ones that the account lacks from its `quotes_from`."""
        found = await self._quotes_at(account, list(instruments))
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


NO_PRICE = Reason(
    code=ReasonCode.PRICE_UNAVAILABLE, message="there is no fresh price for it", retryable=True
)
_WORKED = LIVE | {LegState.ACKED, LegState.FILLED}


def protected_price(
    account: Account, instrument: Instrument, side: Side, last_price: Decimal
) -> Decimal | None:
    """A limit that trades at once in a calm market and no worse than the account's band allows.

    Rounded to the tick towards the last price, so never outside the band, nor outside the day's
    where the broker publishes that.
    """
    if last_price <= 0:
        return None
    percent = account.policy.protect_band.get(instrument.type, _DEFAULT_BAND)
    tick = instrument.tick_size
    if side is Side.SELL:
        worst = max(last_price * (1 - percent / 100), instrument.band_low or Decimal(0))
        price = (worst / tick).to_integral_value(ROUND_CEILING) * tick
    else:
        worst = last_price * (1 + percent / 100)
        worst = min(worst, instrument.band_high or worst)
        price = (worst / tick).to_integral_value(ROUND_FLOOR) * tick
    return max(price, tick)


def filled(orders: Sequence[LiveOrder]) -> int:
    return sum(leg.record.filled_quantity for order in orders for leg in order.legs)


async def _is_filled(target: Target, orders: Sequence[LiveOrder], wait_s: float) -> bool:
    """Whether all of a target is bought back, waiting for its orders for so long at most."""
    deadline = asyncio.get_running_loop().time() + wait_s
    for order in orders:
        left_s = deadline - asyncio.get_running_loop().time()
        await order.wait_until(lambda order=order: order.terminal, left_s)  # type: ignore[misc]
    return filled(orders) >= target.quantity


def _leave(account: Account, target: Target, sending: Sending, reason: Reason) -> None:
    held = target.held
    signed = target.quantity if held.quantity > 0 else -target.quantity
    sending.on_left(left(account, held.name, held.product, signed, reason))


def _kept(underlying: str) -> Reason:
    return Reason(
        code=ReasonCode.UNRESOLVED,
        message=f"kept, since it may hedge a short in {underlying} that is not bought back",
        retryable=True,
    )


def _slices(target: Target) -> list[int]:
    """Split by the freeze quantity, in whole lots."""
    lot = target.held.instrument.lot_size
    most = target.held.instrument.freeze_quantity or MAX_QUANTITY
    most = max(min(most, MAX_QUANTITY) // lot * lot, lot)
    rest = target.quantity
    found = []
    while rest:
        found.append(min(rest, most))
        rest -= found[-1]
    return found

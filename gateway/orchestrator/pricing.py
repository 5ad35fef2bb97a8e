"""Protects orders that have no limit: MARKET becomes LIMIT, and SL-M becomes SL, inside a band.

The one place that turns a price into a limit. Nothing here sends an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerQuote, Instrument, OrderType, Side
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason, Sent
from gateway.orders.request import OrderRequest

UNPRICED = frozenset({OrderType.MARKET, OrderType.SL_M})
MAX_AGE = timedelta(seconds=5)
_MOST_S = 2.0
# Of a leg's time to live, so that enough is left to send it.
_PART_OF_TTL = 0.5
_DEFAULT_BAND = Decimal("1.0")

ReadQuote = Callable[[Account, str], Awaitable[BrokerQuote | Reason]]
"""Reads one fresh price at an account, or says why there is none."""


class Pricer:
    """Finds a fresh price at the account itself, then at its `quotes_from`."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        read: ReadQuote,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts = accounts
        self._read = read
        self._clock = clock

    async def protect(
        self, account: Account, instrument: Instrument, request: OrderRequest
    ) -> Sent:
        """Return what is to go instead of a MARKET or SL-M order.

        Raises: `Denied`: `price_unavailable` where no source has a fresh price in time,
        `price_band` where no limit fits both bands.
        """
        if request.order_type is OrderType.SL_M:
            trigger = request.trigger_price
            assert trigger is not None  # noqa: S101
            price = limit_for(account, instrument, request.side, trigger)
            return Sent(order_type=OrderType.SL, price=price, trigger_price=trigger)
        budget_s = min(request.ttl_ms / 1000 * _PART_OF_TTL, _MOST_S)
        quote = await self._fresh(account, instrument.instrument, budget_s)
        reference = reference_of(quote, request.side, band_of(account, instrument))
        price = limit_for(account, instrument, request.side, reference)
        return Sent(order_type=OrderType.LIMIT, price=price)

    async def _fresh(self, account: Account, instrument: str, budget_s: float) -> BrokerQuote:
        sources = [account] if account.plugin.capabilities.has(Feature.QUOTES) else []
        other = self._accounts.get(account.policy.quotes_from or "")
        if other is not None and other is not account:
            sources.append(other)
        failed = [] if sources else [f"{account.broker} has no quotes"]
        for source in sources:
            try:
                async with asyncio.timeout(budget_s / len(sources)):
                    answer = await self._read(source, instrument)
            except TimeoutError:
                failed.append(f"{source.id} did not answer in time")
                continue
            if isinstance(answer, Reason):
                failed.append(f"{source.id}: {answer.message}")
                continue
            age = self._clock() - answer.as_of
            if answer.last_price <= 0 or age > MAX_AGE:
                failed.append(f"{source.id}: its price is {age.total_seconds():.0f} s old")
                continue
            return answer
        hint = "" if other is not None else ", or name another account in quotes_from"
        raise Denied(
            f"no fresh price of {instrument} to protect the order with ({'; '.join(failed)});"
            f" send LIMIT or SL with a price of your own{hint}",
            reason=ReasonCode.PRICE_UNAVAILABLE,
        )


def band_of(account: Account, instrument: Instrument) -> Decimal:
    """How many percent the limit may be away from its reference."""
    return account.policy.protect_band.get(instrument.type, _DEFAULT_BAND)


def reference_of(quote: BrokerQuote, side: Side, percent: Decimal) -> Decimal:
    """The best price of the other side; the last price where the two sides are not close.

    Where nobody quotes in earnest, the best price of the other side can be any price.
    """
    bid, ask = quote.bid_price, quote.ask_price
    if not bid or not ask or not 0 < bid <= ask or (ask - bid) * 100 > bid * percent:
        return quote.last_price
    return ask if side is Side.BUY else bid


def limit_for(account: Account, instrument: Instrument, side: Side, reference: Decimal) -> Decimal:
    """The furthest price on the tick within the account's band and the exchange's, above zero.

    BUY: up from the reference, SELL: down.

    Raises: `Denied`: `price_band` where that is on the wrong side of the reference.
    """
    percent, tick = band_of(account, instrument), instrument.tick_size
    if side is Side.BUY:
        worst = reference * (1 + percent / 100)
        if instrument.band_high:
            worst = min(worst, instrument.band_high)
        price = (worst / tick).to_integral_value(ROUND_FLOOR) * tick
        fits = price > 0 and _on_tick(reference, tick, ROUND_FLOOR) <= price
    else:
        worst = reference * (1 - percent / 100)
        if instrument.band_low:
            worst = max(worst, instrument.band_low)
        price = max((worst / tick).to_integral_value(ROUND_CEILING) * tick, tick)
        fits = price <= _on_tick(reference, tick, ROUND_CEILING)
    low, high = instrument.band_low, instrument.band_high
    if not fits or (low and price < low) or (high and price > high):
        raise Denied(
            f"no limit within {percent} % of {reference} is within the day's price band"
            f" {low or 'none'} to {high or 'none'} of {instrument.instrument}; send LIMIT or SL"
            " with a price of your own",
            reason=ReasonCode.PRICE_BAND,
        )
    return price


def _on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def assert_may_become(account: Account, wanted: OrderType | None) -> None:
    """Raise `Denied` for a change to an order type that nothing would protect."""
    if wanted in UNPRICED and account.policy.market_orders != "pass":
        raise Denied(
            f"an order of {account.id} cannot be changed to {wanted} (market_orders:"
            f" {account.policy.market_orders}); change it to LIMIT or SL with a price",
            reason=ReasonCode.ORDER_TYPE_NOT_ALLOWED,
        )

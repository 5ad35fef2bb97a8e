"""Margins for who asks, estimated here where a broker has no calculator."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import BrokerQuote, MarginOrder
from gateway.books.margins import Margin
from gateway.books.portfolio import MarginSource
from gateway.books.reader import NotRead, session_of
from gateway.orchestrator.account import Account
from gateway.orchestrator.pricing import ReadQuote
from gateway.orders.records import Reason
from gateway.orders.times import now_us
from gateway.prechecks.contract import Draft
from gateway.prechecks.funds import FundsBook
from gateway.prechecks.margin import estimate_margin

# Nobody trades on this answer, so it may wait longer than an order for the account's funds.
_FUNDS_WITHIN_S = 5.0


class MarginEstimator:
    """Estimates as the checks before sending do, each order alone: no hedge is counted."""

    def __init__(self, funds: FundsBook, read_quote: ReadQuote) -> None:
        self._funds = funds
        self._read_quote = read_quote

    async def estimate(self, account: Account, orders: Sequence[MarginOrder]) -> Margin:
        """Return what the orders need. Raises: `NotRead` where one has no price."""
        at_us = now_us()
        session_of(account, at_us)
        each = [await self._needed(account, order) for order in orders]
        funds = await self._funds.get(account, _FUNDS_WITHIN_S)
        return Margin(
            required=sum(each, Decimal(0)),
            available=funds.funds.available if funds is not None else None,
            orders=each,
            source=MarginSource.ESTIMATE,
            at_us=at_us,
        )

    async def _needed(self, account: Account, order: MarginOrder) -> Decimal:
        draft = Draft(
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            product=order.product,
            quantity=order.quantity,
            price=order.price,
            trigger_price=order.trigger_price,
        )
        price = order.price if order.price is not None else order.trigger_price
        margin = estimate_margin(draft, price)
        if margin is None:
            quote = await self._read_quote(account, order.instrument.instrument)
            if isinstance(quote, BrokerQuote) and quote.last_price > 0:
                margin = estimate_margin(draft, quote.last_price)
        if margin is None:
            raise NotRead(
                Reason(
                    code=ReasonCode.PRICE_UNAVAILABLE,
                    message=f"no price of {order.instrument.instrument} is known to estimate the"
                    " margin with; give the order a price",
                    retryable=True,
                )
            )
        return margin

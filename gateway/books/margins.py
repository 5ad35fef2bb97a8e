"""What orders would need in margin at one account: asked of its broker, or estimated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerFunds, MarginOrder
from gateway.books.portfolio import MarginSource
from gateway.books.reader import BookReader, LiveKind, NotRead, reason_of, session_of
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import now_us


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """Rupees, for all orders together and (where said) for each alone, as of `at_us`."""

    required: Decimal
    available: Decimal | None
    orders: Sequence[Decimal | None]
    source: MarginSource
    at_us: int


# The margin of orders at a broker that has no calculator; raises `NotRead` where it cannot tell.
Estimate = Callable[[Account, Sequence[MarginOrder]], Awaitable[Margin]]


class MarginDesk:
    """`estimate` answers for the brokers that have no calculator; None: they answer not_supported.

    A broker that has a calculator is never second-guessed by an estimate.
    """

    def __init__(
        self,
        reader: BookReader,
        on_session_expired: Callable[[Account, LoginExpired], None],
        estimate: Estimate | None = None,
    ) -> None:
        self._reader = reader
        self._on_session_expired = on_session_expired
        self._estimate = estimate

    async def needed(self, account: Account, orders: Sequence[MarginOrder]) -> Margin:
        """Say what the orders need together, in the order in which they would be placed.

        Raises: `NotRead`.
        """
        if not account.plugin.capabilities.has(Feature.MARGINS):
            return await self._estimated(account, orders)
        at_us = now_us()
        session = session_of(account, at_us)
        try:
            found = await account.calls.margins(session, orders)
        except LoginExpired as error:
            self._on_session_expired(account, error)
            raise NotRead(reason_of(error)) from error
        except GatewayError as error:
            raise NotRead(reason_of(error)) from error
        available = found.available
        if available is None:
            available = await self._available(account)
        each = list(found.orders)
        # A list of another length cannot be told apart: which row would be which order's?
        told = each if len(each) == len(orders) else [None] * len(orders)
        return Margin(
            required=found.required,
            available=available,
            orders=told,
            source=MarginSource.BROKER,
            at_us=at_us,
        )

    async def _estimated(self, account: Account, orders: Sequence[MarginOrder]) -> Margin:
        if self._estimate is None:
            raise NotRead(
                Reason(
                    code=ReasonCode.NOT_SUPPORTED,
                    message=f"{account.plugin.title} has no margin calculator that is used here",
                ),
                supported=False,
            )
        return await self._estimate(account, orders)

    async def _available(self, account: Account) -> Decimal | None:
        """The account's funds, where they can be read; a calculator's answer stands without."""
        if not account.plugin.capabilities.has(Feature.FUNDS):
            return None
        try:
            book = await self._reader.read(account, LiveKind.FUNDS)
        except NotRead:
            return None
        funds: BrokerFunds = book.rows[0]
        return funds.available

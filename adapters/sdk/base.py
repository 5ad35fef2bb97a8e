"""Where an adapter begins: every call that a broker may lack, refused as `NotSupported`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from adapters.sdk.errors import NotSupported
from adapters.sdk.interface import Capabilities, Feature, SendGate, Support
from adapters.sdk.models import (
    BrokerDepth,
    BrokerFunds,
    BrokerHolding,
    BrokerMargin,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    Candle,
    Instrument,
    Interval,
    LoginStep,
    MarginOrder,
    Modified,
    ModifyOrder,
    OtpRequired,
    Session,
)


class BaseAdapter:
    """The calls of `Adapter` that may be left out. Inherit, and override what the broker has.

    Each raises `NotSupported` and says whether the broker lacks it or the adapter could not
    prove it, as `Capabilities.features` declares.
    """

    title = "this broker"

    @property
    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        raise NotSupported(f"{self.title} asks for no one-time password here")

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        self._refuse(Feature.RESEND_OTP, "another one-time password")

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        raise NotSupported(f"{self.title} redirects nowhere in this login")

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        raise NotSupported(f"{self.title} cannot be asked for the orders of a tag")

    def check_modify(self, change: ModifyOrder) -> None:
        self._refuse(Feature.MODIFY, "changes of an order")

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        self._refuse(Feature.MODIFY, "changes of an order")

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        self._refuse(Feature.TRADE_BOOK, "a trade book")

    async def positions(self, session: Session) -> list[BrokerPosition]:
        self._refuse(Feature.POSITIONS, "positions")

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        self._refuse(Feature.QUOTES, "quotes")

    async def depth(self, session: Session, instrument: Instrument) -> BrokerDepth | None:
        self._refuse(Feature.DEPTH, "market depth")

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        self._refuse(Feature.CANDLES, "candles")

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        self._refuse(Feature.HOLDINGS, "holdings")

    async def funds(self, session: Session) -> BrokerFunds:
        self._refuse(Feature.FUNDS, "funds")

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        self._refuse(Feature.MARGINS, "a margin calculator")

    def _refuse(self, feature: Feature, what: str) -> NoReturn:
        if self.capabilities.features.get(feature) is Support.UNVERIFIED:
            raise NotSupported(f"how {self.title} offers {what} is not proven, so it is not used")
        raise NotSupported(f"{self.title} does not offer {what}")

"""What a broker adapter is: the contract that the gateway calls and an adapter fulfils.

An adapter holds one account's connection to one broker. It imports nothing of the gateway,
keeps no order state, never repeats a request by itself, and never follows a redirect on a
trading call. Whatever it raises on purpose is a `GatewayError` (see `errors`).

A plug-in is found through the entry-point group `brokergate.adapters`: a name and an
`AdapterPlugin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from adapters.sdk.models import (
    BrokerDepth,
    BrokerFunds,
    BrokerHolding,
    BrokerMargin,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    CancelRequested,
    Candle,
    Exchange,
    Instrument,
    Interval,
    LoginStep,
    MarginOrder,
    Modified,
    ModifyOrder,
    OrderRef,
    OrderType,
    OtpRequired,
    Placed,
    PlaceOrder,
    Product,
    Session,
    Validity,
)

if TYPE_CHECKING:
    from adapters.sdk.error_table import ErrorRow
    from adapters.sdk.simulator import BrokerSimulator


class TagEcho(StrEnum):
    """How a leg can be found again by its `broker_tag`.

    QUERYABLE: the book can be asked for the tag. ECHOED: proven to come back in the book.
    UNPROVEN: sent, but whether it comes back must be learned on each account.
    """

    QUERYABLE = "queryable"
    ECHOED = "echoed"
    UNPROVEN = "unproven"


class LoginKind(StrEnum):
    OTP = "otp"
    TOTP = "totp"
    REDIRECT = "redirect"
    NONE = "none"


class Feature(StrEnum):
    """What not every broker offers. The calls of the interface that have its name need it."""

    AMO = "amo"
    DISCLOSED_QUANTITY = "disclosed_quantity"
    MODIFY = "modify"
    MODIFY_PART_FILLED_QUANTITY = "modify_part_filled_quantity"
    TRADE_BOOK = "trade_book"
    POSITIONS = "positions"
    HOLDINGS = "holdings"
    FUNDS = "funds"
    MARGINS = "margins"
    QUOTES = "quotes"
    DEPTH = "depth"
    CANDLES = "candles"
    RESEND_OTP = "resend_otp"
    LOGOUT = "logout"


class Support(StrEnum):
    """NOT_OFFERED: the broker has none. UNVERIFIED: it may have, but nothing proves how it works;
    the adapter refuses it. Both are refused with `NotSupported`.
    """

    SUPPORTED = "supported"
    NOT_OFFERED = "not offered"
    UNVERIFIED = "unverified"


class CredentialField(msgspec.Struct, frozen=True, kw_only=True):
    """One field that `brokergate vault set` asks for. `secret` fields are never echoed."""

    name: str
    help: str
    secret: bool = True
    required: bool = True


class RateScope(StrEnum):
    """What a broker's window counts: ORDERS is place, modify and cancel together."""

    ORDERS = "orders"
    READS = "reads"
    ALL = "all"


class RateWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the broker's own limits: at most `count` calls in any `per_s` seconds.

    86,400 seconds are a calendar day in IST. `reserve` of the calls are kept for cancels and
    for looking after orders. State less than the broker allows: others may use the login too.
    """

    scope: RateScope
    per_s: int
    count: int
    reserve: int = 0


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What this adapter can do, declared once; the gateway and the kit believe only this.

    `absence_horizon_s`: for how long good reads must show nothing before a leg may be called
    not found (never under 60). `hosts`: name to default URL, as `base_urls` may override.
    `login_kinds`: values that the account's `login` setting may take, the default first.
    `comparable_fields`: names of `BrokerOrder` fields that make an untagged order a suspect.
    `book_min_gap_s`: how far apart order-book reads have to be. `code_keys`: the entries of
    `codes` that together name a contract, in every row and in the master alike.
    `orders_per_second`: place, modify and cancel, per exchange. `limits`: the broker's further
    windows. `quote_batch`: instruments per call that `quotes` makes. `features`: what is left
    out is not offered. `candle_days`: for each interval that the broker has, how many days of it
    one call of `candles` may ask for. `practice`: no money moves here, the adapter is the broker
    itself; its instruments and prices are those of the account named by `quotes_from`, if any.
    """

    hosts: dict[str, str]
    login_kinds: tuple[str, ...]
    credentials: tuple[CredentialField, ...]
    tag_echo: TagEcho
    exchanges: frozenset[Exchange]
    order_types: frozenset[OrderType]
    products: frozenset[Product]
    validities: frozenset[Validity]
    features: Mapping[Feature, Support] = {}
    candle_days: Mapping[Interval, int] = {}
    absence_horizon_s: float = 60.0
    orders_per_second: int = 8
    limits: tuple[RateWindow, ...] = ()
    quote_batch: int = 50
    book_min_gap_s: float = 0.5
    code_keys: tuple[str, ...] = ()
    practice: bool = False
    comparable_fields: tuple[str, ...] = (
        "codes",
        "side",
        "quantity",
        "order_type",
        "product",
        "price",
        "trigger_price",
    )

    def has(self, feature: Feature) -> bool:
        """Whether the adapter supports it, proven."""
        return self.features.get(feature) is Support.SUPPORTED


class BorrowedMarket(Protocol):
    """The market that an account without one of its own is lent: another account's.

    Instruments go by canonical id. Every call may raise `Denied`, where the lender is not logged
    in or lacks it, `NotSent` and `OutcomeUnknown`; never `LoginExpired`.
    """

    async def quotes(self, instruments: Sequence[str]) -> dict[str, BrokerQuote]:
        """Read prices. What the lender does not list or price is missing from the answer."""
        ...

    async def depth(self, instrument: str) -> BrokerDepth | None:
        """As `Adapter.depth`."""
        ...

    async def candles(
        self, instrument: str, interval: Interval, start: datetime, end: datetime
    ) -> list[Candle]:
        """As `Adapter.candles`."""
        ...

    async def copy_instruments(self, path: Path) -> int:
        """Write the lender's instruments, a JSON object per line by ascending canonical id.

        The last line is `{"rows":N}`. Returns N; a name that could mean two contracts is left
        out.
        """
        ...


class AdapterContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway tells an adapter about its account.

    `base_urls` holds every host of `Capabilities.hosts`, overrides applied, no trailing slash.
    `ca_file` is a PEM bundle to trust instead of the system's (tests, private proxies).
    `login` is one of `Capabilities.login_kinds`. `state_dir` is a folder for what the adapter has
    to keep over a restart; it may not exist yet, and nothing else uses it. None: nothing can be
    kept. `market` and `practice_cash` (rupees) are for practice, see `Capabilities.practice`.
    """

    account: str
    base_urls: dict[str, str]
    login: str
    source_address: str | None = None
    ca_file: str | None = None
    connect_timeout_s: float = 3.0
    answer_timeout_s: float = 10.0
    read_timeout_s: float = 7.0
    state_dir: Path | None = None
    market: BorrowedMarket | None = None
    practice_cash: Decimal | None = None


class SendGate(Protocol):
    """The gateway's last word before a write. Adapters hand it to the transport, unchanged."""

    async def ready(self) -> None:
        """Awaited once the connection is proven; whatever this raises, nothing is sent."""

    def check(self) -> None:
        """Called with nothing awaited between it and the first byte; raising sends nothing."""


class Adapter(Protocol):
    """One account at one broker.

    Every method that talks to the broker may raise `NotSent`, `OutcomeUnknown` and, given a
    session, `LoginExpired`. Writes may raise `Refused` and, before anything is sent, `Denied`.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def close(self) -> None:
        """Close every connection. The adapter is not used again."""

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Start a login. Raises `LoginRefused`. Not repeated by anyone but the owner."""
        ...

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        """Answer an `OtpRequired`. Raises `LoginRefused`."""
        ...

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        """Ask the broker for another one-time password. Raises `NotSupported`, `LoginRefused`."""
        ...

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        """Answer a `RedirectRequired` with the URL redirected to. Raises `LoginRefused`."""
        ...

    async def prove_session(self, session: Session) -> str:
        """Make one authenticated read and return the client code that the session belongs to."""
        ...

    async def logout(self, session: Session) -> None:
        """End the session at the broker where it offers that, and do nothing where it does not."""

    async def warm(self, session: Session) -> None:
        """Make sure that a connection for orders stands ready, sending no trading request."""

    def is_warm(self) -> bool:
        """Whether an order could go out now on a connection that was proven seconds ago."""
        ...

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for an order that this broker or adapter cannot take. No I/O."""

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Send one order, once."""
        ...

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Ask for a cancel, once. `Refused` proves neither life nor death of the order: read it."""
        ...

    def check_modify(self, change: ModifyOrder) -> None:
        """Raise `Denied` for a change that this broker or adapter cannot take. No I/O.

        A new quantity of a part-filled order is denied where the broker's meaning is unproven.
        """

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        """Ask for a change, once. Only the order book proves that it was applied."""
        ...

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the account's whole order book of the day, or raise: never a part of it."""
        ...

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order, or None when a good answer says that it does not exist."""
        ...

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        """Read the orders that carry a tag. Raises `NotSupported` unless the echo is QUERYABLE."""
        ...

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read every fill of the day, or raise: never a part of it."""
        ...

    async def positions(self, session: Session) -> list[BrokerPosition]:
        """Read the account's net positions, closed ones of the day included, or raise."""
        ...

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read prices by canonical id, batched as the broker wants it.

        An instrument that the broker does not price is missing from the answer, never zero.
        """
        ...

    async def depth(self, session: Session, instrument: Instrument) -> BrokerDepth | None:
        """Read the best prices of both sides, or None where the broker has none."""
        ...

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        """Read candles that begin in `start` to `end` (both included, IST), oldest first.

        At most `candle_days` of them, and never both of earlier days and of today: the caller
        splits there, as brokers do. The newest may be unfinished. None are made up for gaps.
        """
        ...

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        """Read the shares that the account owns, or raise: never a part of them."""
        ...

    async def funds(self, session: Session) -> BrokerFunds:
        """Read the account's money."""
        ...

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        """Ask the broker's calculator what orders need together, the first placed first."""
        ...

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Fetch the broker's instrument files into `folder`, streamed; return their paths.

        Raises `GatewayError` when a file is missing or visibly cut short. `session` is None
        when nobody is logged in; a broker whose master needs a login then raises `LoginExpired`.
        """
        ...

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse downloaded files row by row, never a whole file in memory. No network.

        Raises `ValueError` naming file and row when a file is not what the dossier describes.
        """
        ...


class AdapterPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter package offers under its entry point (`brokergate.adapters`).

    `create`, `simulator` and `errors` import lazily, so that an unused broker costs nothing at
    start. `errors` lists what the broker's codes and texts mean, from the tables that the
    adapter's parser reads (see `error_table`).
    """

    broker: str
    title: str
    capabilities: Capabilities
    create: Callable[[AdapterContext], Adapter]
    simulator: Callable[..., BrokerSimulator] | None = None
    errors: Callable[[], Sequence[ErrorRow]] | None = None

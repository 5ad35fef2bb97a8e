"""The unified shapes that pass between the gateway and an adapter, in the market's words.

Prices are rupees as `Decimal`; quantities are units (shares, or lots x lot size) as `int`;
times are aware datetimes. Nothing here knows a broker or the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from adapters.sdk.errors import ReasonCode


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class Product(StrEnum):
    CNC = "CNC"
    MIS = "MIS"
    NRML = "NRML"
    MTF = "MTF"


class Validity(StrEnum):
    DAY = "DAY"
    IOC = "IOC"


class Exchange(StrEnum):
    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    CDS = "CDS"
    BCD = "BCD"
    MCX = "MCX"


class InstrumentType(StrEnum):
    EQ = "EQ"
    INDEX = "INDEX"
    FUT = "FUT"
    OPT = "OPT"


class OptionType(StrEnum):
    CE = "CE"
    PE = "PE"


class Interval(StrEnum):
    """How much time one candle covers. A day is a trading day."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M10 = "10m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    D1 = "1d"


class BrokerOrderState(StrEnum):
    """What a broker's book says of an order, in the words of the leg states.

    `PENDING` is an order that the broker has but the exchange has not acknowledged.
    """

    PENDING = "PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset(
    {
        BrokerOrderState.FILLED,
        BrokerOrderState.CANCELLED,
        BrokerOrderState.REJECTED,
        BrokerOrderState.EXPIRED,
    }
)


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One contract as one broker lists it: our canonical terms plus that broker's own codes.

    `instrument` is the canonical id, `EXCHANGE:SYMBOL` (`NSE:SBIN`, `NFO:NIFTY30DEC25FUT`).
    `lot_size` is units per lot (1 for cash). `codes` holds whatever this broker wants on the
    wire to name the contract; only its adapter reads it. `band_low` and `band_high` are the
    lowest and highest price of the day, where the broker's master publishes them.
    """

    instrument: str
    exchange: Exchange
    symbol: str
    name: str
    type: InstrumentType
    lot_size: int
    tick_size: Decimal
    codes: dict[str, str]
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: OptionType | None = None
    freeze_quantity: int | None = None
    isin: str | None = None
    band_low: Decimal | None = None
    band_high: Decimal | None = None

    @property
    def is_derivative(self) -> bool:
        return self.type in (InstrumentType.FUT, InstrumentType.OPT)


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One leg's order, ready for a broker. `broker_tag` has exactly 15 decimal digits."""

    broker_tag: int
    instrument: Instrument
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int = 0
    amo: bool = False


class OrderRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which order at the broker is meant, with what some brokers want repeated about it."""

    broker_order_id: str
    instrument: Instrument | None = None
    order_type: OrderType | None = None
    amo: bool = False


class ModifyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an order at the broker is to become: every field as it will be, not only the changed.

    `quantity` is the new total, the filled part included. `filled_quantity` is what the book last
    showed. The instrument, side, product and validity are those of the order and never change.
    """

    broker_order_id: str
    instrument: Instrument
    side: Side
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    previous_quantity: int
    filled_quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int = 0
    amo: bool = False


class Modified(msgspec.Struct, frozen=True, kw_only=True):
    """The broker took the modify request. Only the order book proves that it was applied."""

    broker_order_id: str
    message: str | None = None


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The broker gave an id. That is acceptance by its front door, not by the exchange."""

    broker_order_id: str
    message: str | None = None


class CancelRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The broker took the cancel request. Only the order book proves that the order is gone."""

    broker_order_id: str
    message: str | None = None


class BrokerOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of a broker's order book.

    `broker_tag` is ours read back, or None where the row carries none (an order placed
    elsewhere, or a broker that does not echo). `state` is None when the broker's word for it
    is not known to the adapter: `raw_state` then says what it was, and it changes nothing.
    `codes` identifies the contract in the broker's own terms, for the gateway to look up;
    `instrument` is set only where the row itself proves the canonical id. `reason` is why a
    rejected order was rejected, where the adapter knows the broker's words for it.
    """

    broker_order_id: str
    state: BrokerOrderState | None
    raw_state: str
    codes: dict[str, str]
    side: Side | None
    order_type: OrderType | None
    product: Product | None
    quantity: int
    filled_quantity: int
    validity: Validity | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    broker_tag: int | None = None
    instrument: str | None = None
    exchange_order_id: str | None = None
    message: str | None = None
    placed_at: datetime | None = None
    reason: ReasonCode | None = None


class BrokerTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fill from a broker's trade book. `codes` as in `BrokerOrder`; `quantity` in units."""

    trade_id: str
    broker_order_id: str
    codes: dict[str, str]
    side: Side | None
    product: Product | None
    quantity: int
    price: Decimal
    exchange_order_id: str | None = None
    broker_tag: int | None = None
    traded_at: datetime | None = None


class BrokerPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One net position. `quantity` is signed units; what the broker does not give is None."""

    codes: dict[str, str]
    product: Product | None
    quantity: int
    buy_quantity: int | None = None
    sell_quantity: int | None = None
    buy_price: Decimal | None = None
    sell_price: Decimal | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    realised_pnl: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    multiplier: Decimal = Decimal(1)


class BrokerHolding(msgspec.Struct, frozen=True, kw_only=True):
    """Shares that the account owns. Quantities are units; what the broker does not give is None.

    `quantity` is all of them: delivered, bought and not delivered yet (`t1_quantity`), and pledged.
    `codes` as in `BrokerOrder`, empty where the row carries none: then only `isin` names it.
    """

    codes: dict[str, str]
    quantity: int
    isin: str | None = None
    name: str | None = None
    t1_quantity: int | None = None
    pledged_quantity: int | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    pnl: Decimal | None = None


class BrokerFunds(msgspec.Struct, frozen=True, kw_only=True):
    """Rupees of the ledger that pays for the segments that the adapter trades.

    `available` is what new orders may use, collateral included where the broker counts it in.
    """

    available: Decimal | None
    used: Decimal | None = None
    opening: Decimal | None = None
    collateral: Decimal | None = None


class MarginOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a margin calculator is asked about; nothing is placed."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class BrokerMargin(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says that orders need, in rupees.

    `required` is for all of them together, hedges counted as the broker counts them. `orders`
    holds what each needs alone, in the order asked, None where the broker does not say.
    `at_least`: where the broker's figures can be read in two ways, the smaller reading; only that
    much is proven to be needed. None: `required` is.
    """

    required: Decimal
    orders: Sequence[Decimal | None]
    available: Decimal | None = None
    at_least: Decimal | None = None


class BrokerQuote(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's prices. `as_of` is when the broker says, else when it was read."""

    instrument: str
    last_price: Decimal
    as_of: datetime
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    volume: int | None = None
    bid_price: Decimal | None = None
    bid_quantity: int | None = None
    ask_price: Decimal | None = None
    ask_quantity: int | None = None
    open_interest: int | None = None


class DepthLevel(msgspec.Struct, frozen=True, kw_only=True):
    """One price of the order book of the exchange. `orders` is how many orders make it up."""

    price: Decimal
    quantity: int
    orders: int | None = None


class BrokerDepth(msgspec.Struct, frozen=True, kw_only=True):
    """The best prices of both sides, best first; levels without a quantity are left out."""

    instrument: str
    bids: Sequence[DepthLevel]
    asks: Sequence[DepthLevel]
    as_of: datetime


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """Prices over one interval. `at` is when it began, in IST; of a day, its midnight."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None = None
    open_interest: int | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A broker login that works. `token` is secret, and sealed wherever it is stored.

    `client_id` is the client code that the login proved. `extra` holds whatever else the
    adapter needs with the token (never shown, sealed with it).
    """

    token: str
    client_id: str
    logged_in_at: datetime
    expires_at: datetime
    extra: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Session(client_id={self.client_id!r}, expires_at={self.expires_at.isoformat()})"


class OtpRequired(msgspec.Struct, frozen=True, kw_only=True):
    """The broker asked for a one-time password; `pending` is handed back with the answer."""

    prompt: str
    expires_at: datetime
    pending: dict[str, str]

    def __repr__(self) -> str:
        return f"OtpRequired(prompt={self.prompt!r}, expires_at={self.expires_at.isoformat()})"


class RedirectRequired(msgspec.Struct, frozen=True, kw_only=True):
    """The owner must log in on the broker's page, which then redirects to the gateway.

    `state` is the value that the redirect must bring back, or None where the broker returns
    none (the gateway then parks the answer until the owner confirms it).
    """

    login_url: str
    state: str | None
    expires_at: datetime
    pending: dict[str, str]

    def __repr__(self) -> str:
        return f"RedirectRequired(expires_at={self.expires_at.isoformat()})"


LoginStep = Session | OtpRequired | RedirectRequired

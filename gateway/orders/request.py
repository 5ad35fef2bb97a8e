"""The order as a client asks for it: its shape, what is wrong with it, its fingerprint."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from adapters.sdk.models import OrderType, Product, Side, Validity

MAX_QUANTITY = 10_000_000
MAX_PRICE = Decimal(100_000_000)
# Every Indian tick is a multiple of 0.0025 rupees, so more decimals cannot be meant.
MAX_DECIMALS = 4
MAX_ACCOUNTS = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]


class Require(StrEnum):
    ANY = "any"
    ALL = "all"


class Precheck(StrEnum):
    STRICT = "strict"
    BEST_EFFORT = "best_effort"
    OFF = "off"


class WaitFor(StrEnum):
    ACK = "ack"
    BOOK = "book"
    FINAL = "final"


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The body of `POST /v1/orders` (design section 4). `accounts` may hold `@group` names."""

    instrument: Annotated[str, msgspec.Meta(min_length=3, max_length=64)]
    side: Side
    order_type: OrderType
    product: Product
    accounts: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], ...],
        msgspec.Meta(min_length=1, max_length=MAX_ACCOUNTS),
    ]
    validity: Validity = Validity.DAY
    quantity: Quantity | None = None
    lots: Quantity | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)] = 0
    quantities: dict[str, Quantity] = {}
    strategy: Name | None = None
    amo: bool = False
    slice: bool = False
    require: Require = Require.ANY
    precheck: Precheck = Precheck.BEST_EFFORT
    ttl_ms: Annotated[int, msgspec.Meta(ge=1, le=30_000)] = 5000
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 3000
    wait_for: WaitFor = WaitFor.ACK

    def __post_init__(self) -> None:
        for field in ("price", "trigger_price"):
            given: Decimal | None = getattr(self, field)
            if given is not None:
                msgspec.structs.force_setattr(self, field, tidy(given))


class FieldError(msgspec.Struct, frozen=True):
    field: str
    message: str


def problems_of(order: OrderRequest) -> list[FieldError]:
    """List what is wrong with the order as a whole, whatever the account. Empty when nothing is."""
    errors: list[FieldError] = []
    errors.extend(instrument_problems(order.instrument))
    if (order.quantity is None) == (order.lots is None):
        errors.append(FieldError("quantity", "is required unless lots is given, and then left out"))
    for field, price in (("price", order.price), ("trigger_price", order.trigger_price)):
        errors.extend(price_problems(field, price))
    errors.extend(_type_problems(order))
    if order.disclosed_quantity and order.quantity and order.disclosed_quantity > order.quantity:
        errors.append(FieldError("disclosed_quantity", "must not exceed quantity"))
    if len(set(order.accounts)) != len(order.accounts):
        errors.append(FieldError("accounts", "names an account twice; name each one once"))
    return errors


def fingerprint(order: OrderRequest) -> bytes:
    """Hash what makes two requests the same order: everything but how long the client waits."""
    plain = msgspec.structs.replace(
        order,
        price=_plain(order.price),
        trigger_price=_plain(order.trigger_price),
        quantities=dict(sorted(order.quantities.items())),
        wait_ms=0,
        wait_for=WaitFor.ACK,
    )
    return hashlib.sha256(msgspec.json.encode(plain)).digest()


def tidy(price: Decimal) -> Decimal:
    """Spell a price as answers show it: no exponent, and no decimals beyond those that can be
    meant. One that means something else stays as it is, for `price_problems` to name.
    """
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or -MAX_DECIMALS <= exponent <= 0:
        return price
    if exponent < 0:
        shorter = round(price, MAX_DECIMALS) if abs(price) < MAX_PRICE else price
        return shorter if shorter == price else price
    return Decimal(format(price, "f")) if price < MAX_PRICE else price


def _plain(value: Decimal | None) -> Decimal | None:
    """Give equal numbers one spelling: 812.5, 812.50 and 8.125E2 are one price."""
    if value is None:
        return None
    return Decimal(format(value.normalize(), "f"))


def instrument_problems(instrument: str) -> list[FieldError]:
    """Check the form of an instrument's id, not whether there is one."""
    exchange, _, symbol = instrument.partition(":")
    if symbol and exchange.isupper():
        return []
    what = "must be EXCHANGE:SYMBOL, such as NSE:SBIN or NFO:NIFTY30DEC25FUT"
    return [FieldError("instrument", what)]


def price_problems(field: str, price: Decimal | None) -> list[FieldError]:
    if price is None:
        return []
    if not price.is_finite() or price <= 0:
        return [FieldError(field, "must be a number above zero")]
    if price >= MAX_PRICE:
        return [FieldError(field, f"must be below {MAX_PRICE}")]
    exponent = price.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        return [
            FieldError(
                field,
                f"has more than {MAX_DECIMALS} decimals; send the price as a string rounded to the"
                ' tick, such as "812.50"',
            )
        ]
    return []


def _type_problems(order: OrderRequest) -> list[FieldError]:
    """Check which prices the order type needs and which it must not have."""
    needs_price = order.order_type in (OrderType.LIMIT, OrderType.SL)
    needs_trigger = order.order_type in (OrderType.SL, OrderType.SL_M)
    errors = []
    if needs_price and order.price is None:
        errors.append(FieldError("price", f"is required for {order.order_type} orders"))
    if not needs_price and order.price is not None:
        errors.append(FieldError("price", f"must be left out for {order.order_type} orders"))
    if needs_trigger and order.trigger_price is None:
        errors.append(FieldError("trigger_price", f"is required for {order.order_type} orders"))
    if not needs_trigger and order.trigger_price is not None:
        errors.append(
            FieldError("trigger_price", f"must be left out for {order.order_type} orders")
        )
    return errors

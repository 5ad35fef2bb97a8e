"""Closing positions: what is asked for, its fingerprint, and what became of it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Annotated

import msgspec

from adapters.sdk.models import Product
from gateway.orders.margins import AccountNames
from gateway.orders.records import Reason
from gateway.orders.request import FieldError, Name, instrument_problems

CLOSE_PREFIX = "cls_"
ALL = Decimal(100)


class CloseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/positions/close` (design section 4). What is left out narrows nothing,
    but for `product`: only MIS and NRML are closed where none is named.
    """

    accounts: AccountNames | None = None
    instrument: Annotated[str, msgspec.Meta(min_length=3, max_length=64)] | None = None
    product: Product | None = None
    strategy: Name | None = None
    percent: Decimal = ALL

    @property
    def products(self) -> frozenset[Product]:
        return frozenset({self.product} if self.product else {Product.MIS, Product.NRML})


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """A request to close as journalled. Its orders are journalled one by one, under keys of it."""

    close_id: str
    client: str
    idempotency_key: str
    fingerprint: bytes
    created_us: int
    request: CloseRequest
    accounts: tuple[str, ...]
    boot_id: str

    def order_key(self, account: str, n: int) -> str:
        """The idempotency key of an account's `n`-th closing order; no client can send such."""
        return f"{self.close_id}\n{account}\n{n}"


class Left(msgspec.Struct, kw_only=True):
    """What is not closed of what was asked for, and why.

    `quantity` is signed, as the position is; None where nobody could look. So is `instrument`,
    also where the contract is in no master.
    """

    account: str
    instrument: str | None
    product: Product | None
    quantity: int | None
    reason: Reason


class Rounded(msgspec.Struct, kw_only=True):
    """Where `percent` of a position (or of the strategy's share) is no whole number of lots."""

    account: str
    instrument: str
    product: Product
    position: int
    percent: Decimal
    lot_size: int
    quantity: int


class Unresolved(msgspec.Struct, kw_only=True):
    """An order of which nobody knows for certain whether it still lives, or trades."""

    account: str
    instrument: str | None
    order_id: str | None
    leg_id: str | None
    broker_order_id: str | None
    message: str


class CancelledOrder(msgspec.Struct, kw_only=True):
    """An order that the book shows over; `ended` is the state that ended it."""

    account: str
    broker_order_id: str | None
    order_id: str | None
    leg_id: str | None
    instrument: str | None
    ended: str | None


class CloseOutcome(msgspec.Struct, kw_only=True):
    """What became of a request to close, but for its orders. `finished`: nothing is under way."""

    finished: bool = False
    cancelled: list[CancelledOrder] = []
    remaining: list[Left] = []
    unresolved: list[Unresolved] = []
    rounded: list[Rounded] = []


def close_problems(request: CloseRequest) -> list[FieldError]:
    """List what is wrong with the request as a whole, but for its accounts."""
    errors = []
    percent = request.percent
    if not percent.is_finite() or not 0 < percent <= ALL:
        errors.append(FieldError("percent", "must be above 0 and at most 100"))
    if request.instrument is not None:
        errors.extend(instrument_problems(request.instrument))
    return errors


def close_fingerprint(request: CloseRequest) -> bytes:
    """Hash what makes two requests the same; 50 and "50.0" are one percentage."""
    plain = msgspec.structs.replace(
        request, percent=Decimal(format(request.percent.normalize(), "f"))
    )
    return hashlib.sha256(b"close " + msgspec.json.encode(plain)).digest()

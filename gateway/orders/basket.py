"""Several orders under one key: their shape, their fingerprint, and how each order is keyed."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec

from gateway.orders.request import FieldError, OrderRequest, fingerprint, problems_of

MAX_ORDERS = 50
BASKET_PREFIX = "bsk_"


class Sequence(StrEnum):
    PARALLEL = "parallel"
    ORDERED = "ordered"


class StopOn(StrEnum):
    """When an ordered basket goes no further: NOT_FILLED also stops at what is not filled."""

    NEVER = "never"
    REJECTED = "rejected"
    NOT_FILLED = "not_filled"


class BasketRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/baskets` (design section 4)."""

    orders: Annotated[tuple[OrderRequest, ...], msgspec.Meta(min_length=1, max_length=MAX_ORDERS)]
    sequence: Sequence = Sequence.PARALLEL
    stop_on: StopOn = StopOn.NEVER


class Basket(msgspec.Struct, frozen=True, kw_only=True):
    """A basket as journalled. Its orders are journalled one by one, each under a key made here."""

    basket_id: str
    client: str
    idempotency_key: str
    fingerprint: bytes
    created_us: int
    request: BasketRequest
    boot_id: str

    def order_key(self, index: int) -> str:
        """The idempotency key of the order at `index`; no client can send one like it."""
        return f"{self.basket_id}\n{index}"


def basket_problems(request: BasketRequest) -> list[FieldError]:
    """List what is wrong with the basket, each field under the order it belongs to."""
    errors = [
        FieldError(f"orders[{index}].{error.field}", error.message)
        for index, order in enumerate(request.orders)
        for error in problems_of(order)
    ]
    if request.sequence is Sequence.PARALLEL and request.stop_on is not StopOn.NEVER:
        errors.append(
            FieldError("stop_on", "needs sequence: ordered; parallel orders all go at once")
        )
    return errors


def basket_fingerprint(request: BasketRequest) -> bytes:
    """Hash what makes two basket requests the same."""
    digest = hashlib.sha256(f"basket {request.sequence} {request.stop_on}".encode())
    for order in request.orders:
        digest.update(fingerprint(order))
    return digest.digest()

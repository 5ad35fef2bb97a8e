"""The body of `POST /v1/margins`: orders that are only asked about."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from adapters.sdk.models import OrderType, Product, Side, Validity
from gateway.orders.request import (
    MAX_ACCOUNTS,
    MAX_QUANTITY,
    FieldError,
    Name,
    OrderRequest,
    Precheck,
    Quantity,
    Require,
    WaitFor,
    problems_of,
)

MAX_MARGIN_ORDERS = 50
AccountNames = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], ...],
    msgspec.Meta(min_length=1, max_length=MAX_ACCOUNTS),
]


class AskedOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order as for placing, so that the same body can be asked about first.

    `accounts` may be left out where the request names them for every order. What says how an
    order is sent and waited for is taken and has no effect on its margin.
    """

    instrument: Annotated[str, msgspec.Meta(min_length=3, max_length=64)]
    side: Side
    order_type: OrderType
    product: Product
    accounts: AccountNames | None = None
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


class MarginsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accounts` are those of every order that does not name its own."""

    orders: Annotated[
        tuple[AskedOrder, ...], msgspec.Meta(min_length=1, max_length=MAX_MARGIN_ORDERS)
    ]
    accounts: AccountNames | None = None

    def as_orders(self) -> tuple[list[OrderRequest], list[FieldError]]:
        """The orders as if they were to be placed, and everything that is wrong with them."""
        found, errors = [], []
        for index, asked in enumerate(self.orders):
            accounts = asked.accounts or self.accounts
            if accounts is None:
                errors.append(
                    FieldError(
                        "accounts", f"is required: orders[{index}] names no account of its own"
                    )
                )
                continue
            order = OrderRequest(
                instrument=asked.instrument,
                side=asked.side,
                order_type=asked.order_type,
                product=asked.product,
                accounts=accounts,
                quantity=asked.quantity,
                lots=asked.lots,
                price=asked.price,
                trigger_price=asked.trigger_price,
                disclosed_quantity=asked.disclosed_quantity,
                quantities=asked.quantities,
            )
            own = asked.accounts is not None
            errors += [in_order(index, error, own=own) for error in problems_of(order)]
            found.append(order)
        return found, errors


def in_order(index: int, error: FieldError, *, own: bool) -> FieldError:
    """Name a field by where it stands: in its order, or in the accounts named for all of them."""
    if error.field.startswith("accounts") and not own:
        return error
    return FieldError(f"orders[{index}].{error.field}", error.message)

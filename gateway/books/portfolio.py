"""Rows of holdings, funds and margins as answers show them (design section 4)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from adapters.sdk.models import BrokerFunds, Product, Side
from gateway.books.known import KnownHolding
from gateway.books.rows import amount, price


class HoldingRow(msgspec.Struct, kw_only=True):
    """`quantity` is all of them, those not delivered yet and those pledged included.

    `instrument` is null where neither the broker's codes nor the ISIN lead to one contract.
    """

    instrument: str | None
    isin: str | None
    quantity: int
    t1_quantity: int | None
    pledged_quantity: int | None
    average_price: Decimal | None
    last_price: Decimal | None
    pnl: Decimal | None


class FundsRow(msgspec.Struct, kw_only=True):
    """Rupees; `available` is what new orders may use."""

    available: Decimal | None
    used: Decimal | None
    opening: Decimal | None
    collateral: Decimal | None


class MarginSource(StrEnum):
    BROKER = "broker"
    ESTIMATE = "estimate"


class MarginOrderRow(msgspec.Struct, kw_only=True):
    """What one order needs by itself: null where only the sum of all is said.

    `index` is its place in the request; `quantity` what it comes to at this account.
    """

    index: int
    instrument: str
    side: Side
    product: Product
    quantity: int
    required: Decimal | None


class MarginRow(msgspec.Struct, kw_only=True):
    """`required` is for all orders together, hedges counted as the source counts them."""

    required: Decimal
    available: Decimal | None
    source: MarginSource
    orders: list[MarginOrderRow]


def holding_row(known: KnownHolding) -> HoldingRow:
    row = known.row
    return HoldingRow(
        instrument=known.instrument,
        isin=row.isin,
        quantity=row.quantity,
        t1_quantity=row.t1_quantity,
        pledged_quantity=row.pledged_quantity,
        average_price=price(row.average_price),
        last_price=price(row.last_price),
        pnl=amount(row.pnl if row.pnl is not None else _pnl(known)),
    )


def funds_row(funds: BrokerFunds) -> FundsRow:
    return FundsRow(
        available=amount(funds.available),
        used=amount(funds.used),
        opening=amount(funds.opening),
        collateral=amount(funds.collateral),
    )


def _pnl(known: KnownHolding) -> Decimal | None:
    """The profit where the broker says none, of prices that it does say; brokers say 0 for none."""
    row = known.row
    if not row.last_price or not row.average_price:
        return None
    return (row.last_price - row.average_price) * row.quantity

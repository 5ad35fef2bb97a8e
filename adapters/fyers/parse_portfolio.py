"""Turn Fyers' holdings, ledgers and margins into models or errors. Pure: no I/O, no clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from adapters.fyers.constants import FUND_ROWS, HOLDING_NOT_DELIVERED
from adapters.fyers.envelope import (
    Envelope,
    bad_answer,
    lenient,
    payload,
    require_answer,
    require_read,
)
from adapters.fyers.values import amount, integer, price, text
from adapters.sdk.models import BrokerFunds, BrokerHolding, BrokerMargin


def parse_holdings(envelope: Envelope) -> list[BrokerHolding]:
    """Read what the account owns, mutual funds included, a row as Fyers gives it (dossier 7.2).

    A share may have two rows, one delivered (`HLD`) and one not yet (`T1`). No holdings may have
    `holdings` empty, null or absent.

    Raises:
        BadAnswer: the answer is not a success, or one row cannot be read. Never a part of them.
    """
    require_read(envelope)
    wire = payload(envelope, _HOLDINGS)
    return [_holding(row, envelope) for row in wire.holdings or ()]


def parse_funds(envelope: Envelope) -> BrokerFunds:
    """Read the equity ledger, which also pays for equity derivatives (dossier 7.3).

    Rows are told by `id`, and by title where there is none. A row that is not there is None.

    Raises:
        BadAnswer: the answer is not a success, or has none of the rows.
    """
    require_read(envelope)
    found: dict[str, Decimal] = {}
    for row in payload(envelope, _FUNDS).fund_limit or ():
        name = _fund_name(row)
        value = amount(row.equityAmount)
        if name is not None and value is not None:
            found.setdefault(name, value)
    if not found:
        raise bad_answer(envelope, "gave no ledger that can be read")
    return BrokerFunds(
        available=found.get("available"),
        used=found.get("used"),
        opening=found.get("opening"),
        collateral=found.get("collateral"),
    )


def parse_margin(envelope: Envelope, count: int) -> BrokerMargin:
    """Read what `count` orders need together (dossier 7.4).

    Which of `margin_total` and `margin_new_order` counts existing positions in is documented
    one way and named the other: the larger is what is required, the
    smaller is proven to be. What each order needs alone is
    not said.

    Raises:
        Refused: Fyers does not take a symbol or a value of the orders.
        BadAnswer: the answer proves nothing, or says no margin.
    """
    require_answer(envelope)
    wire = payload(envelope, _MARGIN).data
    said = [
        value
        for value in (amount(wire.margin_total), amount(wire.margin_new_order))
        if value is not None
    ]
    if not said:
        raise bad_answer(envelope, "gave no margin")
    return BrokerMargin(
        required=max(*said, Decimal(0)),
        orders=(None,) * count,
        available=amount(wire.margin_avail),
        at_least=max(min(said), Decimal(0)),
    )


class _WireHolding(msgspec.Struct):
    symbol: str
    quantity: int
    remainingQuantity: int | None = None
    qty_t1: int | None = None
    collateralQuantity: int | None = None
    holdingType: str | None = None
    isin: str | int | None = None
    costPrice: Decimal | None = None
    ltp: Decimal | None = None
    pl: Decimal | None = None


class _WireHoldings(msgspec.Struct):
    holdings: list[_WireHolding] | None = None


class _WireFund(msgspec.Struct):
    id: str | int | None = None
    title: str | None = None
    equityAmount: Decimal | None = None


class _WireFunds(msgspec.Struct):
    fund_limit: list[_WireFund] | None = None


class _WireMarginData(msgspec.Struct):
    margin_avail: Decimal | None = None
    margin_total: Decimal | None = None
    margin_new_order: Decimal | None = None


class _WireMargin(msgspec.Struct):
    data: _WireMarginData


_HOLDINGS: Final = lenient(_WireHoldings)
_FUNDS: Final = lenient(_WireFunds)
_MARGIN: Final = lenient(_WireMargin)
_FUND_NAMES: Final = {row_id: name for name, (row_id, _) in FUND_ROWS.items()}
_FUND_TITLES: Final = {title: name for name, (_, title) in FUND_ROWS.items()}


def _holding(row: _WireHolding, envelope: Envelope) -> BrokerHolding:
    if not row.symbol or row.quantity < 0:
        raise bad_answer(envelope, "gave a holding that cannot be read")
    pledged = _count(row.collateralQuantity)
    undelivered = _count(row.qty_t1)
    # `quantity` is the start of the day's, the other what today's sells left of it.
    left = _count(row.remainingQuantity)
    owned = row.quantity if left is None else min(row.quantity, left)
    if (row.holdingType or "").strip().upper() == HOLDING_NOT_DELIVERED:
        undelivered = max(undelivered or 0, owned)
    # Whether `quantity` counts these in is not documented. It cannot where it is the smaller,
    # and elsewhere adding them could make shares up that somebody then sells.
    apart = max(undelivered or 0, pledged or 0)
    quantity = max(owned, apart) if apart > row.quantity else owned
    return BrokerHolding(
        codes={"symbol": row.symbol},
        quantity=quantity,
        isin=text(row.isin),
        t1_quantity=None if undelivered is None else min(undelivered, quantity),
        pledged_quantity=None if pledged is None else min(pledged, quantity),
        average_price=price(row.costPrice),
        last_price=price(row.ltp),
        pnl=amount(row.pl),
    )


def _count(value: int | None) -> int | None:
    """Read a quantity, where -1 stands for none."""
    return value if value is not None and value >= 0 else None


def _fund_name(row: _WireFund) -> str | None:
    row_id = integer(row.id)
    if row_id is not None:
        return _FUND_NAMES.get(row_id)
    return _FUND_TITLES.get((row.title or "").strip().casefold())

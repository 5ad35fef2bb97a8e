"""The rows of InvestRight's lists, decoded straight from bytes into structs.

No member is held to a type here: numbers come as text, ids as numbers, nulls anywhere (dossier
hdfc 12.5, 12.7), and readers take each as what it is. A list is decoded whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Generic, TypeVar

import msgspec

from adapters.hdfc.constants import CODE_KEYS
from adapters.hdfc.envelope import DECODE_ERRORS, Answer, items, members, plain
from adapters.hdfc.values import Unreadable, Value, exact, text
from adapters.sdk.errors import BadAnswer


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the order book or of the single order (dossier hdfc 5.6)."""

    order_id: Value = None
    exchange_order_id: Value = None
    status: Value = None
    status_message: Value = None
    status_message_raw: Value = None
    order_timestamp: Value = None
    exchange: Value = None
    instrument_segment: Value = None
    security_id: Value = None
    transaction_type: Value = None
    validity: Value = None
    product: Value = None
    order_type: Value = None
    quantity: Value = None
    filled_quantity: Value = None
    pending_quantity: Value = None
    price: Value = None
    trigger_price: Value = None
    average_price: Value = None
    total_traded_value: Value = None
    external_reference_number: Value = None
    # The glossary's spelling; both are read.
    external_reference_rumber: Value = None


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the trade book (5.6). `security_id` holds a name there and is not read."""

    trade_id: Value = None
    order_id: Value = None
    exchange_order_id: Value = None
    exchange: Value = None
    instrument_segment: Value = None
    product: Value = None
    transaction_type: Value = None
    filled_quantity: Value = None
    average_price: Value = None
    total_traded_value: Value = None
    fill_timestamp: Value = None


class PositionRow(msgspec.Struct, frozen=True, gc=False):
    """One net position (7.1): the totals include what was carried forward."""

    exchange: Value = None
    instrument_segment: Value = None
    security_id: Value = None
    product: Value = None
    net_qty: Value = None
    total_buy_quantity: Value = None
    total_sell_qty: Value = None
    average_buy_price: Value = None
    average_sell_price: Value = None
    realised_pl_overall_position: Value = None


class HoldingRow(msgspec.Struct, frozen=True, gc=False):
    """One holding (7.2)."""

    security_id: Value = None
    exchange: Value = None
    company_name: Value = None
    isin: Value = None
    quantity: Value = None
    average_price: Value = None
    pnl: Value = None


class PriceRow(msgspec.Struct, frozen=True, gc=False):
    """One last price (8.1)."""

    exchange: Value = None
    token: Value = None
    ltp: Value = None
    prev_close: Value = None


R = TypeVar("R", OrderRow, TradeRow, PositionRow, HoldingRow, PriceRow)
T = TypeVar("T")


class RowType(Generic[R]):
    """How one kind of row is decoded; `what` is what a list of them is called in errors."""

    def __init__(self, kind: type[R], what: str) -> None:
        self.what = what
        self._kind: type[R] = kind
        self._decoder = msgspec.json.Decoder(list[kind], float_hook=exact)  # type: ignore[valid-type]

    def read(self, raw: msgspec.Raw | None, reader: Callable[[R], T], answer: Answer) -> list[T]:
        """Decode a list and read each row. Raises `BadAnswer`: a list with holes is no list."""
        rows = self._rows(raw, answer)
        try:
            return [reader(row) for row in rows]
        except Unreadable as error:
            raise BadAnswer(
                f"HDFC: {self.what}: unreadable row: {error}", status=answer.status
            ) from None

    def _rows(self, raw: msgspec.Raw | None, answer: Answer) -> list[R]:
        try:
            return self._decoder.decode(raw if raw is not None else b"")
        except DECODE_ERRORS:
            return self._member_by_member(raw, answer)

    def _member_by_member(self, raw: msgspec.Raw | None, answer: Answer) -> list[R]:
        """Decode what the fast way could not: one bad member must not hide the others."""
        rows = items(raw)
        if rows is None:
            raise BadAnswer(f"HDFC: {self.what} are not a list", status=answer.status)
        found: list[R] = []
        for row in rows:
            row_members = members(row)
            if row_members is None:
                raise BadAnswer(
                    f"HDFC: {self.what} hold a row that is no object", status=answer.status
                )
            known = self._kind.__struct_fields__
            found.append(
                self._kind(
                    **{name: plain(row_members[name]) for name in known if name in row_members}
                )
            )
        return found


ORDERS: Final = RowType(OrderRow, "the orders")
TRADES: Final = RowType(TradeRow, "the trades")
POSITIONS: Final = RowType(PositionRow, "the positions")
HOLDINGS: Final = RowType(HoldingRow, "the holdings")
PRICES: Final = RowType(PriceRow, "the last prices")


def codes(row: OrderRow | PositionRow | TradeRow) -> dict[str, str]:
    """Return what names the contract in orders and in the master alike, as far as it is there."""
    return _codes(tuple(text(getattr(row, name, None)) for name in CODE_KEYS))


@lru_cache(2048)  # One for each contract, shared by its rows; nobody changes it.
def _codes(found: tuple[str | None, ...]) -> dict[str, str]:
    return {name: value for name, value in zip(CODE_KEYS, found, strict=True) if value}

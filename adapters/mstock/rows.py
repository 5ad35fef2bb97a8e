"""The rows of m.Stock's books, decoded straight into structs where they are as documented.

Whatever else a row may hold (a float where text is documented, a list around the envelope, the
text "None" for no rows) goes the slow way through `decode_envelope` and ends in the same structs:
the fast way only ever answers what the slow way would. Pure, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec

from adapters.mstock import values
from adapters.mstock.envelope import Envelope, decode_envelope, decode_json, read_error
from adapters.sdk.errors import BadAnswer

# ArithmeticError: a number whose exponent no Decimal can hold.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)

# A documented value: text, now and then a whole number or null. Readers clean it.
Word = str | int | None


class BookRow(msgspec.Struct, frozen=True, gc=False):
    """What every kind of row derives from."""


class OrderRow(BookRow, frozen=True, gc=False):
    """One row of the order book or of the order details (dossier 5.5, 5.6)."""

    orderid: Word = None
    exchangeorderid: Word = None
    status: Word = None
    orderstatus: Word = None
    text: Word = None
    ordertype: Word = None
    producttype: Word = None
    duration: Word = None
    transactiontype: Word = None
    exchange: Word = None
    symboltoken: Word = None
    instrumenttype: Word = None
    quantity: Word = None
    cancelsize: Word = None
    price: Word = None
    triggerprice: Word = None
    ordertag: Word = None
    updatetime: Word = None
    exchorderupdatetime: Word = None


class TradeRow(BookRow, frozen=True, gc=False):
    """One row of the trade book (dossier 5.7). Client id and PAN are never read."""

    ORDER_NUMBER: Word = None
    EXCH_ORDER_NUMBER: Word = None
    TRADE_NUMBER: Word = None
    ORDER_DATE_TIME: Word = None
    BUY_SELL: Word = None
    SEC_ID: Word = None
    EXCHANGE: Word = None
    INSTRUMENT_NAME: Word = None
    PRODUCT: Word = None
    QUANTITY: Word = None
    PRICE: Decimal | None = None
    REMARKS1: Word = None
    REMARKS2: Word = None


class PositionRow(BookRow, frozen=True, gc=False):
    """One row of the net positions (dossier 7.1)."""

    exchange: Word = None
    symboltoken: Word = None
    instrumenttype: Word = None
    producttype: Word = None
    netqty: Word = None
    buyqty: Word = None
    sellqty: Word = None
    cfbuyqty: Word = None
    cfsellqty: Word = None
    buyavgprice: Word = None
    sellavgprice: Word = None
    netvalue: Word = None
    multiplier: Word = None


_ROW: Final = (BookRow, Mapping, msgspec.Raw)

T = TypeVar("T", bound=BookRow)
R = TypeVar("R")


class _Good(msgspec.Struct, Generic[R]):
    """A success with rows, in the shape that the docs show."""

    status: str | bool
    data: list[R]
    errorcode: str | None = None
    error_type: str | None = None


class RowType(Generic[T]):
    """How one kind of row is decoded."""

    def __init__(self, kind: type[T], *, undecoded: bool = False) -> None:
        """`undecoded`: answers keep their rows as they came, for `row` to decode one by one."""
        self._kind = kind
        held: Any = msgspec.Raw if undecoded else kind
        self._decoder: msgspec.json.Decoder[_Good[Any]] = msgspec.json.Decoder(_Good[held])
        self._row_decoder = msgspec.json.Decoder(kind)
        self._fields = msgspec.structs.fields(kind)

    def decode(
        self, http: int, body: bytes, hide: Iterable[str] = (), retry_after_s: float | None = None
    ) -> Envelope:
        """Decode an answer whose `data` is a list of such rows, else as `decode_envelope` does."""
        data = self._fast(body) if 200 <= http < 300 else None
        if data is None:
            return decode_envelope(http, body, hide, retry_after_s)
        return Envelope(http=http, good=True, code="", message="", data=data, has_data=True)

    def read(self, envelope: Envelope) -> list[T]:
        """Return the rows of an answer; none where a *good* answer carries null or "None".

        Raises:
            LoginExpired: the session is dead.
            BadAnswer: anything else that is not a list of objects.
        """
        return [self.row(row) for row in list_of(envelope)]

    def row(self, found: T | Mapping[str, Any] | msgspec.Raw) -> T:
        """Return one row of an answer, in whatever form it was kept. Raises `BadAnswer`."""
        if isinstance(found, self._kind):
            return found
        if isinstance(found, msgspec.Raw):
            try:
                return self._row_decoder.decode(found)
            except _UNDECODABLE:
                found = decode_json(200, bytes(found))
        if not isinstance(found, Mapping):
            raise _not_objects()
        return self.of(found)

    def of(self, row: Mapping[str, Any]) -> T:
        """Take a row of any JSON values: a value that is none of the documented kinds is null."""
        found = {
            field.name: values.number(row, field.name)
            if field.name == "PRICE"
            else values.text(row, field.name)
            for field in self._fields
        }
        return self._kind(**found)

    def _fast(self, body: bytes) -> list[Any] | None:
        try:
            answer = self._decoder.decode(body)
        except _UNDECODABLE:
            return None
        word = str(answer.status).strip().lower()
        if word not in ("true", "success"):
            return None
        if values.clean(answer.errorcode) or values.clean(answer.error_type):
            return None
        return answer.data


# Few rows of an order book change between two reads: see `adapters.mstock.book`.
ORDERS: Final = RowType(OrderRow, undecoded=True)
TRADES: Final = RowType(TradeRow)
POSITIONS: Final = RowType(PositionRow)


def list_of(envelope: Envelope) -> list[Any]:
    """Return the objects of a list answer as they were decoded; see `RowType.read`."""
    if not envelope.proves_success:
        raise read_error(envelope)
    data = envelope.data
    if isinstance(data, str) and data.strip().lower() == "none":
        data = None
    if data is None and envelope.has_data:
        return []
    if not isinstance(data, list) or not all(isinstance(row, _ROW) for row in data):
        raise _not_objects(envelope.http)
    return data


def _not_objects(http: int = 200) -> BadAnswer:
    return BadAnswer("m.Stock's list is not a list of objects", status=http)

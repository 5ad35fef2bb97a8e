"""Turn Fyers' quotes into prices or errors. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from adapters.fyers.constants import CODES_INVALID_SYMBOL
from adapters.fyers.envelope import Envelope, decode, lenient, payload, require_read
from adapters.fyers.values import price
from adapters.sdk.models import BrokerQuote

_T = TypeVar("_T")


def is_bad_symbol(envelope: Envelope) -> bool:
    """Whether an answer says that a symbol, of those asked for, is invalid (dossier 4.2)."""
    return envelope.ok is False and envelope.code in CODES_INVALID_SYMBOL and envelope.status < 500


def parse_quotes(
    envelope: Envelope, names: dict[str, str], read_at: datetime
) -> dict[str, BrokerQuote]:
    """Read one batch of quotes by canonical id; `names` gives it for each ticker asked for.

    A ticker that Fyers reports as bad, leaves out, gives no last price for or writes unreadably
    is absent. `as_of` is `read_at`: the answer's own `tt` is the start of the day (dossier 8).
    Depth quantities and open interest are not in this call.

    Raises:
        BadAnswer: the answer as a whole is not a success.
    """
    require_read(envelope)
    quotes = {}
    for item in payload(envelope, _QUOTES).d or ():
        instrument = names.get(item.n or "")
        quote = _quote(instrument, item, read_at) if instrument is not None else None
        if quote is not None:
            quotes[quote.instrument] = quote
    return quotes


class _WireItem(msgspec.Struct):
    n: str | None = None
    s: str | None = None
    v: msgspec.Raw = msgspec.Raw(b"null")


class _WireQuotes(msgspec.Struct):
    d: list[_WireItem] | None = None


_QUOTES: Final = lenient(_WireQuotes)


def _quote(instrument: str, item: _WireItem, read_at: datetime) -> BrokerQuote | None:
    if item.s is None or item.s.casefold() != "ok":
        return None
    try:
        fields = decode(item.v, dict[str, msgspec.Raw])
    except ValueError:
        return None
    last_price = _price(fields, "lp")
    if last_price is None:
        return None
    return BrokerQuote(
        instrument=instrument,
        last_price=last_price,
        as_of=read_at,
        open=_price(fields, "open_price"),
        high=_price(fields, "high_price"),
        low=_price(fields, "low_price"),
        close=_price(fields, "prev_close_price"),
        volume=_field(fields, "volume", int),
        bid_price=_price(fields, "bid"),
        ask_price=_price(fields, "ask"),
    )


def _price(fields: dict[str, msgspec.Raw], name: str) -> Decimal | None:
    return price(_field(fields, name, Decimal))


def _field(fields: dict[str, msgspec.Raw], name: str, type: type[_T]) -> _T | None:
    """Read one field; an unreadable one is as good as missing and spoils no other."""
    try:
        return decode(fields[name], type)
    except (KeyError, ValueError):
        return None

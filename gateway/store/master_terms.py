"""The words by which instruments are found, and the order in which they are shown.

A row of the search index holds short words, each with a letter in front that says what it is:
`s` symbol or underlying, `n` any other word, and for filters `x` exchange, `t` type, `o` option
type, `u` underlying, `e` expiry, `k` strike. So one index answers typed text and filters alike,
in the order of its row numbers, which are given out by `order_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType

_PARTS = re.compile(r"[a-z0-9]+")
_EXCHANGES = {exchange: at for at, exchange in enumerate(Exchange)}
_GROUPS = {
    InstrumentType.EQ: 0,
    InstrumentType.INDEX: 0,
    InstrumentType.FUT: 1,
    InstrumentType.OPT: 2,
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST_WORDS = 8
_EVERYTHING = '("teq" OR "tindex" OR "tfut" OR "topt")'


class Series(msgspec.Struct, frozen=True):
    """The futures or options of one exchange that expire on one day."""

    exchange: Exchange
    type: InstrumentType
    expiry: date


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for; None and nothing: any. `series`: only contracts of one of these."""

    query: str = ""
    exchange: Exchange | None = None
    type: InstrumentType | None = None
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: OptionType | None = None
    series: tuple[Series, ...] | None = None


def order_of(item: Instrument) -> str:
    """A text that sorts as contracts are shown.

    Shares and indices go first, a plain and short symbol before others, NSE before BSE; then
    futures, then options, each with the nearest expiry first.
    """
    exchange = _EXCHANGES[item.exchange]
    group = _GROUPS[item.type]
    if group == 0:
        has_series = int("-" in item.symbol)
        return f"0{has_series}{len(item.symbol):03d}{item.symbol} {exchange}"
    root = item.underlying or item.symbol
    expiry = f"{item.expiry:%Y%m%d}" if item.expiry else "99999999"
    strike = f"{item.strike or 0:020.6f}"
    return f"{group}{expiry}{len(root):03d}{root} {exchange}{strike}{item.option_type or ''}"


def words_of(item: Instrument) -> str:
    """All words of an instrument, for its row of the index."""
    words = [f"x{item.exchange.value.lower()}", f"t{item.type.value.lower()}"]
    if item.underlying:
        words.append("u" + plain(item.underlying))
    if item.is_derivative and item.expiry is not None:
        root = item.underlying or item.symbol
        month = f"{_MONTHS[item.expiry.month - 1]}{item.expiry:%y}"
        words += [
            "s" + plain(root),
            f"e{item.expiry:%Y%m%d}",
            f"n{item.expiry:%d}{month}",
            f"n{month}",
            f"n{item.type.value.lower()}",
        ]
        if item.strike is not None:
            words += [_strike(item.strike), f"n{_plain_number(item.strike)}"]
        if item.option_type is not None:
            kind = item.option_type.value.lower()
            words += [f"o{kind}", f"n{kind}"]
        return " ".join(words)
    symbol = item.symbol.lower()
    words.append("s" + plain(symbol))
    parts = dict.fromkeys([*_PARTS.findall(symbol), *_PARTS.findall(item.name.lower())])
    parts.pop(plain(symbol), None)
    words += [f"n{part}" for part in parts]
    if item.isin:
        words.append("n" + plain(item.isin))
    return " ".join(words)


def typed_words(query: str) -> list[str]:
    """The words of a typed query as the index has them, at most eight."""
    words = [plain(word) for word in query.rpartition(":")[2].split()]
    return [word for word in words if word][:_MOST_WORDS]


def expressions(wanted: Wanted) -> Iterator[str]:
    """Yield what the index is asked, the best matches first; all of it within the filters.

    A share of exactly that symbol; symbols and underlyings that begin so; then any word.
    """
    filters = list(_filters(wanted))
    words = typed_words(wanted.query)
    if not words:
        yield _all(filters) if filters else _EVERYTHING
        return
    first, rest = words[0], [_any(word) for word in words[1:]]
    yield _all([f'"s{"".join(words)}"', '("teq" OR "tindex")', *filters])
    yield _all([f'"s{first}" *', *rest, *filters])
    yield _all([_any(first), *rest, *filters])


def plain(text: str) -> str:
    """Keep letters and digits, in lower case: `M&M` and `m&m` are `mm`."""
    return "".join(_PARTS.findall(text.lower()))


def _filters(wanted: Wanted) -> Iterator[str]:
    if wanted.exchange is not None:
        yield f'"x{wanted.exchange.value.lower()}"'
    if wanted.type is not None:
        yield f'"t{wanted.type.value.lower()}"'
    if wanted.underlying is not None:
        yield f'"u{plain(wanted.underlying)}"'
    if wanted.expiry is not None:
        yield f'"e{wanted.expiry:%Y%m%d}"'
    if wanted.strike is not None:
        yield f'"{_strike(wanted.strike)}"'
    if wanted.option_type is not None:
        yield f'"o{wanted.option_type.value.lower()}"'
    if wanted.series is not None:
        yield "(" + " OR ".join(map(_series, wanted.series)) + ")"


def _series(one: Series) -> str:
    exchange, kind = one.exchange.value.lower(), one.type.value.lower()
    return f'("x{exchange}" AND "t{kind}" AND "e{one.expiry:%Y%m%d}")'


def _any(word: str) -> str:
    return f'("s{word}" * OR "n{word}" *)'


def _all(parts: list[str]) -> str:
    return " AND ".join(parts)


def _strike(strike: Decimal) -> str:
    return f"k{strike.normalize():f}".replace(".", "p")


def _plain_number(number: Decimal) -> str:
    return plain(f"{number.normalize():f}")

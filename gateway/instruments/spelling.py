"""What may have been meant by an instrument that no master has: brokers' spellings, lower case."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable

from adapters.sdk.models import Exchange, InstrumentType
from gateway.store.instruments import Listed, Wanted

_MOST = 5
_LOOKED_AT = 50
_ALIKE = 0.75
_SERIES = re.compile(r"-(?:EQ|BE|BZ|SM|ST|A|B|INDEX)$")
_EXCHANGES = {exchange.value: exchange for exchange in Exchange}

Search = Callable[[Wanted, int], Awaitable[list[Listed]]]


async def suggestions(written: str, search: Search) -> list[str]:
    """Return up to five canonical ids, the likeliest first; none where nothing is near.

    `NSE:SBIN-EQ` and `sbin` are NSE:SBIN; of `NIFTY` the index and the nearest contracts.
    """
    prefix, colon, rest = written.strip().upper().rpartition(":")
    exchange = _EXCHANGES.get(prefix) if colon else None
    symbol = _SERIES.sub("", rest.strip())
    if not any(letter.isalnum() for letter in symbol):
        return []
    found: dict[str, None] = {}
    for wanted in (
        Wanted(query=symbol, exchange=exchange),
        Wanted(underlying=symbol, type=InstrumentType.FUT),
        Wanted(query=symbol),
    ):
        for listed in await search(wanted, _MOST):
            found.setdefault(next(iter(listed.values())).instrument)
    if not found:
        found = dict.fromkeys(await _near(symbol, exchange, search))
    ids = list(found)
    same = [each for each in ids if each.partition(":")[2] == symbol]
    return [*same, *(each for each in ids if each not in same)][:_MOST]


async def _near(symbol: str, exchange: Exchange | None, search: Search) -> list[str]:
    """Symbols that begin as this one does and differ little: of SBINN, SBIN."""
    for length in range(len(symbol) - 1, max(len(symbol) - 4, 2), -1):
        listed = await search(Wanted(query=symbol[:length], exchange=exchange), _LOOKED_AT)
        ids = [next(iter(each.values())).instrument for each in listed]
        by_symbol = {each.partition(":")[2]: each for each in reversed(ids)}
        near = difflib.get_close_matches(symbol, by_symbol, n=_MOST, cutoff=_ALIKE)
        if near:
            return [by_symbol[each] for each in near]
    return []

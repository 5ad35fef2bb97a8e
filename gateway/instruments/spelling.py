"""What may have been meant by an instrument that no master has: brokers' spellings, lower case."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from adapters.sdk.models import Exchange, InstrumentType
from gateway.store.instruments import Listed, Wanted

_MOST = 5
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
    ids = list(found)
    same = [each for each in ids if each.partition(":")[2] == symbol]
    return [*same, *(each for each in ids if each not in same)][:_MOST]

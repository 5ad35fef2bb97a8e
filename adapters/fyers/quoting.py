"""Quotes in batches, and what to do where Fyers refuses a whole batch for one bad symbol."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from adapters.fyers.client import FyersClient
from adapters.fyers.config import QUOTE_BATCH
from adapters.fyers.constants import IST
from adapters.fyers.parse_quotes import is_bad_symbol, parse_quotes
from adapters.sdk.models import BrokerQuote

log = logging.getLogger(__name__)

MOST_EXTRA_CALLS: Final = 12
"""Enough to find one bad symbol among fifty by halving; more would use up the minute's calls."""

_EXTRA_CALL_PAUSE_S: Final = 0.1
_REMEMBERED_S: Final = 300.0


class Quoting:
    """One account's quotes.

    A symbol that Fyers called invalid when it stood alone is left out for five minutes, so that
    it costs its neighbours their calls only once.
    """

    def __init__(self, client: FyersClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._invalid: dict[str, float] = {}

    async def read(self, authorization: str, names: Mapping[str, str]) -> dict[str, BrokerQuote]:
        """Read prices by canonical id; `names` gives it for each ticker.

        Fifty symbols a call, one call after the other. What is invalid, or was not found out
        within `MOST_EXTRA_CALLS`, is missing.
        """
        quotes: dict[str, BrokerQuote] = {}
        symbols = self._worth_asking(names)
        batches = deque(
            symbols[first : first + QUOTE_BATCH] for first in range(0, len(symbols), QUOTE_BATCH)
        )
        planned, spare = len(batches), MOST_EXTRA_CALLS
        while batches:
            batch = batches.popleft()
            planned -= 1
            if planned < 0:
                # Nobody counted these calls against the ten that a second may have.
                await asyncio.sleep(_EXTRA_CALL_PAUSE_S)
            envelope = await self._client.get_quotes(authorization, batch)
            if not is_bad_symbol(envelope):
                asked = {symbol: names[symbol] for symbol in batch}
                quotes |= parse_quotes(envelope, asked, datetime.now(IST))
            elif len(batch) == 1:
                self._invalid[batch[0]] = self._clock() + _REMEMBERED_S
            elif spare >= 2:
                spare -= 2
                half = len(batch) // 2
                batches.extendleft((batch[half:], batch[:half]))
            else:
                log.warning("Fyers refuses quotes of %d symbols for a bad one", len(batch))
        return quotes

    def _worth_asking(self, names: Mapping[str, str]) -> list[str]:
        now = self._clock()
        self._invalid = {symbol: until for symbol, until in self._invalid.items() if until > now}
        return [symbol for symbol in names if symbol not in self._invalid] or list(names)

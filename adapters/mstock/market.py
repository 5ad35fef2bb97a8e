"""Quotes and candles: what is asked for, and the answers in the gateway's shapes. Pure, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from adapters.mstock import values
from adapters.mstock.constants import (
    DERIVATIVE_EXCHANGE,
    INTERVAL_TO_WIRE,
    INTRADAY_EXCHANGE,
    IST,
)
from adapters.mstock.envelope import Envelope, question_error
from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import BrokerQuote, Candle, Instrument, Interval

# Docs: 2024-01-01T09:15:00+05, mocks: 2025-02-01 09:45. The offset is broken and the clock is
# India's either way, so +05 must not be taken by its word: that would be 30 minutes (dossier 8.2).
_CANDLE_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d\d): ?(\d\d)(?:: ?(\d\d)(?:\.\d{1,9})?)?(?:\+05(?::?30)?)?)?"
)
_MINUTE: Final = timedelta(minutes=1)
_DAY_END: Final = time(23, 59)
_PRICES: Final = 4
_CELLS: Final = _PRICES + 1


def quote_requests(
    instruments: Sequence[Instrument], batch_size: int
) -> Iterator[list[Instrument]]:
    """Split instruments into what one call asks for."""
    for start in range(0, len(instruments), batch_size):
        yield list(instruments[start : start + batch_size])


def tokens(instruments: Iterable[Instrument]) -> dict[str, list[str]]:
    """Write instruments as the quote route wants them: tokens by exchange."""
    found: dict[str, list[str]] = {}
    for instrument in instruments:
        found.setdefault(instrument.exchange.value, []).append(instrument.codes["token"])
    return found


def quotes(
    envelope: Envelope, instruments: Iterable[Instrument], read_at: datetime
) -> dict[str, BrokerQuote]:
    """Read prices by canonical id. No time comes with them, so `read_at` stands for it.

    An answer is matched by exchange and token together: a token alone is not unique.

    Raises:
        Refused: a listed refusal of the request.
        LoginExpired: the session is dead.
        BadAnswer: anything else that is not the shape of dossier 8.1.
    """
    if not envelope.proves_success:
        raise question_error(envelope)
    data = envelope.data if isinstance(envelope.data, Mapping) else {}
    fetched = data.get("fetched")
    if fetched is None and isinstance(data.get("unfetched"), list):
        fetched = []
    if not isinstance(fetched, list):
        raise BadAnswer("m.Stock's quotes are not the shape expected", status=envelope.http)
    asked = {(one.exchange.value, one.codes["token"]): one for one in instruments}
    found = {}
    for row in fetched:
        if not isinstance(row, Mapping):
            continue
        instrument = _asked_for(row, asked)
        last_price = values.rupees(row, "ltp")
        if instrument is None or last_price is None or last_price < 0:
            continue
        found[instrument.instrument] = BrokerQuote(
            instrument=instrument.instrument,
            last_price=last_price,
            as_of=read_at,
            open=values.rupees(row, "open"),
            high=values.rupees(row, "high"),
            low=values.rupees(row, "low"),
            close=values.rupees(row, "close"),
        )
    return found


def historical_request(
    instrument: Instrument, interval: Interval, start: datetime, end: datetime
) -> dict[str, str]:
    """Build the body for candles of earlier days, from `start` to `end` (both included, IST).

    A day is asked for whole, since nothing says at which hour m.Stock files it, and everything else
    a minute further than wanted, since nothing says whether `todate` is included.
    """
    if interval is Interval.D1:
        start = datetime.combine(start.date(), time(), IST)
        end = datetime.combine(end.date(), _DAY_END, IST)
    else:
        end = min(end + _MINUTE, datetime.combine(end.date(), _DAY_END, IST))
    return {
        "exchange": instrument.exchange.value,
        "symboltoken": instrument.codes["token"],
        "interval": INTERVAL_TO_WIRE[interval],
        "fromdate": f"{start:%Y-%m-%d %H:%M}",
        "todate": f"{end:%Y-%m-%d %H:%M}",
    }


def intraday_request(instrument: Instrument, interval: Interval) -> dict[str, str]:
    """Build the body for candles of today, whose route names exchanges by number."""
    return {
        "exchange": INTRADAY_EXCHANGE[instrument.exchange],
        "symboltoken": instrument.codes["token"],
        "interval": INTERVAL_TO_WIRE[interval],
    }


def candles(envelope: Envelope, interval: Interval, start: datetime, end: datetime) -> list[Candle]:
    """Read the candles that begin in `start` to `end`, oldest first whatever the answer's order.

    Candles without any price are left out: nothing traded then.

    Raises:
        Refused: a listed refusal of the request.
        LoginExpired: the session is dead.
        BadAnswer: anything else that is not the shape of dossier 8.2. A row that cannot be read
            makes the whole read bad, because leaving it out would look like a gap in trading.
    """
    if not envelope.proves_success:
        raise question_error(envelope)
    found: dict[datetime, Candle] = {}
    for row in _candle_rows(envelope):
        candle = _candle(row, interval)
        if candle is not None and start <= candle.at <= end:
            found[candle.at] = candle
    return [found[at] for at in sorted(found)]


def day_of(parts: Sequence[Candle]) -> list[Candle]:
    """Add up one day's candles, oldest first, to that day's: none of none."""
    if not parts:
        return []
    volumes = [part.volume for part in parts if part.volume is not None]
    return [
        Candle(
            at=datetime.combine(parts[0].at.date(), time(), IST),
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=sum(volumes) if len(volumes) == len(parts) else None,
        )
    ]


def _asked_for(
    row: Mapping[str, Any], asked: Mapping[tuple[str, str], Instrument]
) -> Instrument | None:
    exchange, token = values.text(row, "exchange").upper(), values.text(row, "symbolToken")
    found = asked.get((exchange, token))
    if found is not None:
        return found
    # The books say NSE for derivatives (dossier 5.5). Should quotes too, the contract's own name
    # must agree, because the same number is another contract's on NSE.
    derivative = asked.get((DERIVATIVE_EXCHANGE.get(exchange, ""), token))
    if derivative is None:
        return None
    name = values.text(row, "tradingSymbol").upper()
    return derivative if name == derivative.codes.get("tradingsymbol", "").upper() else None


def _candle_rows(envelope: Envelope) -> list[Any]:
    data = envelope.data
    if isinstance(data, Mapping):
        data = data.get("candles", data)
    if data is None and envelope.has_data:
        return []
    if isinstance(data, str) and data.strip().lower() == "none":
        return []
    if not isinstance(data, list):
        raise BadAnswer("m.Stock's candles are not the shape expected", status=envelope.http)
    return data


def _candle(row: object, interval: Interval) -> Candle | None:
    if not isinstance(row, list) or len(row) < _CELLS:
        raise BadAnswer("a row of m.Stock's candles has no time or prices")
    at = _began(row[0], interval)
    prices = [values.decimal(values.clean(cell)) for cell in row[1:_CELLS]]
    if at is not None and not any(prices):
        return None
    open_, high, low, close = prices
    if at is None or not (open_ and high and low and close) or min(open_, low, close) < 0:
        raise BadAnswer(f"a row of m.Stock's candles cannot be read ({str(row[0])[:40]!r})")
    volume = values.units(values.clean(row[_CELLS])) if len(row) > _CELLS else None
    return Candle(
        at=at,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=None if volume is None or volume < 0 else volume,
    )


def _began(cell: object, interval: Interval) -> datetime | None:
    found = _CANDLE_TIME.fullmatch(values.clean(cell))
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()
    is_day = interval is Interval.D1
    if hour is None and not is_day:
        return None
    try:
        if is_day:
            return datetime(int(year), int(month), int(day), tzinfo=IST)
        at = (int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
        return datetime(*at, tzinfo=IST)
    except ValueError:
        return None


def last_prices(found: Mapping[str, BrokerQuote]) -> dict[str, Decimal]:
    """Keep the last prices of quotes, by canonical id."""
    return {name: quote.last_price for name, quote in found.items()}

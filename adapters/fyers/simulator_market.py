"""What the simulated Fyers says of prices: quotes, depth, history, market status."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from adapters.fyers.simulator_answers import Invalid, error, invalid, json_object
from adapters.fyers.simulator_rows import depth_row, quote_row
from adapters.fyers.simulator_symbols import EXCHANGE_TO_WIRE
from adapters.sdk.models import Candle
from adapters.sdk.simulator import IST, Contract, SimRequest, SimResponse
from adapters.sdk.simulator.candles import daily_candles, intraday_candles

if TYPE_CHECKING:
    from adapters.fyers.simulator import FyersSimulator

MOST_QUOTES: Final = 50
MOST_MINUTE_DAYS: Final = 100
MOST_DAYS: Final = 366
FIRST_MINUTES: Final = datetime(2017, 7, 3, tzinfo=IST)
"""Intraday candles begin there (dossier 8)."""


class MarketData:
    """Answers the data host.

    `refuse_whole`: one bad symbol spoils a batch of quotes. `history_rows`: so many candles, the
    newest, are all that an answer holds.
    """

    def __init__(self, simulator: FyersSimulator) -> None:
        self._sim = simulator
        self._refuse_whole = bool(simulator.options.get("quotes_refuse_whole", False))
        self._history_rows = int(simulator.options.get("history_rows", 0))

    def quotes(self, request: SimRequest) -> SimResponse:
        return self._quote_all(request.query.get("symbols", "").split(","))

    def quotes_by_body(self, request: SimRequest) -> SimResponse:
        names = (json_object(self._sim, request) or {}).get("symbols")
        return self._quote_all(names if isinstance(names, list) else [])

    def depth(self, request: SimRequest) -> SimResponse:
        name = request.query.get("symbol", "")
        contract = self._sim.symbols.find(name)
        if contract is None:
            return error(-300, "Please provide valid symbol", status=400)
        if request.query.get("ohlcv_flag", "1") not in ("0", "1"):
            return error(-50, "Invalid input: ohlcv_flag", status=400)
        now = self._sim.clock()
        row = depth_row(contract, self._sim.engine.price(contract))
        row["ltt"] = int(now.timestamp())
        return SimResponse(200, {"s": "ok", "d": {name: row}, "message": ""})

    def history(self, request: SimRequest) -> SimResponse:
        try:
            candles, with_interest = self._candles(request.query)
        except Invalid as refused:
            return invalid(refused)
        if not candles:
            return SimResponse(200, {"s": "no_data", "code": 200, "message": "", "candles": []})
        rows = [_candle_row(candle, with_interest=with_interest) for candle in candles]
        if self._history_rows:
            rows = rows[-self._history_rows :]
        return SimResponse(200, {"s": "ok", "code": 200, "message": "", "candles": rows})

    def market_status(self, request: SimRequest) -> SimResponse:
        status = "OPEN" if self._sim.engine.market_open else "CLOSED"
        rows = [
            {"exchange": exchange, "segment": segment, "market_type": "NORMAL", "status": status}
            for exchange, segment in sorted(EXCHANGE_TO_WIRE.values())
        ]
        return SimResponse(200, {"s": "ok", "code": 200, "message": "", "marketStatus": rows})

    def _quote_all(self, names: list[Any]) -> SimResponse:
        if not 0 < len(names) <= MOST_QUOTES or not all(
            isinstance(name, str) and name for name in names
        ):
            return error(-50, "Please provide valid symbols", status=400)
        if self._refuse_whole and any(self._sim.symbols.find(name) is None for name in names):
            return error(-300, "Invalid symbol", status=400)
        return SimResponse(
            200, {"s": "ok", "code": 200, "d": [self._quote(name) for name in names]}
        )

    def _quote(self, name: str) -> dict[str, Any]:
        contract = self._sim.symbols.find(name)
        if contract is None:
            return {"n": name, "s": "error", "v": {"code": -300, "errmsg": "invalid symbol"}}
        row = quote_row(contract, self._sim.engine.price(contract))
        start_of_day = self._sim.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        return {"n": name, "s": "ok", "v": {**row, "tt": str(int(start_of_day.timestamp()))}}

    def _candles(self, query: dict[str, str]) -> tuple[list[Candle], bool]:
        contract = self._sim.symbols.find(query.get("symbol", ""))
        if contract is None:
            raise Invalid("Invalid symbol", code=-300)
        for name in ("cont_flag", "oi_flag"):
            if query.get(name, "0") not in ("0", "1"):
                raise Invalid(f"Invalid input: {name}")
        start, end = _range(query)
        with_interest = query.get("oi_flag") == "1"
        resolution = query.get("resolution", "")
        now = self._sim.clock()
        if resolution in ("D", "1D"):
            if end - start > timedelta(days=MOST_DAYS):
                raise Invalid("Invalid input: range of over 366 days")
            return _daily(contract, start, end, now), with_interest
        if resolution not in _MINUTES:
            raise Invalid("Invalid input: resolution")
        if end - start > timedelta(days=MOST_MINUTE_DAYS):
            raise Invalid("Invalid input: range of over 100 days")
        bars = intraday_candles(contract, int(resolution), max(start, FIRST_MINUTES), end, now)
        return bars, with_interest


_MINUTES: Final = frozenset(
    ("1", "2", "3", "5", "10", "15", "20", "30", "45", "60", "120", "180", "240")
)


def _range(query: dict[str, str]) -> tuple[datetime, datetime]:
    kind = query.get("date_format")
    ends = []
    for name in ("range_from", "range_to"):
        given = query.get(name, "")
        try:
            if kind == "0":
                ends.append(datetime.fromtimestamp(int(given), IST))
            elif kind == "1":
                ends.append(datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=IST))
            else:
                raise Invalid("Invalid input: date_format")
        except (ValueError, OverflowError, OSError) as wrong:
            raise Invalid(f"Invalid input: {name}") from wrong
    start, end = ends
    if kind == "1":
        end = datetime.combine(end.date(), time(23, 59, 59), IST)
    if end < start:
        raise Invalid("Invalid input: range_from is after range_to")
    return start, end


def _daily(contract: Contract, start: datetime, end: datetime, now: datetime) -> list[Candle]:
    """Pick days by their stamp, 00:00 UTC of the date, as the answer gives it."""
    midnight = datetime.combine(start.date(), time(), IST)
    return [
        candle
        for candle in daily_candles(contract, midnight, end, now)
        if start <= _stamp(candle) <= end
    ]


def _stamp(candle: Candle) -> datetime:
    is_day = candle.at.time() == time()
    return datetime.combine(candle.at.date(), time(), UTC) if is_day else candle.at


def _candle_row(candle: Candle, *, with_interest: bool) -> list[int | Decimal]:
    row: list[int | Decimal] = [
        int(_stamp(candle).timestamp()),
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume or 0,
    ]
    return [*row, candle.open_interest or 0] if with_interest else row

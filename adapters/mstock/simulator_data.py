"""The simulated m.Stock's market data and margin calculator (dossier 7.4, 8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from adapters.mstock import simulator_rows as rows
from adapters.mstock.simulator_answers import (
    Rejected,
    invalid,
    json_body,
    missing,
    problem,
    success,
)
from adapters.sdk.models import Candle, Exchange, InstrumentType, Interval, Product, Side
from adapters.sdk.simulator import IST, Contract, SimRequest, SimResponse
from adapters.sdk.simulator.candles import candles

if TYPE_CHECKING:
    from adapters.mstock.simulator import MstockSimulator

_INTERVALS: Final = {
    "ONE_MINUTE": Interval.M1,
    "THREE_MINUTE": Interval.M3,
    "FIVE_MINUTE": Interval.M5,
    "TEN_MINUTE": Interval.M10,
    "FIFTEEN_MINUTE": Interval.M15,
    "THIRTY_MINUTE": Interval.M30,
    "ONE_HOUR": Interval.H1,
    "ONE_DAY": Interval.D1,
}
_SEGMENTS: Final = {
    segment.value: segment for segment in (Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO)
}
_NUMBERED: Final = {"1": Exchange.NSE, "2": Exchange.NFO, "4": Exchange.BSE, "5": Exchange.BFO}
_DATE_FORMS: Final = ("%Y-%m-%d %H:%M", "%Y-%m-%d", "%d-%m-%Y")
_MOST_CANDLES: Final = 1000
_SECOND: Final = timedelta(seconds=1)
_HALF_HOUR: Final = timedelta(minutes=30)
_LAST_HOUR: Final = time(15, 15)

_PRODUCTS: Final = {
    "DELIVERY": Product.CNC,
    "INTRADAY": Product.MIS,
    "CARRYFORWARD": Product.NRML,
    "MARGIN": Product.MTF,
}
_MARGIN_FIELDS: Final = (
    "product_type",
    "transaction_type",
    "quantity",
    "price",
    "exchange",
    "symbol_name",
    "token",
)
_MARGIN_SHARE: Final = {
    Product.CNC: Decimal(1),
    Product.MIS: Decimal("0.2"),
    Product.NRML: Decimal("0.15"),
    Product.MTF: Decimal("0.25"),
}
_BROKERAGE: Final = Decimal("20.00")
_PAISA: Final = Decimal("0.01")


class DataDesk:
    """Quotes, candles and margins. Nothing here changes the account."""

    def __init__(self, simulator: MstockSimulator) -> None:
        self._simulator = simulator
        self._last_call: datetime | None = None

    def reset(self) -> None:
        self._last_call = None

    def quote(self, request: SimRequest) -> SimResponse:
        """Price tokens by exchange; what is not known is listed as unfetched."""
        body = json_body(request)
        asked = body.get("exchangeTokens")
        if not isinstance(asked, Mapping) or not all(
            isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
            for tokens in asked.values()
        ):
            raise missing("exchangeTokens")
        if body.get("mode") not in ("OHLC", "LTP"):
            raise invalid("Invalid mode.")
        fetched: list[dict[str, Any]] = []
        unfetched: list[dict[str, Any]] = []
        for exchange, tokens in asked.items():
            for token in tokens:
                contract = self._contract(_SEGMENTS.get(exchange), token)
                if contract is not None:
                    engine, ohlc = self._simulator.engine, body["mode"] == "OHLC"
                    fetched.append(rows.quote_row(contract, engine, ohlc=ohlc))
                elif self._simulator.options.get("refuse_unknown_tokens", False):
                    raise Rejected(problem("Invalid token.", "IA400", http=400))
                else:
                    unfetched.append(
                        {
                            "exchange": exchange,
                            "symbolToken": token,
                            "message": "Invalid token",
                            "errorCode": "IA400",
                        }
                    )
        return success({"fetched": fetched, "unfetched": unfetched})

    def historical(self, request: SimRequest) -> SimResponse:
        """Give candles of earlier days, oldest first."""
        self.keep_pace(request)
        body = _text_fields(request, "exchange", "symboltoken", "interval", "fromdate", "todate")
        contract = self._known(_SEGMENTS.get(body["exchange"]), body["symboltoken"])
        interval = _interval(body["interval"])
        start, end = _moment(body["fromdate"]), _moment(body["todate"], is_end=True)
        if end < start:
            raise invalid("Invalid fromdate or todate.")
        now = self._simulator.clock().astimezone(IST)
        midnight = datetime.combine(now.date(), time(), IST)
        made = candles(contract, interval, start, min(end, midnight - _SECOND), now)
        if len(made) > _MOST_CANDLES:
            raise invalid("Maximum 1000 candles are allowed in one request.")
        style = str(self._simulator.options.get("candle_times", "docs"))
        return success({"candles": [self._row(one, interval, style) for one in made]})

    def intraday(self, request: SimRequest) -> SimResponse:
        """Give today's candles, newest first. A day's candle is no candle of today's here."""
        self.keep_pace(request)
        body = _text_fields(request, "exchange", "symboltoken", "interval")
        contract = self._known(_NUMBERED.get(body["exchange"]), body["symboltoken"])
        interval = _interval(body["interval"])
        if interval is Interval.D1:
            return problem("something went wrong", "IA500", http=500)
        now = self._simulator.clock().astimezone(IST)
        midnight = datetime.combine(now.date(), time(), IST)
        made = candles(contract, interval, midnight, now, now)
        return success({"candles": [self._row(one, interval, "mocks") for one in reversed(made)]})

    def margins(self, request: SimRequest) -> SimResponse:
        """Add up what orders need by a flat share of their value: `price` is all it goes by."""
        body = json_body(request)
        orders = body.get("orders")
        if not isinstance(orders, list) or not orders:
            raise missing("orders")
        each = [self._margin(order) for order in orders]
        summary = {
            "total_charges": sum(one["total_charges"] for one in each),
            "trade_value": sum(one["trade_value"] for one in each),
            "breakup": each[0]["breakup"] if len(each) == 1 else [],
        }
        return success({"summary": summary, "charges": each})

    def keep_pace(self, request: SimRequest) -> None:
        """With the option `pace_data`, refuse a data call within a second of the one before.

        Raises `Rejected`.
        """
        now = self._simulator.clock()
        before, self._last_call = self._last_call, now
        if before is None or now - before >= _SECOND:
            return
        if self._simulator.options.get("pace_data", False):
            self._simulator.violation(request, "data calls less than a second apart")
            raise Rejected(self._simulator.rate_limit_response(request))

    def _contract(self, exchange: Exchange | None, token: str) -> Contract | None:
        if exchange is None or not re.fullmatch(r"[0-9]{1,12}", token):
            return None
        return self._simulator.universe.by_token(exchange, int(token))

    def _known(self, exchange: Exchange | None, token: str) -> Contract:
        if exchange is None:
            raise invalid("Invalid exchange.")
        contract = self._contract(exchange, token)
        if contract is None:
            raise invalid("Invalid symboltoken.")
        return contract

    def _row(self, candle: Candle, interval: Interval, style: str) -> list[Any]:
        at = candle.at
        is_mock_hour = bool(self._simulator.options.get("mock_hours", False))
        if interval is Interval.H1 and is_mock_hour and at.time() < _LAST_HOUR:
            at += _HALF_HOUR
        written = f"{at:%Y-%m-%dT%H:%M:%S}+05" if style == "docs" else f"{at:%Y-%m-%d %H:%M}"
        return [written, candle.open, candle.high, candle.low, candle.close, candle.volume]

    def _margin(self, order: object) -> dict[str, Any]:
        if not isinstance(order, Mapping):
            raise missing("orders")
        absent = [name for name in _MARGIN_FIELDS if not isinstance(order.get(name), str)]
        trigger = order.get("trigger_price")
        if isinstance(trigger, bool) or not isinstance(trigger, str | int | float):
            absent.append("trigger_price")
        if absent:
            raise missing(*absent)
        contract = self._known(_SEGMENTS.get(order["exchange"]), order["token"])
        product = _PRODUCTS.get(order["product_type"])
        if product is None or (product is Product.NRML and not contract.is_derivative):
            raise invalid("Invalid product type.")
        if order["transaction_type"] not in Side.__members__:
            raise invalid("Invalid transaction type.")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", order["quantity"]):
            raise invalid("Enter valid quantity.")
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,4})?", order["price"]):
            raise invalid("Enter valid price.")
        value = int(order["quantity"]) * Decimal(order["price"])
        is_bought_option = (
            contract.type is InstrumentType.OPT and order["transaction_type"] == "BUY"
        )
        share = Decimal(1) if is_bought_option else _MARGIN_SHARE[product]
        needed = (value * share).quantize(_PAISA)
        name = "SPANMARGIN" if contract.is_derivative else "VARELMMARGIN"
        return {
            "total_charges": needed + _BROKERAGE,
            "trade_value": value,
            "breakup": [
                {"name": name, "amount": needed, "msg": "", "breakup": []},
                {"name": "BROKERAGE", "amount": _BROKERAGE, "msg": "", "breakup": []},
            ],
        }


def _text_fields(request: SimRequest, *names: str) -> dict[str, Any]:
    body = json_body(request)
    absent = [name for name in names if not isinstance(body.get(name), str)]
    if absent:
        raise missing(*absent)
    return body


def _interval(word: str) -> Interval:
    if word not in _INTERVALS:
        raise invalid("Invalid interval.")
    return _INTERVALS[word]


def _moment(written: str, *, is_end: bool = False) -> datetime:
    """Read a date in one of the forms of the docs and the SDK's samples, as IST."""
    for form in _DATE_FORMS:
        try:
            found = datetime.strptime(written, form).replace(tzinfo=IST)
        except ValueError:
            continue
        whole_day = is_end and "%H" not in form
        return found + timedelta(days=1) - _SECOND if whole_day else found
    raise invalid("Invalid fromdate or todate.")

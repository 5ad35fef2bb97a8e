"""A local m.Stock: the Type B protocol of the dossier over the shared market and engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from adapters.mstock import simulator_rows as rows
from adapters.mstock.constants import PREFIX
from adapters.mstock.simulator_answers import (
    Rejected,
    check_key,
    check_version,
    envelope,
    invalid,
    json_body,
    missing,
    problem,
    success,
    type_a_problem,
)
from adapters.mstock.simulator_data import DataDesk
from adapters.mstock.simulator_login import LoginDesk
from adapters.mstock.simulator_orders import OrderForm, read_modify_form, read_place_form
from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import Exchange
from adapters.sdk.simulator import (
    IST,
    BrokerSimulator,
    CallKind,
    Clock,
    EngineRefusal,
    Route,
    SimOrder,
    SimRequest,
    SimResponse,
)

API_KEY: Final = "sim-mstock-key"
CLIENT_CODE: Final = "MA000001"
PASSWORD: Final = "sim-mstock-password"  # noqa: S105
TOTP_SECRET: Final = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105

_Handler = Callable[[SimRequest], SimResponse]
_SEGMENTS: Final = (Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO)
_PREFIXES: Final = ("2161", "1191", "3172")
# What risk management refuses in the answer; everything else is the exchange's, in the book.
_EXCHANGE_WORDS: Final = {
    ReasonCode.PRICE_BAND: "EXCH:16284:The order price is out of the days price range.",
    ReasonCode.TICK_SIZE: "EXCH:16283:The order price is not multiple of the tick size.",
}


class MstockSimulator(BrokerSimulator):
    """m.Stock on loopback.

    Options beyond the shared ones:
        login: otp (default) or totp; the two exclude each other, as at the broker.
        echo: where `ordertag` comes back: none, details (default) or book (details too).
        twelve_hour_clock: the order book's times have no AM or PM (dossier 5.5).
        exchange_style_details: the details' `orderid` holds the exchange's id (dossier 5.6).
        otp_life_s: 180. attempts: wrong passwords before the account is locked, 10.
        ip_registered: false answers every call after login with the IP-mismatch IA403.
        key_valid: false answers as with a key that is suspended or expired.
        pace_data: candles and the master are 429 within a second of each other (default: not).
        refuse_unknown_tokens: one unknown token has the whole quote call refused (dossier 9).
        candle_times: docs (default) or mocks, the two forms in which earlier days are written.
        mock_hours: hourly candles are labelled as in the official mocks, 09:45 (dossier 8.2).
    """

    broker = "mstock"
    credentials: Mapping[str, str] = {
        "api_key": API_KEY,
        "username": CLIENT_CODE,
        "password": PASSWORD,
    }
    own_options = frozenset(
        {
            "login",
            "echo",
            "twelve_hour_clock",
            "exchange_style_details",
            "otp_life_s",
            "attempts",
            "ip_registered",
            "key_valid",
            "pace_data",
            "refuse_unknown_tokens",
            "candle_times",
            "mock_hours",
        }
    )

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        today: date | None = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(clock=clock, seed=seed, today=today, options=options, **more)
        self.login_kind = str(self.options.get("login", "otp"))
        self.echo = str(self.options.get("echo", "details"))
        if self.login_kind not in ("otp", "totp") or self.echo not in ("none", "details", "book"):
            raise ValueError("login is otp or totp; echo is none, details or book")
        self.ip_registered = bool(self.options.get("ip_registered", True))
        self.key_valid = bool(self.options.get("key_valid", True))
        self.desk = LoginDesk(
            self,
            uses_totp=self.login_kind == "totp",
            otp_life_s=int(self.options.get("otp_life_s", 180)),
            attempts=int(self.options.get("attempts", 10)),
        )
        self.data = DataDesk(self)
        if self.login_kind == "totp":
            self.credentials = {**self.credentials, "totp_secret": TOTP_SECRET}

    async def read_otp(self) -> str:
        """Return the code that a person would read: on the phone, or in the authenticator."""
        return self.desk.code_to_read()

    # What the kit asks of a broker

    def routes(self) -> list[Route]:
        """List the routes of dossier 2 that exist here."""
        signed = self._signed
        table: tuple[tuple[str, str, CallKind, _Handler], ...] = (
            ("POST", "/connect/login", CallKind.LOGIN, lambda r: self.desk.password(r)),
            ("POST", "/session/token", CallKind.LOGIN, lambda r: self.desk.otp(r)),
            (
                "POST",
                "/session/verifytotp",
                CallKind.LOGIN,
                lambda r: self.desk.totp(r),
            ),
            ("GET", "/logout", CallKind.LOGIN, signed(self._logout)),
            ("GET", "/user/fundsummary", CallKind.READ, signed(self._funds)),
            ("POST", "/orders/regular", CallKind.PLACE, signed(self._place)),
            ("PUT", "/orders/regular/{order_id}", CallKind.MODIFY, signed(self._modify)),
            ("DELETE", "/orders/regular/{order_id}", CallKind.CANCEL, signed(self._cancel)),
            ("POST", "/orders/cancelall", CallKind.CANCEL, signed(self._cancel_all)),
            ("GET", "/orders", CallKind.BOOK, signed(self._orders)),
            ("POST", "/order/details", CallKind.ORDER, signed(self._details)),
            ("GET", "/tradebook", CallKind.TRADES, signed(self._tradebook)),
            ("POST", "/trades", CallKind.TRADES, signed(self._trade_history)),
            ("GET", "/portfolio/positions", CallKind.READ, signed(self._positions)),
            ("GET", "/portfolio/holdings", CallKind.READ, signed(self._holdings_book)),
            ("POST", "/instruments/quote", CallKind.QUOTE, signed(self._quote)),
            ("POST", "/instruments/historical", CallKind.QUOTE, signed(self._historical)),
            ("POST", "/instruments/intraday", CallKind.QUOTE, signed(self._intraday)),
            ("POST", "/margins/orders", CallKind.READ, signed(self._margins)),
            ("GET", "/instruments/OpenAPIScripMaster", CallKind.MASTER, signed(self._master)),
        )
        return [Route(verb, PREFIX + path, kind, handler) for verb, path, kind, handler in table]

    def mint_order_id(self, number: int, at: datetime) -> str:
        """Make an id as the API's look: a rotating prefix, YYMMDD and a counter; not monotonic."""
        return f"{_PREFIXES[number % len(_PREFIXES)]}{at:%y%m%d}{1000 + number}"

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        """Answer as risk management does, HTTP 200 (dossier 4.2)."""
        return problem(message, "RS-0111")

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        """Answer HTTP 429; its body is not documented."""
        return SimResponse(429, "Too Many Requests", {"retry-after": "1"})

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        return problem("Invalid request. Please try again.", "IA401", http=401)

    def not_found_response(self, request: SimRequest) -> SimResponse:
        return problem("Resource not found.", "IA404", http=404)

    def method_not_allowed_response(self, request: SimRequest) -> SimResponse:
        page = "<html><head><title>405 Not Allowed</title></head></html>"
        return SimResponse(405, page, {"content-type": "text/html"})

    def otp_state(self) -> dict[str, Any]:
        """Show the one-time password, or the TOTP secret and its current code."""
        return self.desk.state()

    def handle(self, request: SimRequest) -> SimResponse:
        """Answer one request; what a handler rejects is answered in the broker's way."""
        try:
            return super().handle(request)
        except Rejected as rejected:
            if rejected.what:
                self.violation(request, rejected.what)
            return rejected.response

    def on_reset(self) -> None:
        self.ip_registered = self.key_valid = True
        self.desk.reset()
        self.data.reset()

    # What comes before every call after login

    def _signed(self, handler: _Handler) -> _Handler:
        def checked(request: SimRequest) -> SimResponse:
            self._check_signature(request)
            return handler(request)

        return checked

    def _check_signature(self, request: SimRequest) -> None:
        """Want version, bearer token, API key and a registered address. Raises `Rejected`."""
        check_version(self, request)
        bearer, _, token = request.headers.get("authorization", "").partition(" ")
        if bearer != "Bearer":
            self.violation(request, "Authorization is not Bearer")
        if bearer != "Bearer" or self.session_of(token) is None:
            raise Rejected(self.session_expired_response(request))
        check_key(self, request, is_valid=self.key_valid, code="IA403")
        if not self.ip_registered:
            message = "Primary and Secondary IP Address are not matching with current IP address."
            raise Rejected(envelope(False, message, "IA403", None, http=403))

    # Session and money

    def _logout(self, request: SimRequest) -> SimResponse:
        self.sessions.pop(request.headers["authorization"].partition(" ")[2], None)
        return envelope(True, "Success", None, None)

    def _funds(self, request: SimRequest) -> SimResponse:
        data = [rows.fund_row(self.engine.account.funds)]
        return envelope(True, "SUCCESS", "", data)

    def _positions(self, request: SimRequest) -> SimResponse:
        self.engine.advance()
        return success([rows.position_row(held) for held in self.engine.account.positions] or None)

    def _holdings_book(self, request: SimRequest) -> SimResponse:
        held = self.engine.account.holdings
        return success(rows.holding_rows(held, self.engine) or None)

    # Orders

    def _place(self, request: SimRequest) -> SimResponse:
        form = read_place_form(request, self.universe, self.violation)
        new = form.new_order()
        refusal = self.engine.check(new)
        if refusal is None:
            return _placed(self.engine.place(new), form)
        exchange_words = _EXCHANGE_WORDS.get(refusal.reason)
        if exchange_words is not None:
            return _placed(self.engine.place(form.new_order(refusal=exchange_words)), form)
        words = _rms_words(refusal.message)
        order = self.engine.place(form.new_order(refusal=words))
        where = f"{new.contract.exchange.value},{new.contract.token}"
        return problem(f"RMS:{order.broker_order_id}:{where},{words}", "RS-0111")

    def _modify(self, request: SimRequest) -> SimResponse:
        order_id = request.params["order_id"]
        form = read_modify_form(request, self.universe, self.violation)
        order = self.engine.get(order_id)
        if order is None:
            return problem(_CLOSED.format("not available"), "RS-0034")
        try:
            self.engine.modify(
                order,
                quantity=form.quantity,
                price=form.price,
                trigger_price=form.trigger_price,
                order_type=form.order_type,
                validity=form.validity,
            )
        except EngineRefusal:
            return problem(_CLOSED.format(_closed_word(order)), "RS-0034")
        # The docs' sample has the leading space.
        return success({"orderid": f" {order_id}", "uniqueorderid": ""})

    def _cancel(self, request: SimRequest) -> SimResponse:
        order_id = request.params["order_id"]
        body = json_body(request)
        if body.get("orderid") != order_id:
            self.violation(request, "the body names another order than the path")
            raise invalid("Invalid request.")
        if body.get("variety") not in ("NORMAL", "AMO", "STOPLOSS"):
            self.violation(request, "no variety")
            raise invalid("Invalid variety.")
        order = self.engine.get(order_id)
        if order is None:
            return problem(_CLOSED.format("not available"), "RS-00093")
        if body["variety"] != order.extra.get("variety"):
            self.violation(request, "another variety than the order was placed with")
        try:
            self.engine.cancel(order)
        except EngineRefusal:
            return problem(_CLOSED.format(_closed_word(order)), "RS-00093")
        return success({"orderid": order_id, "uniqueorderid": ""})

    def _cancel_all(self, request: SimRequest) -> SimResponse:
        live = [order for order in self.engine.orders if not order.is_final]
        for order in live:
            self.engine.cancel(order)
        if not live:
            message = "Order Does not Exsist.Need to refresh orderbook / relogin in application "
            return type_a_problem(message, "InputException")
        return SimResponse(
            200, {"status": "success", "data": {"order_id": live[-1].broker_order_id}}
        )

    def _orders(self, request: SimRequest) -> SimResponse:
        twelve = bool(self.options.get("twelve_hour_clock", False))
        return success(
            [
                rows.book_row(order, echo=self.echo == "book", twelve_hour_clock=twelve)
                for order in self.visible_orders(request)
            ]
            or None
        )

    def _details(self, request: SimRequest) -> SimResponse:
        body = json_body(request)
        if not isinstance(body.get("order_no"), str) or body.get("segment", "E") not in ("E", "D"):
            raise missing("order_no")
        order = self.visible_order(request, body["order_no"])
        if order is None:
            return success(None)
        row = rows.details_row(
            order,
            echo=self.echo != "none",
            exchange_style_id=bool(self.options.get("exchange_style_details", True)),
        )
        return success([row])

    def _tradebook(self, request: SimRequest) -> SimResponse:
        trades = self.visible_trades(request)
        return success([rows.trade_row(trade, CLIENT_CODE) for trade in trades] or None)

    def _trade_history(self, request: SimRequest) -> SimResponse:
        body = json_body(request)
        absent = [name for name in ("fromdate", "todate") if not isinstance(body.get(name), str)]
        if absent:
            raise missing(*absent)
        trades = self.visible_trades(request)
        return success(
            [
                rows.history_row(trade)
                for trade in trades
                if body["fromdate"] <= f"{trade.fill.at.astimezone(IST):%Y-%m-%d}" <= body["todate"]
            ]
        )

    # Data

    def _quote(self, request: SimRequest) -> SimResponse:
        return self.data.quote(request)

    def _historical(self, request: SimRequest) -> SimResponse:
        return self.data.historical(request)

    def _intraday(self, request: SimRequest) -> SimResponse:
        return self.data.intraday(request)

    def _margins(self, request: SimRequest) -> SimResponse:
        return self.data.margins(request)

    def _master(self, request: SimRequest) -> SimResponse:
        self.data.keep_pace(request)
        stream = rows.master(self.universe.contracts(*_SEGMENTS))
        return SimResponse(200, stream, {"content-type": "application/json; charset=utf-8"})


_CLOSED: Final = "Order is {}.Kindly refresh your OrderBook"


def _closed_word(order: SimOrder) -> str:
    return {"FILLED": "Traded"}.get(order.state.value, order.state.value.capitalize())


def _rms_words(message: str) -> str:
    if message.startswith("Margin"):
        return f"FUND LIMIT INSUFFICIENT,{message.partition(':')[2].strip().upper()}"
    return message.upper()


def _placed(order: SimOrder, form: OrderForm) -> SimResponse:
    data = {"script": form.tradingsymbol, "orderid": order.broker_order_id, "uniqueorderid": ""}
    return SimResponse(
        200, [{"status": "true", "message": "SUCCESS", "errorcode": "", "data": data}]
    )

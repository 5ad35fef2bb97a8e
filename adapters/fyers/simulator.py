"""A local server that speaks Fyers API v3 (see quality.yaml for what of it is proven)."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlencode

from adapters.fyers.client import app_id_hash
from adapters.fyers.simulator_answers import Invalid, error, html, invalid, json_object, ok
from adapters.fyers.simulator_limits import RateLimits
from adapters.fyers.simulator_login import (
    AUTH_CODE_LIFETIME,
    AuthCode,
    PendingLogin,
    complete_login,
    login_page,
    mint_jwt,
    token_end,
)
from adapters.fyers.simulator_market import MarketData
from adapters.fyers.simulator_orders import (
    read_changes,
    read_new_order,
    read_order_id,
    with_rms_message,
)
from adapters.fyers.simulator_portfolio import Portfolio, engine_holdings
from adapters.fyers.simulator_rows import RMS_MESSAGE, order_row, shown_tag, trade_row
from adapters.fyers.simulator_symbols import Symbols, master_file
from adapters.sdk.models import RedirectRequired
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    Clock,
    EngineRefusal,
    Holding,
    Route,
    SimOrder,
    SimRequest,
    SimResponse,
)

_API: Final = "/api/v3"
_DATA: Final = "/data"

Handler = Callable[[SimRequest], SimResponse]


class FyersSimulator(BrokerSimulator):
    """Fyers over the shared market.

    Options beside the kit's: `redirect_uri` (the one registered for the app), `client_id`,
    `holdings` (see `OwnedShares`), `carried` (positions of earlier days, see `CarriedOver`),
    `rate_limits` (hold the client to them), `quotes_refuse_whole` and `history_rows` (see
    `MarketData`).
    """

    broker = "fyers"
    credentials: Mapping[str, str] = {
        "app_id": "SIMFYERS01-100",
        "secret_key": "SIMSECRET1",
        "redirect_uri": "http://127.0.0.1:8080/v1/callback/fyers-main",
        "client_id": "FX0011",
    }
    hosts: Mapping[str, str] = {
        "api": _API,
        "data": _DATA,
        "login": _API,
        "master": "/sym_details",
    }
    own_options = frozenset(
        {
            "redirect_uri",
            "client_id",
            "holdings",
            "carried",
            "rate_limits",
            "quotes_refuse_whole",
            "history_rows",
        }
    )

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        today: date | None = None,
        options: Mapping[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(clock=clock, seed=seed, today=today, options=options, tls=tls)
        given = {name: v for name, v in self.options.items() if name in self.credentials}
        self.credentials = {**self.credentials, **given}
        self.limits = RateLimits() if self.options.get("rate_limits") else None
        self.symbols = Symbols(self.universe)
        self._pending_logins: dict[str, PendingLogin] = {}
        self._auth_codes: dict[str, AuthCode] = {}

    def routes(self) -> list[Route]:
        kinds = CallKind
        self._portfolio = account = Portfolio(self)
        market = MarketData(self)
        return [
            Route("GET", f"{_API}/generate-authcode", kinds.LOGIN, self._login_page),
            Route("POST", f"{_API}/generate-authcode", kinds.LOGIN, self._answer_login_page),
            Route("POST", f"{_API}/validate-authcode", kinds.LOGIN, self._exchange_code),
            Route("POST", f"{_API}/logout", kinds.LOGIN, self._logout),
            Route("GET", f"{_API}/profile", kinds.READ, self._logged_in(self._profile)),
            Route("GET", f"{_API}/funds", kinds.READ, self._logged_in(account.funds)),
            Route("GET", f"{_API}/positions", kinds.READ, self._logged_in(account.positions)),
            Route("GET", f"{_API}/holdings", kinds.READ, self._logged_in(account.holdings)),
            Route("POST", f"{_API}/multiorder/margin", kinds.READ, self._logged_in(account.margin)),
            Route("GET", f"{_API}/orders", kinds.BOOK, self._logged_in(self._orders)),
            Route("GET", f"{_API}/tradebook", kinds.TRADES, self._logged_in(self._trades)),
            Route("POST", f"{_API}/orders/sync", kinds.PLACE, self._logged_in(self._place)),
            Route("PATCH", f"{_API}/orders/sync", kinds.MODIFY, self._logged_in(self._modify)),
            Route(
                "DELETE", f"{_API}/orders/sync", kinds.CANCEL, self._logged_in(self._cancel_by_body)
            ),
            Route(
                "DELETE",
                f"{_API}/orders/{{order_id}}/sync",
                kinds.CANCEL,
                self._logged_in(self._cancel_by_path),
            ),
            Route("GET", f"{_DATA}/quotes", kinds.QUOTE, self._logged_in(market.quotes)),
            Route("POST", f"{_DATA}/quotes", kinds.QUOTE, self._logged_in(market.quotes_by_body)),
            Route("GET", f"{_DATA}/depth", kinds.QUOTE, self._logged_in(market.depth)),
            Route("GET", f"{_DATA}/history", kinds.QUOTE, self._logged_in(market.history)),
            Route(
                "GET", f"{_DATA}/marketStatus", kinds.QUOTE, self._logged_in(market.market_status)
            ),
            Route("GET", "/sym_details/{name}", kinds.MASTER, self._master),
        ]

    def mint_order_id(self, number: int, at: datetime) -> str:
        return f"{at:%y%m%d}{number:08d}"

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        return error(-99, message)

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        headers = {"Retry-After": "1", "X-Retry-After-Ms": "1000"}
        is_order = request.path.startswith(f"{_API}/orders")
        body = {"code": 429, "message": "request limit reached", "s": "error"}
        return SimResponse(429, body, headers if is_order else None)

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        """Refuse a dead token in the words of each endpoint (dossier 3.5)."""
        if request.path.startswith(_DATA) and request.path != f"{_DATA}/history":
            return error(-15, "Please provide valid token", status=401)
        if request.path == f"{_API}/profile":
            return error(-8, "Your token has expired. Please generate a token", status=401)
        if request.path == f"{_API}/logout":
            return error(-16, "Token is Invalid or Expired", status=401)
        return error(-16, "Could not authenticate the user", status=401)

    def on_reset(self) -> None:
        self._portfolio.seed()
        if self.limits is not None:
            self.limits = RateLimits()
        self._pending_logins.clear()
        self._auth_codes.clear()

    async def complete_login(
        self, step: RedirectRequired | str, *, ca_file: str | None = None
    ) -> str:
        """Do what the owner does in a browser (see `complete_login` in `simulator_login`)."""
        login_url = step if isinstance(step, str) else step.login_url
        return await complete_login(login_url, self.control_url, ca_file=ca_file)

    # Login

    def _login_page(self, request: SimRequest) -> SimResponse:
        query = request.query
        if query.get("client_id") != self.credentials["app_id"]:
            return error(-352, "Invalid App ID", status=400)
        if query.get("redirect_uri") != self.credentials["redirect_uri"]:
            return error(-50, "Redirect URI mismatch", status=400)
        if query.get("response_type") != "code":
            return error(-50, "Invalid response type", status=400)
        request_key = self.rng.randbytes(16).hex()
        self._pending_logins[request_key] = PendingLogin(query["redirect_uri"], query.get("state"))
        self.new_otp()
        return self._page(request_key)

    def _answer_login_page(self, request: SimRequest) -> SimResponse:
        try:
            form = request.form()
        except ValueError:
            form = {}
        request_key = form.get("request_key", "")
        pending = self._pending_logins.get(request_key)
        if pending is None:
            return html(400, "<p>This login page is no longer valid.</p>")
        if self.otp is None or not hmac.compare_digest(
            form.get("otp", "").encode(), self.otp.encode()
        ):
            return self._page(request_key, status=401, notice="Wrong one-time password.")
        del self._pending_logins[request_key]
        self.otp = None
        now = self.clock()
        code = mint_jwt(
            self.rng,
            {
                "iss": "api.login.fyers.in",
                "iat": int(now.timestamp()),
                "exp": int((now + AUTH_CODE_LIFETIME).timestamp()),
                "sub": "auth_code",
                "display_name": self.credentials["client_id"],
                "app_id": self.credentials["app_id"].partition("-")[0],
            },
        )
        self._auth_codes[code] = AuthCode(now + AUTH_CODE_LIFETIME)
        answer = {"s": "ok", "code": "200", "auth_code": code}
        if pending.state is not None:
            answer["state"] = pending.state
        joint = "&" if "?" in pending.redirect_uri else "?"
        location = f"{pending.redirect_uri}{joint}{urlencode(answer)}"
        return SimResponse(302, b"", {"Location": location})

    def _page(self, request_key: str, *, status: int = 200, notice: str = "") -> SimResponse:
        app_id, client_id = self.credentials["app_id"], self.credentials["client_id"]
        return html(status, login_page(app_id, client_id, request_key, notice))

    def _exchange_code(self, request: SimRequest) -> SimResponse:
        body = self._json_object(request)
        if body is None or body.get("grant_type") != "authorization_code":
            return error(-50, "Invalid input", status=400)
        expected = app_id_hash(self.credentials["app_id"], self.credentials["secret_key"])
        if body.get("appIdHash") != expected:
            return error(-371, "Please provide valid app id hash", status=400)
        if not body.get("code"):
            return error(-374, "Please provide auth code", status=400)
        # A code is good for one exchange (dossier 3.1).
        found = self._auth_codes.pop(str(body["code"]), None)
        if found is None or found.expires_at <= self.clock():
            return error(-437, "invalid auth code", status=400)
        now = self.clock()
        end = token_end(now)
        claims = {
            "iss": "api.fyers.in",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(end.timestamp()),
            "sub": "access_token",
            "fy_id": self.credentials["client_id"],
        }
        token = mint_jwt(self.rng, claims)
        self.open_session(token, client_id=self.credentials["client_id"], expires_at=end)
        return ok(
            access_token=token, refresh_token=mint_jwt(self.rng, {**claims, "sub": "refresh_token"})
        )

    def _logout(self, request: SimRequest) -> SimResponse:
        token = self._token(request)
        if token is None:
            return self.session_expired_response(request)
        del self.sessions[token]
        return ok("you are successfully logged out")

    # Account

    def _profile(self, request: SimRequest) -> SimResponse:
        return ok(
            data={
                "fy_id": self.credentials["client_id"],
                "name": "SIMULATED TRADER",
                "display_name": None,
                "email_id": "trader@example.com",
                "PAN": "AAAAA0000A",
                "mobile_number": "98XXXXXX00",
                "image": None,
                "totp": False,
                "pin_change_date": "01-10-2026 10:00:00",
                "pwd_change_date": None,
                "pwd_to_expire": 42,
                "ddpi_enabled": True,
                "mtf_enabled": False,
            }
        )

    def _holdings(self) -> tuple[Holding, ...]:
        given = self.options.get("holdings")
        return super()._holdings() if given is None else engine_holdings(given, self.universe)

    # Orders

    def _orders(self, request: SimRequest) -> SimResponse:
        orders = self.visible_orders(request)
        order_id, tag = request.query.get("id"), request.query.get("order_tag")
        if order_id is not None:
            orders = [order for order in orders if order.broker_order_id == order_id]
        if tag is not None:
            orders = [order for order in orders if tag == shown_tag(order)]
        return ok(orderBook=[self._row(order) for order in orders])

    def _trades(self, request: SimRequest) -> SimResponse:
        tag = request.query.get("order_tag")
        client_id = self.credentials["client_id"]
        return ok(
            tradeBook=[
                trade_row(trade, client_id)
                for trade in self.visible_trades(request)
                if tag is None or tag == shown_tag(trade.order)
            ]
        )

    def _place(self, request: SimRequest) -> SimResponse:
        client_id = self.credentials["client_id"]
        try:
            new = read_new_order(self._json_object(request), self.symbols, client_id)
            refusal = self.engine.check(new)
            if refusal is not None:
                new = with_rms_message(
                    new,
                    refusal,
                    client_id,
                    available=self.engine.account.funds.available,
                    last_price=self.engine.price(new.contract),
                )
        except Invalid as refused:
            return invalid(refused)
        order = self.engine.place(new)
        order_id = order.broker_order_id
        if refusal is not None:
            return error(-99, new.extra[RMS_MESSAGE], order_id=order_id)
        text = f"Order submitted successfully.Your Order Ref.No.{order_id}"
        return ok(text, code=1101, id=order_id)

    def _modify(self, request: SimRequest) -> SimResponse:
        body = self._json_object(request)
        try:
            order = self._order(read_order_id(body))
            if order.is_final:
                return _not_pending(order)
            self.engine.modify(order, **read_changes(body or {}, order))
        except Invalid as refused:
            return invalid(refused)
        except EngineRefusal as refused:
            return error(-50, refused.message, status=400)
        return ok("Successfully modified order", code=1102, id=order.broker_order_id)

    def _cancel_by_body(self, request: SimRequest) -> SimResponse:
        try:
            return self._cancel(read_order_id(self._json_object(request)))
        except Invalid as refused:
            return invalid(refused)

    def _cancel_by_path(self, request: SimRequest) -> SimResponse:
        if request.body:
            self.violation(request, "a body with the path form of cancel")
        try:
            return self._cancel(request.params["order_id"])
        except Invalid as refused:
            return invalid(refused)

    def _cancel(self, order_id: str) -> SimResponse:
        order = self._order(order_id)
        if order.is_final:
            return _not_pending(order)
        self.engine.cancel(order)
        return ok("Successfully cancelled order", code=1103, id=order_id)

    def _order(self, order_id: str) -> SimOrder:
        order = self.engine.get(order_id)
        if order is None:
            raise Invalid("Invalid order id", code=-51)
        return order

    def _row(self, order: SimOrder) -> dict[str, Any]:
        price = self.engine.price(order.contract)
        return order_row(order, self.credentials["client_id"], price)

    # Files

    def _master(self, request: SimRequest) -> SimResponse:
        name = request.params["name"]
        file = master_file(self.universe, name)
        if file is None:
            return SimResponse(404, b"<html>404</html>", {"content-type": "text/html"})
        kind = "application/json" if name.endswith(".json") else "text/csv"
        return SimResponse(200, file, {"content-type": kind})

    # Parts

    def _logged_in(self, handler: Handler) -> Handler:
        """Keep everyone without a live token from a handler."""

        def answer(request: SimRequest) -> SimResponse:
            if self.limits is not None and not self.limits.take(self.clock()):
                self.violation(request, "more calls than the rate limits allow")
                return self.rate_limit_response(request)
            if self._token(request) is None:
                return self.session_expired_response(request)
            return handler(request)

        return answer

    def _token(self, request: SimRequest) -> str | None:
        """Return the live token of a request: `<app_id>:<token>`, nothing before it."""
        app_id, colon, token = request.headers.get("authorization", "").partition(":")
        if not colon or " " in app_id:
            self.violation(request, "an Authorization header that is not app_id:access_token")
        if app_id != self.credentials["app_id"] or self.session_of(token) is None:
            return None
        return token

    def _json_object(self, request: SimRequest) -> dict[str, Any] | None:
        return json_object(self, request)


def _not_pending(order: SimOrder) -> SimResponse:
    return error(-52, "Not a pending order", status=400, order_id=order.broker_order_id)

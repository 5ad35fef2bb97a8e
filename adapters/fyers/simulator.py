"""A local server that speaks Fyers API v3 (see quality.yaml for what of it is proven)."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from adapters.fyers.client import app_id_hash
from adapters.fyers.simulator_login import (
    AUTH_CODE_LIFETIME,
    AuthCode,
    PendingLogin,
    complete_login,
    login_page,
    mint_jwt,
    token_end,
)
from adapters.fyers.simulator_orders import (
    Invalid,
    read_changes,
    read_new_order,
    read_order_id,
    with_rms_message,
)
from adapters.fyers.simulator_rows import (
    RMS_MESSAGE,
    depth_row,
    fund_rows,
    holding_row,
    order_row,
    position_row,
    quote_row,
    trade_row,
)
from adapters.fyers.simulator_symbols import Symbols, master_file
from adapters.sdk.models import RedirectRequired
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    Clock,
    Contract,
    EngineRefusal,
    Route,
    SimOrder,
    SimRequest,
    SimResponse,
)

_API: Final = "/api/v3"
_DATA: Final = "/data"
_MAX_QUOTES: Final = 50

Handler = Callable[[SimRequest], SimResponse]


class FyersSimulator(BrokerSimulator):
    """Fyers over the shared market.

    Options beside the kit's: `redirect_uri` (the one registered for the app) and `client_id`.
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
    own_options = frozenset({"redirect_uri", "client_id"})

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
        self.credentials = {**type(self).credentials, **self.options}
        self.symbols = Symbols(self.universe)
        self._pending_logins: dict[str, PendingLogin] = {}
        self._auth_codes: dict[str, AuthCode] = {}

    def routes(self) -> list[Route]:
        kinds = CallKind
        return [
            Route("GET", f"{_API}/generate-authcode", kinds.LOGIN, self._login_page),
            Route("POST", f"{_API}/generate-authcode", kinds.LOGIN, self._answer_login_page),
            Route("POST", f"{_API}/validate-authcode", kinds.LOGIN, self._exchange_code),
            Route("POST", f"{_API}/logout", kinds.LOGIN, self._logout),
            Route("GET", f"{_API}/profile", kinds.READ, self._logged_in(self._profile)),
            Route("GET", f"{_API}/funds", kinds.READ, self._logged_in(self._funds)),
            Route("GET", f"{_API}/positions", kinds.READ, self._logged_in(self._positions)),
            Route("GET", f"{_API}/holdings", kinds.READ, self._logged_in(self._holdings_book)),
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
            Route("GET", f"{_DATA}/quotes", kinds.QUOTE, self._logged_in(self._quotes)),
            Route("POST", f"{_DATA}/quotes", kinds.QUOTE, self._logged_in(self._quotes_by_body)),
            Route("GET", f"{_DATA}/depth", kinds.QUOTE, self._logged_in(self._depth)),
            Route("GET", "/sym_details/{name}", kinds.MASTER, self._master),
        ]

    def mint_order_id(self, number: int, at: datetime) -> str:
        return f"{at:%y%m%d}{number:08d}"

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        return _error(-99, message)

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        headers = {"Retry-After": "1", "X-Retry-After-Ms": "1000"}
        is_order = request.path.startswith(f"{_API}/orders")
        body = {"code": 429, "message": "request limit reached", "s": "error"}
        return SimResponse(429, body, headers if is_order else None)

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        """Refuse a dead token in the words of each endpoint (dossier 3.5)."""
        if request.path.startswith(_DATA):
            return _error(-15, "Please provide valid token", status=401)
        if request.path == f"{_API}/profile":
            return _error(-8, "Your token has expired. Please generate a token", status=401)
        if request.path == f"{_API}/logout":
            return _error(-16, "Token is Invalid or Expired", status=401)
        return _error(-16, "Could not authenticate the user", status=401)

    def on_reset(self) -> None:
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
            return _error(-352, "Invalid App ID", status=400)
        if query.get("redirect_uri") != self.credentials["redirect_uri"]:
            return _error(-50, "Redirect URI mismatch", status=400)
        if query.get("response_type") != "code":
            return _error(-50, "Invalid response type", status=400)
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
            return _html(400, "<p>This login page is no longer valid.</p>")
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
        return _html(status, login_page(app_id, client_id, request_key, notice))

    def _exchange_code(self, request: SimRequest) -> SimResponse:
        body = self._json_object(request)
        if body is None or body.get("grant_type") != "authorization_code":
            return _error(-50, "Invalid input", status=400)
        expected = app_id_hash(self.credentials["app_id"], self.credentials["secret_key"])
        if body.get("appIdHash") != expected:
            return _error(-371, "Please provide valid app id hash", status=400)
        if not body.get("code"):
            return _error(-374, "Please provide auth code", status=400)
        # A code is good for one exchange (dossier 3.1).
        found = self._auth_codes.pop(str(body["code"]), None)
        if found is None or found.expires_at <= self.clock():
            return _error(-437, "invalid auth code", status=400)
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
        return _ok(
            access_token=token, refresh_token=mint_jwt(self.rng, {**claims, "sub": "refresh_token"})
        )

    def _logout(self, request: SimRequest) -> SimResponse:
        token = self._token(request)
        if token is None:
            return self.session_expired_response(request)
        del self.sessions[token]
        return _ok("you are successfully logged out")

    # Account

    def _profile(self, request: SimRequest) -> SimResponse:
        return _ok(
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

    def _funds(self, request: SimRequest) -> SimResponse:
        return _ok(fund_limit=fund_rows(self.engine.account.funds))

    def _positions(self, request: SimRequest) -> SimResponse:
        self.engine.advance()
        rows = [
            position_row(position, number, self.engine.price(position.contract))
            for number, position in enumerate(self.engine.account.positions)
        ]
        realised = sum((row["realized_profit"] for row in rows), Decimal(0))
        unrealised = sum((row["unrealized_profit"] for row in rows), Decimal(0))
        return _ok(
            netPositions=rows,
            overall={
                "count_total": len(rows),
                "count_open": sum(1 for row in rows if row["netQty"]),
                "pl_total": realised + unrealised,
                "pl_realized": realised,
                "pl_unrealized": unrealised,
            },
        )

    def _holdings_book(self, request: SimRequest) -> SimResponse:
        rows = [
            holding_row(holding, number, self.engine.price(holding.contract))
            for number, holding in enumerate(self.engine.account.holdings, 1)
        ]
        return _ok(holdings=rows, overall={"count_total": len(rows)})

    # Orders

    def _orders(self, request: SimRequest) -> SimResponse:
        orders = self.visible_orders(request)
        order_id, tag = request.query.get("id"), request.query.get("order_tag")
        if order_id is not None:
            orders = [order for order in orders if order.broker_order_id == order_id]
        if tag is not None:
            orders = [order for order in orders if tag == f"1:{order.tag}"]
        return _ok(orderBook=[self._row(order) for order in orders])

    def _trades(self, request: SimRequest) -> SimResponse:
        tag = request.query.get("order_tag")
        client_id = self.credentials["client_id"]
        return _ok(
            tradeBook=[
                trade_row(trade, client_id)
                for trade in self.visible_trades(request)
                if tag is None or tag == f"1:{trade.order.tag}"
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
        except Invalid as error:
            return _error(error.code, error.message, status=400)
        order = self.engine.place(new)
        order_id = order.broker_order_id
        if refusal is not None:
            return _error(-99, new.extra[RMS_MESSAGE], order_id=order_id)
        text = f"Order submitted successfully.Your Order Ref.No.{order_id}"
        return _ok(text, code=1101, id=order_id)

    def _modify(self, request: SimRequest) -> SimResponse:
        body = self._json_object(request)
        try:
            order = self._order(read_order_id(body))
            if order.is_final:
                return _not_pending(order)
            self.engine.modify(order, **read_changes(body or {}, order))
        except Invalid as error:
            return _error(error.code, error.message, status=400)
        except EngineRefusal as error:
            return _error(-50, error.message, status=400)
        return _ok("Successfully modified order", code=1102, id=order.broker_order_id)

    def _cancel_by_body(self, request: SimRequest) -> SimResponse:
        try:
            return self._cancel(read_order_id(self._json_object(request)))
        except Invalid as error:
            return _error(error.code, error.message, status=400)

    def _cancel_by_path(self, request: SimRequest) -> SimResponse:
        if request.body:
            self.violation(request, "a body with the path form of cancel")
        try:
            return self._cancel(request.params["order_id"])
        except Invalid as error:
            return _error(error.code, error.message, status=400)

    def _cancel(self, order_id: str) -> SimResponse:
        order = self._order(order_id)
        if order.is_final:
            return _not_pending(order)
        self.engine.cancel(order)
        return _ok("Successfully cancelled order", code=1103, id=order_id)

    def _order(self, order_id: str) -> SimOrder:
        order = self.engine.get(order_id)
        if order is None:
            raise Invalid("Invalid order id", code=-51)
        return order

    def _row(self, order: SimOrder) -> dict[str, Any]:
        price = self.engine.price(order.contract)
        return order_row(order, self.credentials["client_id"], price)

    # Market data and files

    def _quotes(self, request: SimRequest) -> SimResponse:
        return self._quote_all(request.query.get("symbols", "").split(","))

    def _quotes_by_body(self, request: SimRequest) -> SimResponse:
        names = (self._json_object(request) or {}).get("symbols")
        return self._quote_all(names if isinstance(names, list) else [])

    def _quote_all(self, names: list[Any]) -> SimResponse:
        if not 0 < len(names) <= _MAX_QUOTES or not all(names):
            return _error(-50, "Please provide valid symbols", status=400)
        return SimResponse(
            200, {"s": "ok", "code": 200, "d": [self._quote(str(name)) for name in names]}
        )

    def _quote(self, name: str) -> dict[str, Any]:
        contract = self.symbols.find(name)
        if contract is None:
            return {"n": name, "s": "error", "v": {"code": -300, "errmsg": "invalid symbol"}}
        row = quote_row(contract, self.engine.price(contract))
        start_of_day = self.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        return {"n": name, "s": "ok", "v": {**row, "tt": str(int(start_of_day.timestamp()))}}

    def _depth(self, request: SimRequest) -> SimResponse:
        name = request.query.get("symbol", "")
        contract: Contract | None = self.symbols.find(name)
        if contract is None:
            return _error(-300, "Please provide valid symbol", status=400)
        row = depth_row(contract, self.engine.price(contract))
        row["ltt"] = int(self.clock().timestamp())
        return SimResponse(200, {"s": "ok", "d": {name: row}, "message": ""})

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
            if self._token(request) is None:
                return self.session_expired_response(request)
            return handler(request)

        return answer

    def _token(self, request: SimRequest) -> str | None:
        """Return the live token of a request: `<app_id>:<token>`, nothing before it."""
        app_id, _, token = request.headers.get("authorization", "").partition(":")
        if app_id != self.credentials["app_id"] or self.session_of(token) is None:
            return None
        return token

    def _json_object(self, request: SimRequest) -> dict[str, Any] | None:
        if request.content_type != "application/json":
            self.violation(request, "a body that is not declared as JSON")
            return None
        try:
            body = request.json()
        except ValueError:
            return None
        return body if isinstance(body, dict) else None


def _ok(message: str = "", *, code: int = 200, **payload: Any) -> SimResponse:
    return SimResponse(200, {"s": "ok", "code": code, "message": message, **payload})


def _error(
    code: int, message: str, *, status: int = 200, order_id: str | None = None
) -> SimResponse:
    body: dict[str, Any] = {"s": "error", "code": code, "message": message}
    if order_id is not None:
        body["id"] = order_id
    return SimResponse(status, body)


def _not_pending(order: SimOrder) -> SimResponse:
    return _error(-52, "Not a pending order", status=400, order_id=order.broker_order_id)


def _html(status: int, page: str) -> SimResponse:
    return SimResponse(status, page.encode(), {"content-type": "text/html; charset=utf-8"})

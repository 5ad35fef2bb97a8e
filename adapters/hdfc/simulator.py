"""A local InvestRight: the real protocol over the shared market, engine and faults.

Options besides the kit's: `external_reference` (`echo` | `generated`: what the book shows as
client reference), `market_orders` (`refuse` | `accept`), `redirect_url` and
`redirect_parameter` of the hosted login, `recaptcha`, `authorised` (consent given earlier),
`carried` (positions of earlier days, see `CarriedOver`), `ltp_blank` (segment codes whose price
rows name no exchange), `empty_lists` (`list` | `null` | `missing` | `error`: the shape of a book
and of trades without rows).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.hdfc import simulator_master as master
from adapters.hdfc import simulator_orders as wire
from adapters.hdfc import simulator_rows as rows
from adapters.hdfc.simulator_login import LoginDesk
from adapters.hdfc.simulator_portfolio import Portfolio
from adapters.hdfc.simulator_prices import PriceDesk
from adapters.sdk.models import OrderType, RedirectRequired
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    EngineRefusal,
    Route,
    SimOrder,
    SimRequest,
    SimResponse,
    SimSession,
)

_LIBRARY_AGENT = re.compile(r"(?i)^(python|niquests|urllib|aiohttp|httpx|curl|go-http|java|okhttp)")

Guarded = Callable[[SimRequest, SimSession], SimResponse]


class HdfcSimulator(BrokerSimulator):
    """HDFC Securities' InvestRight API on loopback."""

    broker = "hdfc"
    client_id = "1234567"
    credentials = {
        "api_key": "5f8c1d2e3a4b59687700aa11bb22cc33",
        "api_secret": "9e8d7c6b5a493827161504f3e2d1c0b9",
        "username": "1234567",
        "password": "Simul@ted-1",
        "client_id": "1234567",
    }
    hosts = {"api": ""}
    own_options = frozenset(
        {
            "external_reference",
            "market_orders",
            "redirect_url",
            "redirect_parameter",
            "recaptcha",
            "authorised",
            "carried",
            "ltp_blank",
            "empty_lists",
        }
    )

    def __init__(self, **settings: Any) -> None:
        self._desk = LoginDesk(self)
        super().__init__(**settings)
        self._portfolio = Portfolio(self)
        self._market = PriceDesk(self)

    def routes(self) -> list[Route]:
        v1 = "/oapi/v1"
        return [
            *self._desk.routes(),
            self._route("POST", f"{v1}/orders/regular", CallKind.PLACE, self._place),
            self._route("PUT", f"{v1}/orders/regular/{{order_id}}", CallKind.MODIFY, self._modify),
            self._route(
                "DELETE", f"{v1}/orders/regular/{{order_id}}", CallKind.CANCEL, self._cancel
            ),
            self._route("GET", f"{v1}/orders", CallKind.BOOK, self._order_book),
            self._route("GET", f"{v1}/orders/{{order_id}}", CallKind.ORDER, self._single_order),
            self._route("GET", f"{v1}/trades", CallKind.TRADES, self._trades),
            self._route(
                "GET", f"{v1}/orders/{{order_id}}/trades", CallKind.TRADES, self._order_trades
            ),
            self._route(
                "GET",
                f"{v1}/portfolio/cumulative-positions",
                CallKind.READ,
                lambda *_: _success(self._portfolio.positions()),
            ),
            self._route(
                "GET",
                f"{v1}/portfolio/holdings",
                CallKind.READ,
                lambda *_: _success(self._portfolio.holdings()),
            ),
            self._route(
                "GET",
                f"{v1}/user/margins",
                CallKind.READ,
                lambda *_: _success(self._portfolio.funds()),
            ),
            self._route("GET", "/oapi/v3/user/profile", CallKind.READ, self._profile),
            self._route("PUT", f"{v1}/fetch-ltp", CallKind.QUOTE, self._fetch_ltp),
            Route("GET", f"{v1}/security-master", CallKind.MASTER, self._security_master),
        ]

    def mint_order_id(self, number: int, at: datetime) -> str:
        return f"{at:%y%m%d}{number:08d}"

    @property
    def redirect_url(self) -> str:
        """Where the app is registered to be redirected to."""
        return str(self.options.get("redirect_url", "https://gateway.example/cb"))

    async def read_otp(self) -> str:
        """Return the one-time password that the owner would read on the phone.

        Raises `LookupError` when no login waits for one.
        """
        if self.otp is None:
            raise LookupError("no one-time password was sent")
        return self.otp

    async def complete_login(self, step: RedirectRequired) -> str:
        """Log in on the hosted page as the owner would; return the URL redirected to.

        Raises `ValueError` when the page was opened with another app's key.
        """
        if parse_qs(urlsplit(step.login_url).query).get("api_key") != [self.credentials["api_key"]]:
            raise ValueError("the login page was opened without this app's key")
        return self._desk.redirect()

    def on_reset(self) -> None:
        """Put the positions of earlier days back."""
        self._portfolio.seed()

    # The broker's error answers: shapes inferred, see payloads and dossier hdfc 4

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        return SimResponse(200, {"status": "error", "message": message})

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        return SimResponse(429, {"error": "merchantKeyRateLimit - too many requests"})

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        return SimResponse(401, {"error": "invalid credentials"})

    def not_found_response(self, request: SimRequest) -> SimResponse:
        """Answer as the gateway in front does: a 404 without a body."""
        return SimResponse(404, b"")

    def handle(self, request: SimRequest) -> SimResponse:
        """Redirect a path that only has a slash too many, as servers of this kind do.

        A client that follows redirects on orders is caught by it.
        """
        bare = request.path.rstrip("/")
        if bare != request.path and self.router.find(request.method, bare):
            self.violation(request, "trailing slash")
            return SimResponse(307, b"", {"location": f"{bare}?{urlencode(request.query)}"})
        return super().handle(request)

    def refuse_stranger(self, request: SimRequest) -> SimResponse | None:
        """Refuse a request without User-Agent or with a wrong `api_key`; None lets it pass."""
        agent = request.headers.get("user-agent", "")
        if not agent:
            self.violation(request, "no User-Agent")
            return SimResponse(403, {"error": "Forbidden"})
        if _LIBRARY_AGENT.match(agent):
            self.violation(request, "User-Agent is not browser-shaped")
        if request.query.get("api_key") != self.credentials["api_key"]:
            self.violation(request, "api_key missing in the query or wrong")
            return self.session_expired_response(request)
        return None

    def _route(self, method: str, path: str, kind: CallKind, handler: Guarded) -> Route:
        return Route(method, path, kind, lambda request: self._guarded(request, handler))

    def _guarded(self, request: SimRequest, handler: Guarded) -> SimResponse:
        refusal = self.refuse_stranger(request)
        if refusal is not None:
            return refusal
        token = request.headers.get("authorization", "")
        if " " in token:
            self.violation(request, "Authorization is not the bare token")
        session = self.session_of(token)
        if session is None:
            return self.session_expired_response(request)
        for name in set(request.query) - {"api_key"}:
            self.violation(request, f"query parameter {name} is not the broker's")
        if request.body and request.method in ("GET", "DELETE"):
            self.violation(request, f"{request.method} with a body")
        elif request.body and request.content_type != "application/json":
            self.violation(request, "body is not declared as JSON")
            return SimResponse(400, {"status": "error", "message": "JSON body expected"})
        try:
            return handler(request, session)
        except wire.BadField as problem:
            self.violation(request, str(problem))
            return SimResponse(400, {"status": "error", "message": str(problem)})

    # Orders

    def _place(self, request: SimRequest, session: SimSession) -> SimResponse:
        try:
            new = wire.read_place(wire.read_object(request), self.universe)
        except wire.ProductMismatch as problem:
            return self.reject_response(request, str(problem))
        is_market = new.order_type in (OrderType.MARKET, OrderType.SL_M)
        if is_market and self.options.get("market_orders") != "accept":
            return SimResponse(403, {"status": "error", "message": wire.LIMIT_ONLY})
        # Accept-only: what risk management or the exchange refuses shows in the book (5.10).
        return _ordered(self.engine.place(new))

    def _modify(self, request: SimRequest, session: SimSession) -> SimResponse:
        changes = wire.read_modify(wire.read_object(request))
        return self._change(request, lambda order: self.engine.modify(order, **changes))

    def _cancel(self, request: SimRequest, session: SimSession) -> SimResponse:
        return self._change(request, self.engine.cancel)

    def _change(self, request: SimRequest, change: Callable[[SimOrder], None]) -> SimResponse:
        order = self.engine.get(request.params["order_id"])
        if order is None:
            return SimResponse(404, {"status": "error", "message": "Order not found"})
        try:
            change(order)
        except EngineRefusal:
            verb = "modified" if request.kind is CallKind.MODIFY else "cancelled"
            return self.reject_response(request, f"Order cannot be {verb}")
        return _ordered(order)

    def _order_book(self, request: SimRequest, session: SimSession) -> SimResponse:
        return self._list([self._row(order) for order in self.visible_orders(request)])

    def _single_order(self, request: SimRequest, session: SimSession) -> SimResponse:
        order = self.visible_order(request, request.params["order_id"])
        if order is None:
            return SimResponse(404, {"status": "error", "message": "Order not found"})
        return _success([self._row(order)])

    def _trades(self, request: SimRequest, session: SimSession) -> SimResponse:
        trades = self.visible_trades(request)
        return self._list([rows.trade_row(trade, client_id=self.client_id) for trade in trades])

    def _order_trades(self, request: SimRequest, session: SimSession) -> SimResponse:
        order_id = request.params["order_id"]
        return _success(
            [
                rows.order_trade_row(trade, client_id=self.client_id)
                for trade in self.visible_trades(request)
                if trade.order.broker_order_id == order_id
            ]
        )

    def _list(self, found: list[dict[str, Any]]) -> SimResponse:
        """Answer a list; how an empty one looks is not published (dossier hdfc 12.5)."""
        if found:
            return _success(found)
        shapes: dict[str, Any] = {
            "list": {"status": "success", "data": []},
            "null": {"status": "success", "data": None},
            "missing": {"status": "success"},
            "error": {"status": "error", "message": "No data found"},
        }
        return SimResponse(200, shapes[str(self.options.get("empty_lists", "list"))])

    def _row(self, order: SimOrder) -> dict[str, Any]:
        reference = order.tag or ""
        if self.options.get("external_reference") == "generated" or not reference:
            reference = f"STAPI{order.accepted_at:%Y%m%d}{order.number:07d}"
        return rows.order_row(order, client_id=self.client_id, reference=reference)

    # Account and market

    def _profile(self, request: SimRequest, session: SimSession) -> SimResponse:
        return _success([rows.profile_object(session.client_id)])

    def _fetch_ltp(self, request: SimRequest, session: SimSession) -> SimResponse:
        return self._market.last_prices(request)

    def _security_master(self, request: SimRequest) -> SimResponse:
        return SimResponse(
            200,
            master.csv_rows(self.universe),
            {
                "content-type": "text/csv",
                "content-disposition": 'attachment; filename="ir-security-master.csv"',
            },
        )


def _success(data: Any) -> SimResponse:
    return SimResponse(200, {"status": "success", "data": data})


def _ordered(order: SimOrder) -> SimResponse:
    return _success({"order_id": order.broker_order_id})

"""The broker simulator that each broker's own simulator derives from."""

from __future__ import annotations

import random
import ssl
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from adapters.sdk.simulator.account import Holding
from adapters.sdk.simulator.clock import Clock, system_clock
from adapters.sdk.simulator.control import ControlPlane
from adapters.sdk.simulator.engine import Engine
from adapters.sdk.simulator.faults import FaultPlan
from adapters.sdk.simulator.http import CallKind, Route, Router, SimRequest, SimResponse
from adapters.sdk.simulator.orders import SimOrder, Trade
from adapters.sdk.simulator.rules import EngineSettings
from adapters.sdk.simulator.server import SimServer
from adapters.sdk.simulator.universe import Universe

_ORDER_MESSAGES = frozenset({CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL})
_SECOND = timedelta(seconds=1)


class SimSession(msgspec.Struct, frozen=True, kw_only=True):
    """A token that the simulated broker handed out."""

    token: str
    client_id: str
    opened_at: datetime
    expires_at: datetime


class RequestRecord(msgspec.Struct, frozen=True):
    """What is remembered of a request: never its query, headers or body."""

    at: datetime
    kind: CallKind
    method: str
    path: str


class BrokerSimulator(ABC):
    """One broker's protocol over the shared market, engine, ledger and faults.

    Args:
        clock: simulated time (delays on the wire are real time).
        seed: of everything random here (OTPs, tokens).
        today: the market's day; the clock's by default.
        options: `rows` (size of the instrument universe) and any field of `EngineSettings`;
            a broker may take more, named in `own_options`.
        tls: serve TLS with this context.

    Source: design section 6.
    """

    broker: str
    credentials: Mapping[str, str]
    hosts: Mapping[str, str] = {"api": ""}
    own_options: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        today: date | None = None,
        options: Mapping[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        given = dict(options or {})
        self.clock = clock or system_clock
        self.today = today or self.clock().date()
        self.rng = random.Random(seed)
        self.universe = Universe(self.today, rows=int(given.pop("rows", 0)))
        self.options = {name: given.pop(name) for name in self.own_options & given.keys()}
        self.engine = Engine(
            self.universe,
            mint=self.mint_order_id,
            clock=self.clock,
            settings=msgspec.convert(given, EngineSettings),
            holdings=self._holdings(),
        )
        self.faults = FaultPlan()
        self.sessions: dict[str, SimSession] = {}
        self.otp: str | None = None
        self.calls: Counter[CallKind] = Counter()
        self.violations: Counter[tuple[CallKind, str]] = Counter()
        self.requests: deque[RequestRecord] = deque(maxlen=1000)
        self.peak_order_messages = 0
        self._last_second: deque[datetime] = deque()
        self.router = Router(self.routes())
        self.control = ControlPlane(self)
        self._server = SimServer(self, tls=tls)

    # What a broker declares

    @abstractmethod
    def routes(self) -> list[Route]:
        """List the broker's methods and paths."""

    @abstractmethod
    def mint_order_id(self, number: int, at: datetime) -> str:
        """Make the broker's id for order `number` (counted from 1, never repeated)."""

    @abstractmethod
    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        """Answer as the broker does when it refuses a request on business grounds."""

    @abstractmethod
    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        """Answer as the broker does above its rate limit."""

    @abstractmethod
    def session_expired_response(self, request: SimRequest) -> SimResponse:
        """Answer as the broker does to a dead token."""

    def not_found_response(self, request: SimRequest) -> SimResponse:
        """Answer a path that the broker does not have."""
        return SimResponse(404, {"message": "Not Found"})

    def method_not_allowed_response(self, request: SimRequest) -> SimResponse:
        """Answer a path that the broker has with another method."""
        return SimResponse(405, {"message": "Method Not Allowed"})

    def otp_state(self) -> dict[str, Any]:
        """What `GET /_sim/otp` shows: the current one-time password, and the broker's extras."""
        return {"otp": self.otp}

    def on_reset(self) -> None:  # noqa: B027 (most brokers keep nothing else)
        """Forget whatever else the broker keeps (called by `POST /_sim/reset`)."""

    # What a broker's handlers use

    def visible_orders(self, request: SimRequest) -> list[SimOrder]:
        """Return the orders that this read shows: book lag and book faults applied."""
        orders = self.engine.visible_orders(lag_ms=request.lag_ms)
        if request.omit is None:
            return orders
        return _without(orders, request.omit)

    def visible_order(self, request: SimRequest, broker_order_id: str) -> SimOrder | None:
        """Return one order as this read shows it, or None where it does not (yet)."""
        if request.omit is None:
            return self.engine.visible_order(broker_order_id, lag_ms=request.lag_ms)
        for order in self.visible_orders(request):
            if order.broker_order_id == broker_order_id:
                return order
        return None

    def visible_trades(self, request: SimRequest) -> list[Trade]:
        """Return the fills of the orders that this read shows."""
        return [
            Trade(order, fill) for order in self.visible_orders(request) for fill in order.fills
        ]

    def violation(self, request: SimRequest, what: str) -> None:
        """Count something the client does that the broker's documents forbid."""
        self.violations[request.kind, what] += 1

    def new_otp(self, digits: int = 6) -> str:
        """Make and remember a one-time password; the one before it no longer counts."""
        self.otp = "".join(str(self.rng.randrange(10)) for _ in range(digits))
        return self.otp

    def open_session(self, token: str, *, client_id: str, expires_at: datetime) -> SimSession:
        """Remember a token as good until `expires_at`."""
        session = SimSession(
            token=token, client_id=client_id, opened_at=self.clock(), expires_at=expires_at
        )
        self.sessions[token] = session
        return session

    def session_of(self, token: str) -> SimSession | None:
        """Return the session of a token, or None when it is unknown, ended or expired."""
        session = self.sessions.get(token)
        return session if session is not None and session.expires_at > self.clock() else None

    def expire_sessions(self) -> None:
        """End every session at once."""
        self.sessions.clear()

    # Serving

    def handle(self, request: SimRequest) -> SimResponse:
        """Answer one request as the broker, faults aside."""
        found = self.router.find(request.method, request.path)
        if found is None:
            if self.router.knows_path(request.path):
                return self.method_not_allowed_response(request)
            return self.not_found_response(request)
        route, request.params = found
        return route.handler(request)

    def kind_of(self, method: str, path: str) -> CallKind:
        """Tell what a call is for, from its method and path."""
        found = self.router.find(method, path)
        return found[0].kind if found else CallKind.OTHER

    def record(self, request: SimRequest) -> None:
        """Count a request that was read."""
        now = self.clock()
        self.calls[request.kind] += 1
        self.requests.append(RequestRecord(now, request.kind, request.method, request.path))
        if request.kind in _ORDER_MESSAGES:
            self._last_second.append(now)
            while now - self._last_second[0] >= _SECOND:
                self._last_second.popleft()
            self.peak_order_messages = max(self.peak_order_messages, len(self._last_second))

    def reset(self) -> None:
        """Empty the ledger, the counts and the faults; sessions stay open."""
        self.faults.clear()
        self.engine.reset()
        self.calls.clear()
        self.violations.clear()
        self.requests.clear()
        self.peak_order_messages = 0
        self._last_second.clear()
        self.on_reset()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port.

        The control plane gets a second port of its own, plain HTTP even where `tls` is set.
        Raises `OSError` when the port is taken.
        """
        return await self._server.start(host, port)

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        await self._server.stop()

    @property
    def url(self) -> str:
        """Where the broker answers, without a trailing slash."""
        return self._server.url

    @property
    def control_url(self) -> str:
        """Where only `/_sim/` answers, even while connections are refused."""
        return self._server.control_url

    @property
    def base_urls(self) -> dict[str, str]:
        """What an account's `base_urls` must say to reach this simulator."""
        return {name: self.url + path for name, path in self.hosts.items()}

    def _holdings(self) -> tuple[Holding, ...]:
        rows = (("NSE:SBIN", 50, "640.25"), ("NSE:INFY", 20, "1510.00"))
        return tuple(
            Holding(contract=contract, quantity=quantity, average_price=Decimal(price))
            for instrument, quantity, price in rows
            if (contract := self.universe.by_instrument(instrument)) is not None
        )


def _without(orders: list[SimOrder], omit: Mapping[str, Any]) -> list[SimOrder]:
    """Leave out the newest orders, or those with the given tags or broker order ids."""
    tags, ids = omit.get("tags", ()), omit.get("broker_order_ids", ())
    if tags or ids:
        return [o for o in orders if o.tag not in tags and o.broker_order_id not in ids]
    newest = int(omit.get("newest", 1))
    return orders[:-newest] if newest else orders

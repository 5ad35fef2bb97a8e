"""A broker that exists nowhere, small enough to see the kit through it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from adapters.sdk.models import Exchange, OrderType, Product, Side, Validity
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    EngineRefusal,
    NewOrder,
    Route,
    SimRequest,
    SimResponse,
)


class ToyBroker(BrokerSimulator):
    broker = "toy"
    credentials = {"api_key": "toy-key"}
    hosts = {"api": "/v1"}
    own_options = frozenset({"greeting"})
    megabytes_sent = 0

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/orders", CallKind.PLACE, self._place),
            Route("DELETE", "/v1/orders/{order_id}", CallKind.CANCEL, self._cancel),
            Route("GET", "/v1/orders", CallKind.BOOK, self._book),
            Route("GET", "/v1/orders/{order_id}", CallKind.ORDER, self._order),
            Route("GET", "/v1/trades", CallKind.TRADES, self._trades),
            Route("POST", "/v1/login", CallKind.LOGIN, self._login),
            Route("GET", "/v1/me", CallKind.READ, self._me),
            Route("GET", "/files/endless", CallKind.MASTER, self._endless),
            Route("GET", "/files/{name...}", CallKind.MASTER, self._file),
        ]

    def mint_order_id(self, number: int, at: datetime) -> str:
        return f"{at:%y%m%d}{number:06d}"

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        return SimResponse(200, {"ok": False, "message": message})

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        return SimResponse(429, {"ok": False, "message": "too many"}, {"retry-after": "1"})

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        return SimResponse(401, {"ok": False, "message": "token"})

    def _place(self, request: SimRequest) -> SimResponse:
        if request.content_type != "application/json":
            self.violation(request, "wrong content type")
        body = request.json()
        contract = self.universe.by_token(Exchange.NSE, body.get("token", 3045))
        if contract is None:
            return self.reject_response(request, "unknown token")
        order = self.engine.place(
            NewOrder(
                contract=contract,
                side=Side(body.get("side", "BUY")),
                order_type=OrderType(body.get("type", "LIMIT")),
                product=Product.CNC,
                validity=Validity.DAY,
                quantity=body.get("quantity", 10),
                price=None if body.get("price") is None else Decimal(body["price"]),
                tag=body.get("tag"),
            )
        )
        return SimResponse(200, {"ok": True, "id": order.broker_order_id})

    def _cancel(self, request: SimRequest) -> SimResponse:
        order = self.engine.get(request.params["order_id"])
        if order is None:
            return self.reject_response(request, "no such order")
        try:
            self.engine.cancel(order)
        except EngineRefusal as refusal:
            return self.reject_response(request, refusal.message)
        return SimResponse(200, {"ok": True})

    def _book(self, request: SimRequest) -> SimResponse:
        rows: list[dict[str, Any]] = [
            {"id": order.broker_order_id, "tag": order.tag, "state": order.state}
            for order in self.visible_orders(request)
        ]
        return SimResponse(200, {"ok": True, "orders": rows})

    def _order(self, request: SimRequest) -> SimResponse:
        order = self.visible_order(request, request.params["order_id"])
        return SimResponse(200, {"ok": True, "state": order.state if order else None})

    def _trades(self, request: SimRequest) -> SimResponse:
        rows = [
            {"order": trade.order.broker_order_id, "price": trade.fill.price}
            for trade in self.visible_trades(request)
        ]
        return SimResponse(200, {"ok": True, "trades": rows})

    def _login(self, request: SimRequest) -> SimResponse:
        self.new_otp()
        expires = self.clock().replace(hour=23, minute=59)
        self.open_session("toy-token", client_id="TOY1", expires_at=expires)
        return SimResponse(200, {"ok": True, "token": "toy-token"})

    def _me(self, request: SimRequest) -> SimResponse:
        session = self.session_of(request.headers.get("authorization", ""))
        if session is None:
            return self.session_expired_response(request)
        return SimResponse(200, {"ok": True, "client": session.client_id})

    def _file(self, request: SimRequest) -> SimResponse:
        def rows() -> Iterator[bytes]:
            for contract in self.universe.contracts():
                yield f"{contract.token},{contract.instrument}\n".encode()

        return SimResponse(200, rows(), {"content-type": "text/csv"})

    def _endless(self, request: SimRequest) -> SimResponse:
        def megabytes() -> Iterator[bytes]:
            while True:
                self.megabytes_sent += 1
                yield bytes(1_000_000)

        return SimResponse(200, megabytes())

"""A local Acme: its protocol over the kit's market, matching engine, ledger and faults.

Be as strict as the broker's documents are. Where they are silent, choose, and write the choice
into quality.yaml under `simulator_liberties`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from adapters.sdk.models import Exchange
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    Contract,
    EngineRefusal,
    NewOrder,
    Route,
    SimOrder,
    SimRequest,
    SimResponse,
)
from brokergate_acme import constants as wire
from brokergate_acme.master import COLUMNS

_EXCHANGES = (Exchange.NSE, Exchange.NFO)
_STATES = {state: word for word, state in wire.STATES.items()}
_T = TypeVar("_T")


class AcmeSimulator(BrokerSimulator):
    """Acme on loopback."""

    broker = "acme"
    credentials: Mapping[str, str] = {
        "api_key": "sim-acme-key",
        "username": "AC0001",
        "password": "sim-acme-password",
    }
    _challenge = ""

    def routes(self) -> list[Route]:
        signed = self._signed
        return [
            Route("POST", "/v1/login", CallKind.LOGIN, self._login),
            Route("POST", "/v1/login/otp", CallKind.LOGIN, self._login_otp),
            Route("POST", "/v1/logout", CallKind.LOGIN, signed(self._logout)),
            Route("GET", "/v1/profile", CallKind.READ, signed(self._profile)),
            Route("POST", "/v1/orders", CallKind.PLACE, signed(self._place)),
            Route("PUT", "/v1/orders/{order_id}", CallKind.MODIFY, signed(self._modify)),
            Route("DELETE", "/v1/orders/{order_id}", CallKind.CANCEL, signed(self._cancel)),
            Route("GET", "/v1/orders", CallKind.BOOK, signed(self._book)),
            Route("GET", "/v1/orders/{order_id}", CallKind.ORDER, signed(self._order)),
            Route("GET", "/v1/trades", CallKind.TRADES, signed(self._trades)),
            Route("GET", "/v1/positions", CallKind.READ, signed(self._positions)),
            Route("GET", "/v1/holdings", CallKind.READ, signed(self._holding_rows)),
            Route("GET", "/v1/funds", CallKind.READ, signed(self._funds)),
            Route("POST", "/v1/quotes", CallKind.QUOTE, signed(self._quotes)),
            Route("GET", "/files/master.csv", CallKind.MASTER, self._master),
        ]

    def mint_order_id(self, number: int, at: datetime) -> str:
        return f"A{at:%y%m%d}{number:07d}"

    def reject_response(self, request: SimRequest, message: str) -> SimResponse:
        return _no("RMS", message)

    def rate_limit_response(self, request: SimRequest) -> SimResponse:
        return _no("RATE", "too many requests", status=429)

    def session_expired_response(self, request: SimRequest) -> SimResponse:
        return _no("SESSION", "the session has ended", status=401)

    async def read_otp(self) -> str:
        """Return the one-time password that a person would read on the phone."""
        return self.otp or ""

    # Login

    def _login(self, request: SimRequest) -> SimResponse:
        body = self._body(request)
        if any(body.get(name) != value for name, value in self.credentials.items()):
            return _no("LOGIN", "wrong key, client code or password")
        self.new_otp()
        self._challenge = self.rng.randbytes(8).hex()
        return _yes({"challenge": self._challenge})

    def _login_otp(self, request: SimRequest) -> SimResponse:
        body = self._body(request)
        if not self._challenge or body.get("challenge") != self._challenge:
            return _no("LOGIN", "no login is under way")
        if body.get("otp") != self.otp:
            return _no("OTP", "wrong one-time password")
        ends = self.clock() + timedelta(hours=12)
        token = self.rng.randbytes(16).hex()
        session = self.open_session(token, client_id=self.credentials["username"], expires_at=ends)
        return _yes({"token": token, "client": session.client_id, "expires": _time(ends)})

    def _logout(self, request: SimRequest) -> SimResponse:
        self.sessions.pop(_token(request), None)
        return _yes(None)

    def _profile(self, request: SimRequest) -> SimResponse:
        session = self.sessions[_token(request)]
        return _yes({"client": session.client_id})

    def _signed(
        self, handler: Callable[[SimRequest], SimResponse]
    ) -> Callable[[SimRequest], SimResponse]:
        def checked(request: SimRequest) -> SimResponse:
            if self.session_of(_token(request)) is None:
                return self.session_expired_response(request)
            return handler(request)

        return checked

    # Orders

    def _place(self, request: SimRequest) -> SimResponse:
        body = self._body(request)
        contract = self._contract(body.get("key"))
        try:
            new = NewOrder(
                contract=contract,  # type: ignore[arg-type]
                side=_ours(wire.SIDES, body["side"]),
                order_type=_ours(wire.ORDER_TYPES, body["type"]),
                product=_ours(wire.PRODUCTS, body["product"]),
                validity=_ours(wire.VALIDITIES, body["validity"]),
                quantity=int(body["quantity"]),
                price=_decimal(body["price"]),
                trigger_price=_decimal(body["trigger"]),
                tag=body["ref"],
            )
        except (KeyError, ValueError, TypeError) as error:
            self.violation(request, f"wrong or missing field: {error}")
            return _no("INVALID", "wrong or missing field")
        if contract is None:
            return _no("INVALID", "no such key")
        refusal = self.engine.check(new)
        if refusal is not None:
            return _no("RMS", refusal.message)
        return _yes({"id": self.engine.place(new).broker_order_id})

    def _modify(self, request: SimRequest) -> SimResponse:
        body = self._body(request)
        order = self.engine.get(request.params["order_id"])
        if order is None:
            return _no("NO_ORDER", "no such order")
        try:
            self.engine.modify(
                order,
                quantity=int(body["quantity"]),
                price=_decimal(body["price"]),
                trigger_price=_decimal(body["trigger"]),
                order_type=_ours(wire.ORDER_TYPES, body["type"]),
                validity=_ours(wire.VALIDITIES, body["validity"]),
            )
        except EngineRefusal as refusal:
            return _no("RMS", refusal.message)
        return _yes({"id": order.broker_order_id})

    def _cancel(self, request: SimRequest) -> SimResponse:
        order = self.engine.get(request.params["order_id"])
        if order is None:
            return _no("NO_ORDER", "no such order")
        try:
            self.engine.cancel(order)
        except EngineRefusal as refusal:
            return _no("RMS", refusal.message)
        return _yes({"id": order.broker_order_id})

    def _book(self, request: SimRequest) -> SimResponse:
        return _yes([_row(order) for order in self.visible_orders(request)])

    def _order(self, request: SimRequest) -> SimResponse:
        order = self.visible_order(request, request.params["order_id"])
        return _no("NO_ORDER", "no such order") if order is None else _yes(_row(order))

    def _trades(self, request: SimRequest) -> SimResponse:
        return _yes(
            [
                {
                    "trade": trade.fill.trade_id,
                    "id": trade.order.broker_order_id,
                    "key": _key(trade.order.contract),
                    "side": wire.SIDES[trade.order.side],
                    "product": wire.PRODUCTS[trade.order.product],
                    "quantity": trade.fill.quantity,
                    "price": trade.fill.price,
                    "ref": trade.order.tag,
                    "at": _time(trade.fill.at),
                }
                for trade in self.visible_trades(request)
            ]
        )

    # The account and the market

    def _positions(self, request: SimRequest) -> SimResponse:
        self.engine.advance()
        return _yes(
            [
                {
                    "key": _key(held.contract),
                    "product": wire.PRODUCTS[held.product],
                    "net": held.quantity,
                    "bought": held.buy_quantity,
                    "sold": held.sell_quantity,
                    "average": held.average_price,
                }
                for held in self.engine.account.positions
            ]
        )

    def _holding_rows(self, request: SimRequest) -> SimResponse:
        return _yes(
            [
                {
                    "key": _key(held.contract),
                    "isin": held.contract.isin,
                    "quantity": held.quantity,
                    "average": held.average_price,
                }
                for held in self.engine.account.holdings
            ]
        )

    def _funds(self, request: SimRequest) -> SimResponse:
        self.engine.advance()
        funds = self.engine.account.funds
        return _yes({"available": funds.available, "used": funds.used, "opening": funds.opening})

    def _quotes(self, request: SimRequest) -> SimResponse:
        keys = self._body(request).get("keys")
        if not isinstance(keys, list) or len(keys) > 50:
            self.violation(request, "more than 50 keys")
            return _no("INVALID", "50 keys at most")
        found = [(key, self._contract(key)) for key in keys]
        return _yes(
            [{"key": key, "last": self.engine.price(one)} for key, one in found if one is not None]
        )

    def _master(self, request: SimRequest) -> SimResponse:
        return SimResponse(200, self._master_rows(), {"content-type": "text/csv"})

    def _master_rows(self) -> Iterator[bytes]:
        yield _line(COLUMNS)
        count = 0
        for one in self.universe.contracts(*_EXCHANGES):
            count += 1
            yield _line(
                (
                    _key(one),
                    one.exchange.value,
                    one.symbol,
                    one.name,
                    one.type.value,
                    one.lot_size,
                    one.tick_size,
                    one.underlying or "",
                    one.expiry or "",
                    "" if one.strike is None else one.strike,
                    one.option_type.value if one.option_type else "",
                    one.freeze_quantity or "",
                    one.isin or "",
                )
            )
        yield _line(("END", count))

    # How

    def _body(self, request: SimRequest) -> Mapping[str, Any]:
        """Decode a body; anything but a JSON object counts as an empty one, and as a violation."""
        if request.content_type != "application/json":
            self.violation(request, "wrong content type")
        try:
            body = request.json()
        except ValueError:
            body = None
        if isinstance(body, dict):
            return body
        self.violation(request, "no JSON object")
        return {}

    def _contract(self, key: object) -> Contract | None:
        exchange, _, token = str(key).partition(":")
        if exchange not in _EXCHANGES or not token.isdecimal():
            return None
        return self.universe.by_token(Exchange(exchange), int(token))


def _yes(data: object) -> SimResponse:
    return SimResponse(200, {"ok": True, "data": data})


def _no(code: str, message: str, *, status: int = 200) -> SimResponse:
    return SimResponse(status, {"ok": False, "code": code, "message": message})


def _row(order: SimOrder) -> dict[str, Any]:
    return {
        "id": order.broker_order_id,
        "key": _key(order.contract),
        "side": wire.SIDES[order.side],
        "type": wire.ORDER_TYPES[order.order_type],
        "product": wire.PRODUCTS[order.product],
        "validity": wire.VALIDITIES[order.validity],
        "quantity": order.quantity,
        "filled": order.filled_quantity,
        "price": order.price,
        "trigger": order.trigger_price,
        "average": order.average_price,
        "state": _STATES[order.state],
        "ref": order.tag,
        "message": order.message,
        "at": _time(order.accepted_at),
    }


def _key(contract: Contract) -> str:
    return f"{contract.exchange.value}:{contract.token}"


def _time(at: datetime) -> str:
    return at.astimezone(wire.IST).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _token(request: SimRequest) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _ours(words: Mapping[_T, str], written: object) -> _T:
    for ours, theirs in words.items():
        if theirs == written:
            return ours
    raise ValueError(f"{written!r}")


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _line(cells: tuple[object, ...]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue().encode()

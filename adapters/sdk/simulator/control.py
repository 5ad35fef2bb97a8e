"""The control plane under `/_sim/`: what tests, demos and checkers ask a simulator.

    GET  ledger            every order that the exchange accepted (`?tag=`), counts by kind of
                           call, most order messages (place, modify, cancel) within one second
    POST faults            one rule or a list of them (see `faults`); a 400 says what is wrong
    GET, DELETE faults     what is in force; lift it all
    POST reset             empty ledger, counts, faults and prices; sessions stay
    GET  otp               the current one-time password and the broker's extras
    POST price             {"instrument" or "exchange_token" (+ "exchange"), "price", "available"}:
                           move the price, limit what may trade (null lifts)
    POST fill              {"broker_order_id", "quantity", "price"}: fill by decree
    POST market            {"open": bool}: opening releases AMO orders
    POST end-of-day        close, and expire what is live
    POST settings          change fields of `EngineSettings`
    POST expire-sessions   every token is dead
    GET  requests          the last 1000 requests: time, kind, method, path
    GET  violations        what the client did against the broker's documents, counted

Faults never touch it. While connections are refused, it still answers on the control port
(`BrokerSimulator.control_url`), which serves nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from adapters.sdk.models import Exchange
from adapters.sdk.simulator.actions import FaultError
from adapters.sdk.simulator.http import SimRequest, SimResponse
from adapters.sdk.simulator.orders import EngineRefusal, SimOrder
from adapters.sdk.simulator.universe import Contract

if TYPE_CHECKING:
    from adapters.sdk.simulator.base import BrokerSimulator

PREFIX = "/_sim/"

_encoder = msgspec.json.Encoder()
_Body = TypeVar("_Body", bound=msgspec.Struct)


class _ControlError(Exception):
    """A control request that cannot be done; the text says why."""


class _Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class _PriceBody(_Strict, kw_only=True):
    instrument: str | None = None
    exchange: Exchange | None = None
    exchange_token: int | None = None
    price: Decimal | None = None
    available: int | msgspec.UnsetType | None = msgspec.UNSET


class _FillBody(_Strict, kw_only=True):
    broker_order_id: str
    quantity: int | None = None
    price: Decimal | None = None


class _MarketBody(_Strict, kw_only=True):
    open: bool


class ControlPlane:
    """Answers `/_sim/` for one simulator. Money is written as decimal strings."""

    def __init__(self, simulator: BrokerSimulator) -> None:
        self._simulator = simulator
        self._calls: dict[tuple[str, str], Callable[[SimRequest], Any]] = {
            ("GET", "ledger"): self._ledger,
            ("GET", "faults"): lambda _: simulator.faults.describe(),
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "reset"): self._reset,
            ("GET", "otp"): lambda _: simulator.otp_state(),
            ("POST", "price"): self._price,
            ("POST", "fill"): self._fill,
            ("POST", "market"): self._market,
            ("POST", "end-of-day"): self._end_of_day,
            ("POST", "settings"): self._settings,
            ("POST", "expire-sessions"): self._expire_sessions,
            ("GET", "requests"): lambda _: {"requests": list(simulator.requests)},
            ("GET", "violations"): self._violations,
        }

    def answer(self, request: SimRequest) -> SimResponse:
        """Answer one control request: 200, 400 with the reason, or 404."""
        call = self._calls.get((request.method, request.path.removeprefix(PREFIX)))
        if call is None:
            return _json(404, {"error": f"no control call {request.method} {request.path}"})
        try:
            return _json(200, call(request))
        except (_ControlError, FaultError, EngineRefusal, msgspec.DecodeError) as error:
            return _json(400, {"error": str(error)})

    def _ledger(self, request: SimRequest) -> dict[str, Any]:
        tag = request.query.get("tag")
        orders = self._simulator.engine.orders
        return {
            "broker": self._simulator.broker,
            "orders": [_row(order) for order in orders if tag is None or order.tag == tag],
            "calls": dict(self._simulator.calls),
            "peak_order_messages": self._simulator.peak_order_messages,
        }

    def _add_faults(self, request: SimRequest) -> dict[str, Any]:
        given = msgspec.json.decode(request.body)
        faults = given if isinstance(given, list) else [given]
        if not all(isinstance(fault, dict) for fault in faults):
            raise _ControlError("expected one fault object or a list of them")
        self._simulator.faults.add(faults)
        return self._simulator.faults.describe()

    def _clear_faults(self, _: SimRequest) -> dict[str, Any]:
        self._simulator.faults.clear()
        return self._simulator.faults.describe()

    def _reset(self, _: SimRequest) -> dict[str, Any]:
        self._simulator.reset()
        return {}

    def _price(self, request: SimRequest) -> dict[str, Any]:
        body = _decode(request, _PriceBody)
        engine = self._simulator.engine
        contract = self._contract(body)
        if body.price is not None:
            if body.price <= 0:
                raise _ControlError("price must be positive")
            engine.set_price(contract, body.price)
        if body.available is not msgspec.UNSET:
            engine.set_available(contract, body.available)
        return {"instrument": contract.instrument, "price": engine.price(contract)}

    def _contract(self, body: _PriceBody) -> Contract:
        universe = self._simulator.universe
        found: list[Contract] = []
        if body.instrument is not None:
            named = universe.by_instrument(body.instrument)
            found = [named] if named else []
        elif body.exchange_token is not None:
            exchanges = [body.exchange] if body.exchange else list(Exchange)
            tokens = [universe.by_token(exchange, body.exchange_token) for exchange in exchanges]
            found = [contract for contract in tokens if contract is not None]
        else:
            raise _ControlError("instrument or exchange_token is needed")
        if len(found) != 1:
            raise _ControlError(f"{len(found)} contracts match" if found else "no such contract")
        return found[0]

    def _fill(self, request: SimRequest) -> dict[str, Any]:
        body = _decode(request, _FillBody)
        order = self._simulator.engine.get(body.broker_order_id)
        if order is None:
            raise _ControlError("no such order")
        self._simulator.engine.fill(order, body.quantity, body.price)
        return _row(order)

    def _market(self, request: SimRequest) -> dict[str, Any]:
        body = _decode(request, _MarketBody)
        self._simulator.engine.set_market(is_open=body.open)
        return {"open": body.open}

    def _end_of_day(self, _: SimRequest) -> dict[str, Any]:
        self._simulator.engine.end_of_day()
        return {"open": False}

    def _settings(self, request: SimRequest) -> Any:
        given = msgspec.json.decode(request.body, type=dict[str, Any])
        self._simulator.engine.configure(given)
        return self._simulator.engine.settings

    def _expire_sessions(self, _: SimRequest) -> dict[str, Any]:
        self._simulator.expire_sessions()
        return {}

    def _violations(self, _: SimRequest) -> dict[str, Any]:
        return {
            "violations": [
                {"call": kind, "what": what, "count": count}
                for (kind, what), count in self._simulator.violations.items()
            ]
        }


def _row(order: SimOrder) -> dict[str, Any]:
    return {
        "broker_order_id": order.broker_order_id,
        "tag": order.tag,
        "instrument": order.contract.instrument,
        "exchange_token": order.contract.token,
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "validity": order.validity,
        "quantity": order.quantity,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "status": order.state,
        "message": order.message,
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "cancelled_quantity": order.cancelled_quantity,
        "average_price": order.average_price,
        "accepted_at": order.accepted_at,
        "updated_at": order.updated_at,
        "history": order.history,
        "fills": order.fills,
    }


def _decode(request: SimRequest, kind: type[_Body]) -> _Body:
    return msgspec.json.decode(request.body, type=kind)


def _json(status: int, value: Any) -> SimResponse:
    return SimResponse(status, _encoder.encode(value))

"""The simulator kit: one synthetic market, matching engine, ledger, fault plan and HTTP server.

A broker's simulator is a subclass that speaks that broker's wire protocol:

    class AcmeSimulator(BrokerSimulator):
        broker = "acme"
        credentials = {"api_key": "sim-key", "password": "sim-password"}   # what the vault needs
        hosts = {"api": "/v1"}                 # base_urls name -> path; see `base_urls`

        def routes(self) -> list[Route]:
            return [
                Route("POST", "/v1/orders", CallKind.PLACE, self._place),
                Route("GET", "/v1/orders/{order_id}", CallKind.ORDER, self._order),
                Route("GET", "/files/{name...}", CallKind.MASTER, self._file),
            ]

        def mint_order_id(self, number: int, at: datetime) -> str:
            return f"{at:%y%m%d}{number:08d}"

        def _place(self, request: SimRequest) -> SimResponse:
            if request.content_type != "application/json":
                self.violation(request, "wrong content type")
            if self.session_of(request.headers.get("authorization", "")) is None:
                return self.session_expired_response(request)
            body = request.json()                              # ValueError when it is not JSON
            contract = self.universe.by_token(Exchange.NSE, int(body["token"]))
            new = NewOrder(contract=contract, side=Side(body["side"]), tag=body["ref"], ...)
            refusal = self.engine.check(new)                   # only where the broker's answer
            if refusal is not None:                            # carries risk refusals; otherwise
                return self.reject_response(request, refusal.message)    # just place:
            order = self.engine.place(new)                     # REJECTED in the book then
            return SimResponse(200, {"id": order.broker_order_id})

plus `reject_response`, `rate_limit_response` and `session_expired_response`. Rules:

* Handlers are plain functions, quick, and run at most once per request (twice for the fault
  `duplicate`). A place handler that has run counts as accepted, whatever the client then sees.
* Reads use `self.visible_orders(request)`, `visible_order(request, id)` and
  `visible_trades(request)`, never `engine.orders`: book lag and book faults live there.
* `engine.modify` and `engine.cancel` raise `EngineRefusal` (`.reason`, `.message`).
* `engine.price(contract)`, `engine.account.positions / .holdings / .funds` for the rest.
* `universe.contracts(Exchange.NSE, ...)` streams rows for a master; `SimResponse` takes an
  iterator of bytes and sends it chunked. JSON bodies may hold `Decimal`: written as a number
  with its digits (use `str()` where the broker sends text).
* Tokens: `open_session`, `session_of`, `expire_sessions`. One-time passwords: `new_otp`, `otp`,
  `otp_state` (override to add `totp_secret` and the like).

Use, in a test:

    simulator = AcmeSimulator(options={"book_lag_ms": 0, "fill_delay_ms": 0, "rows": 200_000})
    await simulator.start()                     # .url, .control_url, .base_urls, .credentials
    simulator.faults.add([{"call": "place", "action": "accept_then_reset"}])
    ...
    await simulator.stop()

Options are `rows` and the fields of `EngineSettings`. Faults: see `faults` and `actions`.
Control plane under `/_sim/`: see `control`.
"""

from adapters.sdk.simulator.account import Account, Funds, Holding, Position
from adapters.sdk.simulator.actions import Action, FaultError
from adapters.sdk.simulator.base import BrokerSimulator, SimSession
from adapters.sdk.simulator.clock import IST, Clock, ManualClock, system_clock
from adapters.sdk.simulator.engine import Engine
from adapters.sdk.simulator.faults import Fault, FaultPlan, RandomFaults
from adapters.sdk.simulator.http import CallKind, Route, SimRequest, SimResponse
from adapters.sdk.simulator.orders import (
    EngineRefusal,
    Fill,
    NewOrder,
    Refusal,
    SimOrder,
    StateChange,
    Trade,
)
from adapters.sdk.simulator.otp import totp_code
from adapters.sdk.simulator.rules import EngineSettings
from adapters.sdk.simulator.runner import serve_forever
from adapters.sdk.simulator.universe import Contract, Universe

__all__ = [
    "IST",
    "Account",
    "Action",
    "BrokerSimulator",
    "CallKind",
    "Clock",
    "Contract",
    "Engine",
    "EngineRefusal",
    "EngineSettings",
    "Fault",
    "FaultError",
    "FaultPlan",
    "Fill",
    "Funds",
    "Holding",
    "ManualClock",
    "NewOrder",
    "Position",
    "RandomFaults",
    "Refusal",
    "Route",
    "SimOrder",
    "SimRequest",
    "SimResponse",
    "SimSession",
    "StateChange",
    "Trade",
    "Universe",
    "serve_forever",
    "system_clock",
    "totp_code",
]

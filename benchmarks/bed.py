"""The test bed: simulators, gateway, every account logged in by its broker's real steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.cage import Cage
from benchmarks.direct import DirectCall
from benchmarks.fleet import Fleet, Seat, direct_account
from benchmarks.floor import Floor
from benchmarks.machine import Cores
from benchmarks.plan import BROKERS, INSTRUMENTS, PRICE, Plan
from benchmarks.server import HOST, PROGRAM, Server
from benchmarks.tap import Tap
from gateway.brokers import load_plugins
from gateway.cli.client import HttpApi, ask
from gateway.cli.demo.browser import follow_login_page, read_otp
from gateway.cli.simulators import SimulatorInfo

_MASTERS_S = 300.0
_SETTLED_S = 60.0


class Bed:
    """Everything that listens. Use with `async with`.

    `per_second`: order messages per account and exchange, by broker, as the gateway allows.
    `direct` and `floor`: the place request of each broker, straight to its simulator and by way of
    nginx; the latter is empty where nginx is not installed.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        cores: Cores,
        say: Callable[[str], None],
        cage: Cage | None = None,
        program: str = PROGRAM,
    ) -> None:
        self._program = program
        self._plan = plan
        self._cage = cage
        self._folder = folder
        self._cores = cores
        self._say = say
        self._stack = AsyncExitStack()
        self.fleet = Fleet(plan, cores, folder / "simulators.log")
        self.per_second: dict[str, int] = {}
        self.direct: dict[str, DirectCall] = {}
        self.floor: dict[str, DirectCall] = {}
        self.server: Server
        self.key = ""

    async def __aenter__(self) -> Bed:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def api(self) -> HttpApi:
        """The API over TCP, with a key that may trade."""
        return HttpApi(f"http://{HOST}:{self.server.port}", self.key)

    def settle(self) -> None:
        """Wait until every order is over. Raises `TimeoutError`."""
        deadline = time.monotonic() + _SETTLED_S
        while ask(self.api, "GET", "/v1/orders", query={"open": "true", "limit": "1"})["orders"]:
            if time.monotonic() > deadline:
                raise TimeoutError("orders are still open")
            time.sleep(0.1)

    def reset_brokers(self) -> None:
        """Empty every simulator's book, so that each round meets the same one."""
        for seat in self.fleet.seats.values():
            ask(HttpApi(seat.control_url), "POST", "/_sim/reset")

    async def _open(self) -> None:
        self._say(f"starting {3 * self._plan.sets + 3} simulators and the gateway")
        self._stack.enter_context(self.fleet)
        taps = {}
        for broker in BROKERS:
            tap = Tap(self.fleet.seats[direct_account(broker)].base_urls)
            taps[broker] = await self._stack.enter_async_context(tap)
        self.server = Server(
            self._folder, self._accounts(taps), self._cores, self._cage, self._program
        )
        self._stack.callback(self.server.stop)
        await asyncio.to_thread(self._set_up)
        for broker, tap in taps.items():
            tag = await asyncio.to_thread(self._place_one, direct_account(broker))
            seat = self.fleet.seats[direct_account(broker)]
            self.direct[broker] = DirectCall.recorded(seat, tap.request_with(tag), tag)
        self.floor = self._stack.enter_context(Floor(self.direct, self._folder, self._cores)).calls

    def _accounts(self, taps: dict[str, Tap]) -> list[Any]:
        plugins = load_plugins()
        self.per_second = {
            broker: plugins[broker].capabilities.orders_per_second for broker in BROKERS
        }
        leads_to_tap = {direct_account(broker): tap.urls for broker, tap in taps.items()}
        return [
            {
                "id": seat.account,
                "broker": seat.broker,
                "base_urls": leads_to_tap.get(seat.account, seat.base_urls),
                "market_hours": "ignore",
                # A day is pressed into minutes here: windows by the minute and longer are off.
                "limits": {
                    "orders_per_second": self.per_second[seat.broker],
                    "broker_windows": "ignore",
                },
            }
            for seat in self.fleet.seats.values()
        ]

    def _set_up(self) -> None:
        self.server.start()
        control = self.server.control
        made = ask(control, "POST", "/v1/keys", {"name": "benchmark", "scopes": ["operate"]})
        self.key = made["key"]
        # A first login loads the broker's master, and a simulator that writes hundreds of
        # thousands of rows answers nobody else meanwhile: so one after the other.
        self._say("loading instrument masters")
        for broker in BROKERS:
            self._log_in(self.fleet.seats[direct_account(broker)])
            self._wait_for_master(broker)
        self._say("logging in")
        for seat in self.fleet.seats.values():
            self._log_in(seat)

    def _log_in(self, seat: Seat) -> None:
        path = f"/v1/accounts/{seat.account}/credentials"
        ask(self.server.control, "PUT", path, {"fields": seat.credentials})
        _log_in(self.api, seat)

    def _wait_for_master(self, broker: str) -> None:
        deadline = time.monotonic() + _MASTERS_S
        for instrument in INSTRUMENTS:
            while True:
                reply = self.api.call("GET", f"/v1/instruments/{instrument}")
                if reply.status == 200 and broker in reply.body["brokers"]:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{instrument} is not in {broker}'s master")
                time.sleep(0.05)

    def _place_one(self, account: str) -> str:
        """Place one order through the gateway and return the tag that went to the broker."""
        headers = {"Idempotency-Key": account}
        placed = ask(self.api, "POST", "/v1/orders", order([account], 0), headers=headers)
        if placed["summary"] != "accepted":
            raise RuntimeError(f"the first order at {account} was not accepted: {placed['legs']}")
        return str(placed["legs"][0]["broker_tag"])


def order(accounts: list[str], instrument: int) -> dict[str, Any]:
    """The order that everything here places: one share, at a limit that fills."""
    return {
        "instrument": INSTRUMENTS[instrument],
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 1,
        "price": PRICE,
        "accounts": accounts,
    }


def _log_in(api: HttpApi, seat: Seat) -> None:
    base = f"/v1/sessions/{seat.account}"
    simulator = SimulatorInfo(
        broker=seat.broker,
        title=seat.broker,
        url="",
        control_url=seat.control_url,
        base_urls=seat.base_urls,
        credentials=seat.credentials,
    )
    answer = ask(api, "POST", f"{base}/login", {})
    if answer["state"] == "redirect_required":
        url = follow_login_page(answer["login_url"], simulator)
        answer = ask(api, "POST", f"{base}/callback", {"url": url})
    elif answer["state"] == "otp_required":
        body = {"challenge_id": answer["challenge_id"], "otp": read_otp(simulator)}
        answer = ask(api, "POST", f"{base}/otp", body)
    if answer["state"] != "active":
        raise RuntimeError(f"{seat.account} is not logged in: {answer}")

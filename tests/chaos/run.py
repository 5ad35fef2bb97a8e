"""`python -m tests.chaos.run --orders 10000 --kills 100 --seed 1`: the whole machine.

A real gateway process on real sockets, brokers that fail at random, scripts that repeat with the
same key, SIGKILL at named steps and at any moment. Then the faults stop, the gateway gets time
to look, and the checker judges what the clients, the brokers and the journal say. Exit status 1
when an invariant broke. The files of a run stay in `--keep`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from adapters.sdk.simulator import Universe
from gateway import failpoints
from gateway.api.auth import Keys
from gateway.cli.ports import free_port
from gateway.orders.states import TERMINAL
from gateway.orders.times import IST
from gateway.secrets.master_key import generate_master_key, write_key_file
from gateway.secrets.sealing import Keyring
from gateway.store import Store
from tests.chaos.checker import DECLARED, judge
from tests.chaos.client import Intent, Script, intents
from tests.chaos.evidence import AccountInfo, Crash, Evidence, LedgerOrder
from tests.chaos.history import History, now_us
from tests.chaos.http import NoReply
from tests.chaos.journal import read_journal, verify_audit
from tests.chaos.operator import Operator, control
from tests.chaos.plan import Outcome, Plan
from tests.chaos.processes import Brokers, GatewayProcess
from tests.chaos.report import write_report
from tests.chaos.score import score
from tests.chaos.simulators import AccountSpec, Seen, Spec

_ROWS = 6000
_SETTLE_S = 120.0
AccountSetup = tuple[AccountSpec, AccountInfo, dict[str, Any]]
_DEATHS = ("random", "random", "checkpoint", *failpoints.POINTS)


def accounts(plan: Plan) -> list[AccountSetup]:
    """The accounts of a run: faulty ones of every broker, with and without echo, and a calm one."""
    table: tuple[tuple[str, str, bool, bool, dict[str, Any], dict[str, Any]], ...] = (
        ("fyers-calm", "fyers", True, True, {}, {}),
        ("fyers-a", "fyers", False, True, {}, {}),
        ("fyers-b", "fyers", False, True, {"book_lag_ms": 200}, {}),
        ("mstock-a", "mstock", False, False, {"echo": "none"}, {}),
        ("mstock-b", "mstock", False, False, {"echo": "book"}, {"exclusive": True}),
        ("hdfc-a", "hdfc", False, False, {}, {}),
        ("hdfc-b", "hdfc", False, False, {}, {"exclusive": True}),
    )
    return [
        (
            AccountSpec(
                id=name,
                broker=broker,
                number=number,
                seed=plan.seed * 100 + number,
                options={"rows": _ROWS, **options},
                place_rate=0.0 if calm else plan.place_rate,
                other_rate=0.0 if calm else plan.other_rate,
                doubles=plan.doubles and not calm,
            ),
            AccountInfo(id=name, broker=broker, calm=calm, echoes=echoes),
            settings,
        )
        for number, (name, broker, calm, echoes, options, settings) in enumerate(table, 1)
    ]


class Chaos:
    """One run in one folder."""

    def __init__(self, plan: Plan, folder: Path, chosen: list[AccountSetup] | None = None) -> None:
        self._plan = plan
        self._folder = folder
        self._dice = random.Random(plan.seed)
        self._accounts = accounts(plan) if chosen is None else chosen
        self.history = History(folder / "history.jsonl")
        self._crashes: list[Crash] = []
        self.scripts: list[Script] = []
        self._keyring = Keyring(generate_master_key())
        self._settled_at: float | None = None

    @property
    def journal(self) -> Path:
        return self._folder / "data" / "journal.db"

    async def run(self) -> Evidence:
        """Do everything and return what was left behind."""
        async with self.stage():
            return await self._play()

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[None]:
        """Have brokers, and a gateway that trades, for as long as the context is open."""
        spec = Spec(journal=str(self.journal), accounts=[spec for spec, _, _ in self._accounts])
        async with Brokers(spec, self._folder / "brokers.log") as brokers:
            self.brokers = brokers
            tokens = await self._prepare()
            self.gateway = GatewayProcess(
                self._folder / "brokergate.yaml",
                self._folder / "master.key",
                free_port("127.0.0.1"),
                self._folder / "gateway.log",
                self._plan.scale,
            )
            self.operator = Operator(
                tokens.pop("operator"), self.gateway.port, brokers.places, self.history
            )
            self.scripts = [
                Script(name, token, self.gateway.port, self.history, self._plan.seed * 1000 + n)
                for n, (name, token) in enumerate(tokens.items())
            ]
            try:
                await self.gateway.start()
                await self._wait_until(self._ready_to_trade, 90)
                yield
            finally:
                await self.gateway.stop()
                self.history.close()

    async def _prepare(self) -> dict[str, str]:
        """Write configuration, vault and API keys; returns the keys by client name."""
        lines = ["data_dir: ./data", "logging: {level: info}", "accounts:"]
        for spec, _, settings in self._accounts:
            place = self.brokers.places[spec.id]
            fields = {
                "id": spec.id,
                "broker": spec.broker,
                "base_urls": place.base_urls,
                "market_hours": "ignore",
                # A run asks within minutes what a day's windows are made for.
                "limits": {"broker_windows": "ignore"},
                **settings,
            }
            lines.append(f"  - {msgspec.json.encode(fields).decode()}")
        (self._folder / "brokergate.yaml").write_text("\n".join(lines) + "\n")
        master_key = generate_master_key()
        write_key_file(self._folder / "master.key", master_key)
        self._keyring = Keyring(master_key)
        store = Store(self.journal, self._keyring)
        try:
            for spec, _, _ in self._accounts:
                credentials = self.brokers.places[spec.id].credentials
                await store.set_credentials(spec.id, credentials, {"client": "chaos"})
            keys = Keys(store)
            await keys.load()
            names = [f"script-{n}" for n in range(self._plan.scripts)]
            scopes = {name: ["trade"] for name in names} | {"operator": ["admin"]}
            return {
                name: (await keys.create(name, wanted, None, None, {"client": "chaos"})).text
                for name, wanted in scopes.items()
            }
        finally:
            store.close()

    async def _play(self) -> Evidence:
        plan = self._plan
        universe = Universe(datetime.now(IST).date(), rows=_ROWS)
        calm = [info.id for _, info, _ in self._accounts if info.calm]
        faulty = [info.id for _, info, _ in self._accounts if not info.calm]
        work = list(intents(plan.seed, plan.orders, calm, faulty, universe))
        first = int(plan.orders * plan.calm_share)
        await self._trade(work[:first])
        self.history.phase = "faults"
        await self.brokers.tell("rage")
        async with asyncio.TaskGroup() as life:
            watch = life.create_task(self.operator.watch())
            async with asyncio.TaskGroup() as storm:
                storm.create_task(self._kill(plan.kills, max(len(work) - first, 1)))
                storm.create_task(self._stop_orders(plan.stops, len(work)))
                storm.create_task(self._trade(work[first:]))
            await self.settle()
            watch.cancel()
        return await self.collect()

    async def settle(self) -> None:
        """End the faults, and give the gateway time to look."""
        self.history.phase = "settling"
        await self.brokers.tell("calm")
        await self._wait_until(self._settled, _SETTLE_S)

    async def _trade(self, work: list[Intent]) -> None:
        shared = iter(work)
        await asyncio.gather(*(script.run(shared, 0.02) for script in self.scripts))

    async def _kill(self, count: int, orders: int) -> None:
        """Kill the gateway `count` times, spread over the orders; what is left over comes after.

        Every start arms the place where that process is to die.
        """
        begun = self._done()
        step = max(orders // (count + 1), 1)
        point = "random"
        for number in range(1, count + 1):
            goal = begun + int((number - self._dice.random() * 0.6) * step)
            point = await self._dies(point, goal, begun + orders)
            after = "" if number == count else self._dice.choice(_DEATHS)
            await self.bury_and_start(point, self._armed(after, step))
            point = after

    async def _dies(self, point: str, goal: int, last: int) -> str:
        """Wait for the armed death; help along when it is late. Returns how it came."""
        patience = time.monotonic() + 60
        while self.gateway.alive:
            done = self._done()
            late = done > goal + 2 * (last - goal) // 10 + 5
            if done >= last or time.monotonic() > patience or (done >= goal and point == "random"):
                break
            if point != "random" and late:
                break
            await asyncio.sleep(0.01)
        if not self.gateway.alive:
            return point
        await asyncio.sleep(self._dice.uniform(0, 0.5))
        self.gateway.kill()
        return "random"

    def _done(self) -> int:
        return sum(script.done for script in self.scripts)

    async def _stop_orders(self, count: int, orders: int) -> None:
        """Engage the kill switch for a moment, now everywhere, now for one account."""
        for number in range(1, count + 1):
            goal = int(orders * number / (count + 1))
            while self._done() < goal:
                await asyncio.sleep(0.02)
            account = self._dice.choice([info.id for _, info, _ in self._accounts])
            scope, target = self._dice.choice((("global", None), ("account", account)))
            if not await self._patiently(self.operator.engage, scope, target, "HALT_NEW"):
                return
            await asyncio.sleep(self._dice.uniform(0.3, 1.0))
            await self._patiently(self.operator.release, scope, target)

    async def _patiently(self, act: Any, *arguments: Any) -> bool:
        """Repeat what only a gateway that runs can do; False when it has no such thing."""
        while True:
            try:
                return bool(await act(*arguments))
            except NoReply:
                await asyncio.sleep(0.1)

    def _armed(self, point: str, step: int) -> str:
        if point in ("", "random"):
            return ""
        return f"{point}:{self._dice.randint(1, max(2, step))}"

    async def bury_and_start(self, point: str, armed: str) -> None:
        """Look at what a kill left, then start again with the next one armed."""
        await self.gateway.ended()
        crash = Crash(at_us=now_us(), point=point)
        self._crashes.append(crash)
        crash.audit = await asyncio.to_thread(verify_audit, self.journal, self._keyring)
        await self.gateway.start(armed)
        crash.back_us = now_us()

    async def _ready_to_trade(self) -> bool:
        if not await self.operator.log_in_where_needed():
            return False
        reply = await self.operator.get("/v1/instruments/NSE:SBIN")
        brokers = {spec.broker for spec, _, _ in self._accounts}
        return reply.status == 200 and brokers <= set(reply.json["brokers"])

    async def _settled(self) -> bool:
        """Whether every leg is where it may stay, and the sessions are good."""
        if not await self.operator.log_in_where_needed():
            return False
        journal = await asyncio.to_thread(read_journal, self.journal)
        if not all(leg.state in DECLARED for leg in journal.legs):
            self._settled_at = None
            return False
        # What is declared may still be found: give the follower time for a last look.
        self._settled_at = self._settled_at or time.monotonic()
        looks = 65.0 / self._plan.scale + 3.0
        moving = [leg for leg in journal.legs if leg.state not in TERMINAL]
        return not moving or time.monotonic() - self._settled_at > looks

    async def _wait_until(self, reached: Any, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if await reached():
                    return
            except (NoReply, OSError, RuntimeError):
                pass
            await asyncio.sleep(0.2)

    async def collect(self) -> Evidence:
        """Gather what everybody has to say, and stop the gateway."""
        unresolved = await self.operator.unresolved()
        told = {e.order["order_id"] for e in self.history.events if e.order is not None}
        await self.operator.final_views(sorted(told))
        await self.brokers.tell(f"dump {self._folder / 'seen.json'}")
        raw = {
            name: (await asyncio.to_thread(control, place, "GET", "/_sim/ledger"))["orders"]
            for name, place in self.brokers.places.items()
        }
        (self._folder / "ledgers.json").write_bytes(msgspec.json.encode(raw))
        ledgers = {name: msgspec.convert(rows, list[LedgerOrder]) for name, rows in raw.items()}
        await self.gateway.stop()
        seen = msgspec.json.decode((self._folder / "seen.json").read_bytes(), type=Seen)
        return Evidence(
            accounts=[info for _, info, _ in self._accounts],
            history=self.history.events,
            ledgers=ledgers,
            arrivals=seen.arrivals,
            messages=seen.messages,
            reads=seen.reads,
            struck=seen.struck,
            journal=read_journal(self.journal),
            crashes=self._crashes,
            unresolved=unresolved,
            unexpected=self.gateway.unexpected(),
        )


async def run(plan: Plan, folder: Path) -> Outcome:
    """Run in `folder` and judge."""
    begun = time.monotonic()
    evidence = await Chaos(plan, folder).run()
    violations = judge(evidence)
    took = time.monotonic() - begun
    return Outcome(score=score(evidence, violations), violations=violations, took_s=took)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.run", description=__doc__)
    parser.add_argument("--orders", type=int, default=Plan().orders)
    parser.add_argument("--kills", type=int, default=Plan().kills)
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--scripts", type=int, default=Plan().scripts)
    parser.add_argument("--scale", type=float, default=Plan().scale)
    parser.add_argument("--doubles", action="store_true", help="brokers double some orders")
    parser.add_argument("--report", type=Path, help="folder for a report of this run")
    parser.add_argument("--keep", type=Path, help="folder for the run's own files")
    given = parser.parse_args(arguments)
    plan = Plan(
        orders=given.orders,
        kills=given.kills,
        seed=given.seed,
        scripts=given.scripts,
        scale=given.scale,
        doubles=given.doubles,
    )
    if given.keep:
        given.keep.mkdir(parents=True)
        outcome = asyncio.run(run(plan, given.keep))
    else:
        with tempfile.TemporaryDirectory(prefix="brokergate-chaos-") as scratch:
            outcome = asyncio.run(run(plan, Path(scratch)))
    for violation in outcome.violations:
        sys.stderr.write(f"{violation.invariant}: {violation.what}\n")
    sys.stdout.write(outcome.score.line() + "\n")
    if given.report:
        write_report(given.report, plan, outcome)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

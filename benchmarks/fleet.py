"""The brokers: many simulators in one process, each a client of its own.

`python -m benchmarks.fleet SPEC` runs them for a parent, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import uvloop

from adapters.fyers.simulator import FyersSimulator
from adapters.hdfc.simulator import HdfcSimulator
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.simulator import BrokerSimulator
from benchmarks.machine import Cores
from benchmarks.plan import BROKERS, Plan

# Enough rupees for any number of orders of one share.
_CASH = "1000000000000"


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One account at one broker, and where its simulator is."""

    account: str
    broker: str
    control_url: str
    base_urls: dict[str, str]
    credentials: dict[str, str]


class Wanted(msgspec.Struct, frozen=True):
    """A simulator to run: `number` makes its client code one of a kind."""

    account: str
    broker: str
    number: int
    rows: int


def seats_of(plan: Plan) -> list[Wanted]:
    """List the accounts of a plan: its sets, and per broker one that is called directly."""
    sets = [
        Wanted(f"{broker}-{number}", broker, number, plan.master_rows)
        for number in range(1, plan.sets + 1)
        for broker in BROKERS
    ]
    return sets + [
        Wanted(direct_account(broker), broker, 0, plan.master_rows) for broker in BROKERS
    ]


def direct_account(broker: str) -> str:
    return f"direct-{broker}"


class Fleet:
    """The simulators' process, on the load's core. Use with `with`."""

    def __init__(self, plan: Plan, cores: Cores, log: Path) -> None:
        self._spec = msgspec.json.encode(seats_of(plan)).decode()
        self._cores = cores
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.seats: dict[str, Seat] = {}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Fleet:
        with self._log.open("wb") as errors, self._cores.on(self._cores.load):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fleet", self._spec],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulators did not start: {self._log.read_text()[-2000:]}")
        self.seats = {seat.account: seat for seat in msgspec.json.decode(line, type=list[Seat])}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            end_process(self._process)


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without settings of a gateway, able to import what it can.

    And to keep what it compiled: an installed gateway does not compile itself at each start.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BROKERGATE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def end_process(process: subprocess.Popen[bytes], deadline_s: float = 10.0) -> None:
    """Ask a process to end, and kill it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _make(wanted: Wanted) -> BrokerSimulator:
    options: dict[str, Any] = {"rows": wanted.rows, "cash": _CASH}
    if wanted.broker == "fyers":
        return FyersSimulator(options={**options, "client_id": f"FX{wanted.number:04d}"})
    if wanted.broker == "mstock":
        mstock = MstockSimulator(options=options)
        mstock.credentials = _with(mstock, username=f"MA{wanted.number:06d}")
        return mstock
    code = f"{1_000_000 + wanted.number}"
    hdfc = HdfcSimulator(options=options)
    hdfc.client_id = code
    hdfc.credentials = _with(hdfc, username=code, client_id=code)
    return hdfc


def _with(simulator: BrokerSimulator, **changes: str) -> dict[str, str]:
    return {**simulator.credentials, **changes}


async def _run(wanted: list[Wanted]) -> None:
    seats, simulators = [], []
    for each in wanted:
        simulator = _make(each)
        await simulator.start()
        simulators.append(simulator)
        seats.append(
            Seat(
                account=each.account,
                broker=each.broker,
                control_url=simulator.control_url,
                base_urls=dict(simulator.base_urls),
                credentials=dict(simulator.credentials),
            )
        )
    sys.stdout.buffer.write(msgspec.json.encode(seats) + b"\n")
    sys.stdout.buffer.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    for simulator in simulators:
        await simulator.stop()


if __name__ == "__main__":
    uvloop.run(_run(msgspec.json.decode(sys.argv[1], type=list[Wanted])))

"""The brokers of a chaos run, in a process of their own: simulators that see and remember more.

`python -m tests.chaos.simulators SPEC` writes where they are as one JSON line, then obeys lines
on standard input (`rage`, `calm`, `dump FILE`), answering each with `ok`. It ends with its
standard input.

At the very moment in which a broker takes an order, the journal is opened read-only from here:
what stands in it then is what a crash of the gateway at that moment would leave.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import msgspec

from adapters.fyers.simulator import FyersSimulator
from adapters.hdfc.simulator import HdfcSimulator
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.simulator import BrokerSimulator, CallKind, NewOrder, SimOrder, SimRequest
from adapters.sdk.simulator import connection as simulator_connection
from adapters.sdk.simulator.faults import Effects
from adapters.sdk.simulator.faulty import FaultyCall
from gateway.orders.states import LegState
from tests.chaos.evidence import Arrival, Message, Read, Struck
from tests.chaos.faults import (
    DOUBLED,
    EXPIRED_YET_TAKEN,
    HARMLESS_TO_READS,
    TAG,
    Storm,
    name_of,
)

_ORDER_MESSAGES = (CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL)
_BOOKS = (CallKind.BOOK, CallKind.ORDER)


class AccountSpec(msgspec.Struct, kw_only=True):
    """One account's broker. Rates are the share of calls that meet a fault; 0 for a calm one."""

    id: str
    broker: str
    number: int
    seed: int
    options: dict[str, Any] = {}
    place_rate: float = 0.0
    other_rate: float = 0.0
    doubles: bool = False


class Spec(msgspec.Struct, kw_only=True):
    journal: str
    accounts: list[AccountSpec]


class Place(msgspec.Struct, kw_only=True):
    """Where an account's broker is and what its vault must hold."""

    id: str
    base_urls: dict[str, str]
    control_url: str
    credentials: dict[str, str]


class Seen(msgspec.Struct, kw_only=True):
    """Everything that the brokers remember beside their ledgers."""

    arrivals: list[Arrival] = []
    messages: list[Message] = []
    reads: list[Read] = []
    struck: list[Struck] = []


class Observed:
    """One account's simulator with eyes."""

    def __init__(self, spec: AccountSpec, seen: Seen, journal: Path) -> None:
        self.spec = spec
        self.simulator = _make(spec)
        self._seen = seen
        self._journal = journal
        self._reader: apsw.Connection | None = None
        self._under_way: str | None = None
        self._last_read: Read | None = None
        self.looked_us = _now_us()
        extras = (DOUBLED,) if spec.doubles else ()
        if spec.broker == "fyers":
            extras = (*extras, EXPIRED_YET_TAKEN)
        self.storm = Storm(
            spec.seed,
            self._struck,
            place_rate=spec.place_rate,
            other_rate=spec.other_rate,
            extras=extras,
        )
        self.simulator.faults = self.storm
        self._place, self._record = self.simulator.engine.place, self.simulator.record
        self.simulator.engine.place = self._on_place  # type: ignore[method-assign]
        self.simulator.record = self._on_record  # type: ignore[method-assign]

    def faulty_call(self, request: SimRequest, effects: Effects) -> None:
        """A request that was read is about to meet a fault."""
        action = name_of(effects)
        if request.kind is CallKind.PLACE:
            found = TAG.search(request.body) or TAG.search(request.raw_query.encode())
            for struck in reversed(self._seen.struck):
                if struck.account == self.spec.id and struck.kind == request.kind.value:
                    struck.tag = found[1].decode() if found else None
                    break
        harmless = effects.action is None and effects.lag_ms is None and effects.omit is None
        harmless = harmless or effects.action in HARMLESS_TO_READS
        if self._last_read is not None and not harmless:
            self._last_read.good = False
        self._under_way = action

    def _struck(self, kind: CallKind, effects: Effects) -> None:
        self._seen.struck.append(
            Struck(at_us=_now_us(), account=self.spec.id, kind=kind.value, action=name_of(effects))
        )

    def _on_record(self, request: SimRequest) -> None:
        self._record(request)
        self._last_read = None
        self._under_way = None
        now, account = _now_us(), self.spec.id
        if request.kind in _ORDER_MESSAGES:
            message = Message(
                at_us=now, since_us=self.looked_us, account=account, kind=request.kind.value
            )
            self._seen.messages.append(message)
        elif request.kind in _BOOKS:
            self._last_read = Read(at_us=now, account=account, good=True)
            self._seen.reads.append(self._last_read)

    def _on_place(self, new: NewOrder) -> SimOrder:
        state, attempts = self._look(new.tag)
        order = self._place(new)
        self._seen.arrivals.append(
            Arrival(
                at_us=_now_us(),
                account=self.spec.id,
                broker_order_id=order.broker_order_id,
                tag=new.tag,
                state=state,
                attempts=attempts,
                fault=self._under_way,
            )
        )
        return order

    def _look(self, tag: str | None) -> tuple[LegState | None, int]:
        """What the journal says of a tag now: the leg's state and how often it was begun."""
        if tag is None or not tag.isdigit():
            return None, 0
        if self._reader is None:
            flags = apsw.SQLITE_OPEN_READONLY
            self._reader = apsw.Connection(str(self._journal), flags=flags)
            self._reader.set_busy_timeout(2000)
        row: Any = self._reader.execute(
            "SELECT state, json_extract(data, '$.attempts') FROM legs WHERE broker_tag=?",
            (int(tag),),
        ).fetchone()
        return (LegState(row[0]), row[1] or 0) if row else (None, 0)


def _make(spec: AccountSpec) -> BrokerSimulator:
    """Make a simulator with a client code of its own."""
    options = dict(spec.options)
    if spec.broker == "fyers":
        return FyersSimulator(
            seed=spec.seed, options={"client_id": f"FX{spec.number:04d}", **options}
        )
    if spec.broker == "mstock":
        mstock = MstockSimulator(seed=spec.seed, options=options)
        mstock.credentials = {**mstock.credentials, "username": f"MA{spec.number:06d}"}
        return mstock
    hdfc = HdfcSimulator(seed=spec.seed, options=options)
    hdfc.client_id = str(1_234_500 + spec.number)
    names = {"username": hdfc.client_id, "client_id": hdfc.client_id}
    hdfc.credentials = {**hdfc.credentials, **names}
    return hdfc


async def main(spec: Spec) -> None:
    seen = Seen()
    observed = [Observed(account, seen, Path(spec.journal)) for account in spec.accounts]
    by_simulator = {id(each.simulator): each for each in observed}

    class ObservedCall(FaultyCall):
        def __init__(
            self, connection: Any, server: Any, request: SimRequest, effects: Effects, keep: bool
        ) -> None:
            super().__init__(connection, server, request, effects, keep)
            by_simulator[id(connection.simulator)].faulty_call(request, effects)

    simulator_connection.FaultyCall = ObservedCall  # type: ignore[misc]
    for each in observed:
        await each.simulator.start()
    places = [
        Place(
            id=each.spec.id,
            base_urls=dict(each.simulator.base_urls),
            control_url=each.simulator.control_url,
            credentials=dict(each.simulator.credentials),
        )
        for each in observed
    ]
    _say(msgspec.json.encode(places))
    looking = asyncio.create_task(_look_often(observed))
    await _obey(observed, seen)
    looking.cancel()
    for each in observed:
        await each.simulator.stop()


async def _look_often(observed: list[Observed]) -> None:
    """Remember when this process last looked at its sockets: what it reads came after that.

    What is read in the same round as a look had come before it, so the look before it counts.
    """
    before = _now_us()
    while True:
        for each in observed:
            each.looked_us = before
        before = _now_us()
        await asyncio.sleep(0.005)


async def _obey(observed: list[Observed], seen: Seen) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().strip():
        word, _, rest = line.partition(" ")
        if word in ("rage", "calm"):
            for each in observed:
                each.storm.raging = word == "rage"
                if word == "calm":
                    each.storm.clear()
        elif word == "dump":
            Path(rest).write_bytes(msgspec.json.encode(seen))
        _say(b"ok")


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Spec)))

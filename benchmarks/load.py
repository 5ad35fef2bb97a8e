"""The load itself: every latency kept, the gateway's and the direct calls alike.

A closed loop begins an order when the one before was answered, so that a server that stands still
is hardly ever asked. By the clock, orders begin when their time has come, and one that had to wait
for a free connection has waited: its latency counts from when it was due.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import msgspec

from benchmarks.bed import Bed, order
from benchmarks.client import Answered, Connection
from benchmarks.direct import DirectCall
from benchmarks.machine import percentile
from benchmarks.pacing import Rota, Window
from benchmarks.plan import BROKERS, INSTRUMENTS, Scenario
from benchmarks.server import HOST

_PLACED = 200
_CREATED = 201
# By the clock is by chance too, the same for everybody: orders do not come in step.
_SEED = 7

Shot = Callable[[], Awaitable[list[Answered]]]
# When an order was due, and all its answers.
Timed = tuple[int, list[Answered]]


class Piece(msgspec.Struct, kw_only=True):
    """One uninterrupted stretch of orders. `answers` holds those of the warm-up too."""

    latencies_ms: list[float]
    answers: list[Answered]
    wall_s: float
    waited_s: float

    @property
    def orders_per_second(self) -> float:
        return len(self.latencies_ms) / self.wall_s

    def at(self, share: float) -> float:
        return percentile(self.latencies_ms, share)


class GatewayLoad:
    """Orders to the gateway over all the accounts of a scenario, in turn."""

    def __init__(self, bed: Bed, sets: int) -> None:
        self._bed = bed
        self._sets = sets
        self._keys = itertools.count(1)
        self._windows = {
            (f"{broker}-{number}", instrument): Window(bed.per_second[broker])
            for broker in BROKERS
            for number in range(1, sets + 1)
            for instrument in range(len(INSTRUMENTS))
        }

    async def run(self, scenario: Scenario, orders: int, warm_up: int) -> Piece:
        turns = self._turns(scenario)
        rota = Rota([(self._head(names, at), self._rooms(names, at)) for names, at in turns])
        async with AsyncExitStack() as stack:
            shots = []
            for _ in range(scenario.concurrency):
                connection = await Connection.open(HOST, self._bed.server.port)
                stack.callback(connection.close)
                shots.append(self._shot(connection, rota))
            piece = await _fire(shots, orders, warm_up, scenario.per_second)
        piece.waited_s = rota.waited_s
        return piece

    async def until_refused(self, scenario: Scenario, under_way: asyncio.Event) -> None:
        """Fire without a pause until each connection was refused once.

        `under_way` is set when each has placed two orders on average.
        """
        turns = self._turns(scenario)
        rota = Rota([(self._head(names, at), self._rooms(names, at)) for names, at in turns])
        accepted = 0

        async def shooter(shot: Shot) -> None:
            nonlocal accepted
            while (await shot())[0].status == _CREATED:
                accepted += 1
                if accepted == 2 * scenario.concurrency:
                    under_way.set()

        async with AsyncExitStack() as stack:
            shots = []
            for _ in range(scenario.concurrency):
                connection = await Connection.open(HOST, self._bed.server.port)
                stack.callback(connection.close)
                shots.append(self._shot(connection, rota))
            await asyncio.gather(*[shooter(shot) for shot in shots])

    def _turns(self, scenario: Scenario) -> list[tuple[list[str], int]]:
        """List who gets an order when: all at once, or one broker's account after the other."""
        turns = []
        for at, number in itertools.product(range(len(INSTRUMENTS)), range(1, self._sets + 1)):
            accounts = [f"{broker}-{number}" for broker in scenario.brokers]
            groups = [accounts] if scenario.legs > 1 else [[account] for account in accounts]
            turns += [(group, at) for group in groups]
        return turns

    def _rooms(self, accounts: list[str], instrument: int) -> list[Window]:
        return [self._windows[account, instrument] for account in accounts]

    def _head(self, accounts: list[str], instrument: int) -> tuple[bytes, bytes]:
        body = msgspec.json.encode(order(accounts, instrument))
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: {HOST}:{self._bed.server.port}\r\n"
            f"Authorization: Bearer {self._bed.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: "
        )
        return head.encode(), b"\r\n\r\n" + body

    def _shot(self, connection: Connection, rota: Rota[tuple[bytes, bytes]]) -> Shot:
        async def shot() -> list[Answered]:
            before, after = await rota.next()
            return [await connection.request(b"%sbench-%09d%s" % (before, next(self._keys), after))]

        return shot


class DirectLoad:
    """The same orders straight to the simulators, on connections of the same kind."""

    def __init__(self, direct: dict[str, DirectCall], first_tag: int) -> None:
        self._direct = direct
        self._tags = itertools.count(first_tag)
        self.placed = dict.fromkeys(direct, 0)

    async def run(self, scenario: Scenario, orders: int, warm_up: int) -> Piece:
        async with AsyncExitStack() as stack:
            shots = []
            for _ in range(scenario.concurrency):
                lines = []
                for broker in scenario.brokers:
                    call = self._direct[broker]
                    connection = await Connection.open(call.host, call.port)
                    stack.callback(connection.close)
                    lines.append((broker, connection))
                shots.append(self._all(lines) if scenario.legs > 1 else self._in_turn(lines))
            piece = await _fire(shots, orders, warm_up, scenario.per_second)
        bad = next((answer for answer in piece.answers if answer.status != _PLACED), None)
        if bad is not None:
            raise RuntimeError(f"a direct call got HTTP {bad.status}: {bad.body[:500]!r}")
        return piece

    def _all(self, lines: Sequence[tuple[str, Connection]]) -> Shot:
        async def shot() -> list[Answered]:
            return list(await asyncio.gather(*[self._send(*line) for line in lines]))

        return shot

    def _in_turn(self, lines: Sequence[tuple[str, Connection]]) -> Shot:
        turns = itertools.cycle(lines)

        async def shot() -> list[Answered]:
            return [await self._send(*next(turns))]

        return shot

    def _send(self, broker: str, connection: Connection) -> asyncio.Future[Answered]:
        self.placed[broker] += 1
        return connection.request(self._direct[broker].message(next(self._tags)))


async def _fire(shots: Sequence[Shot], orders: int, warm_up: int, per_second: float) -> Piece:
    """Fire until all orders were answered; the warm-up is not counted."""
    timed = await (
        _by_the_clock(shots, orders + warm_up, per_second)
        if per_second
        else _one_after_the_other(shots, orders + warm_up)
    )
    # Sorted by when they were due, so that the first ones are the warm-up's at any concurrency.
    timed.sort(key=lambda one: one[0])
    counted = timed[warm_up:]
    ended_ns = max(answer.ended_ns for _, answers in counted for answer in answers)
    return Piece(
        latencies_ms=[
            (max(answer.ended_ns for answer in answers) - due_ns) / 1e6
            for due_ns, answers in counted
        ],
        answers=[answer for _, answers in timed for answer in answers],
        wall_s=(ended_ns - counted[0][0]) / 1e9,
        waited_s=0.0,
    )


async def _one_after_the_other(shots: Sequence[Shot], orders: int) -> list[Timed]:
    """Keep every shooter busy. An order is due when its first byte is written."""
    timed: list[Timed] = []
    numbers = iter(range(orders))

    async def shooter(shot: Shot) -> None:
        for _ in numbers:
            answers = await shot()
            timed.append((min(answer.began_ns for answer in answers), answers))

    await asyncio.gather(*[shooter(shot) for shot in shots])
    return timed


async def _by_the_clock(shots: Sequence[Shot], orders: int, per_second: float) -> list[Timed]:
    """Begin orders at random moments, `per_second` of them on average."""
    chance = random.Random(_SEED)
    timed: list[Timed] = []
    free: asyncio.Queue[Shot] = asyncio.Queue()
    for shot in shots:
        free.put_nowait(shot)

    async def fire(due_ns: int) -> None:
        shot = await free.get()
        timed.append((due_ns, await shot()))
        free.put_nowait(shot)

    due_ns = time.perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for _ in range(orders):
            due_ns += int(chance.expovariate(per_second) * 1e9)
            await asyncio.sleep(max(due_ns - time.perf_counter_ns(), 0) / 1e9)
            group.create_task(fire(due_ns))
    return timed

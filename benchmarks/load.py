"""The load itself: closed loop, every latency kept, the gateway's and the direct calls alike."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import msgspec

from benchmarks.bed import Bed, DirectCall, order
from benchmarks.client import Answered, Connection
from benchmarks.machine import percentile
from benchmarks.pacing import Rota, Window
from benchmarks.plan import BROKERS, INSTRUMENTS, Scenario
from benchmarks.server import HOST

_PLACED = 200
_FIRST_DIRECT_TAG = 9 * 10**14

Shot = Callable[[], Awaitable[list[Answered]]]


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
            piece = await _fire(shots, orders, warm_up)
        piece.waited_s = rota.waited_s
        return piece

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

    def __init__(self, direct: dict[str, DirectCall]) -> None:
        self._direct = direct
        self._tags = itertools.count(_FIRST_DIRECT_TAG)
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
            piece = await _fire(shots, orders, warm_up)
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


def latency_ms(answers: Sequence[Answered]) -> float:
    """From the first byte written to the last answer whole."""
    began = min(answer.began_ns for answer in answers)
    return (max(answer.ended_ns for answer in answers) - began) / 1e6


async def _fire(shots: Sequence[Shot], orders: int, warm_up: int) -> Piece:
    """Keep every shooter busy until all orders were answered; the warm-up is not counted."""
    results: list[list[Answered]] = []
    numbers = iter(range(orders + warm_up))
    began = 0.0

    async def shooter(shot: Shot) -> None:
        nonlocal began
        for number in numbers:
            if number == warm_up:
                began = time.perf_counter()
            results.append(await shot())

    await asyncio.gather(*[shooter(shot) for shot in shots])
    wall_s = time.perf_counter() - began
    # Sorted by when they began, so that the first ones are the warm-up's at any concurrency.
    results.sort(key=lambda result: result[0].began_ns)
    return Piece(
        latencies_ms=[latency_ms(result) for result in results[warm_up:]],
        answers=[answer for result in results for answer in result],
        wall_s=wall_s,
        waited_s=0.0,
    )

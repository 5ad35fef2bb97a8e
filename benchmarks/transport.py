"""What one call costs: raw sockets, the order transport and niquests, against a tiny local server.

    python -m benchmarks.transport [--calls N] [--rounds N] [--json FILE]

The server runs in a process of its own, pinned to another core. Clients take turns, round by
round, so that a busy machine slows all of them alike; each figure is the median of the rounds.
CPU is that of the client's process, user and system. Trust the ratios rather than the times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import msgspec
import uvloop

from adapters.sdk.transport import HttpRequest, OrderTransport, WebTransport

BODY = json.dumps({"s": "ok", "code": 1101, "message": "placed", "id": "26112200012345"}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Sun, 22 Nov 2026 10:15:00 GMT\r\n"
    b"Content-Type: application/json; charset=utf-8\r\n"
    b"Server: tiny\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Request-Id: 5f1c7a2e9b\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
ORDER = HttpRequest(
    "POST",
    "/api/v3/orders/sync",
    (
        ("Authorization", "APP-100:" + "t" * 300),
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ),
    json.dumps(
        {
            "symbol": "NSE:SBIN-EQ",
            "qty": 10,
            "type": 1,
            "side": 1,
            "productType": "CNC",
            "limitPrice": 812.5,
            "validity": "DAY",
            "orderTag": "123456789012345",
        }
    ).encode(),
)


class Round(msgspec.Struct):
    """One client's turn. Milliseconds per call."""

    cpu_ms: float
    p50_ms: float
    p99_ms: float


class OpenGate:
    """A gate that lets everything through."""

    async def ready(self) -> None:
        pass

    def check(self) -> None:
        pass


class TinyServer(asyncio.Protocol):
    """Answers every request the same; each arrives whole, since its client writes it at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._wanted = 0

    def data_received(self, data: bytes) -> None:
        if not self._wanted:
            head, _, _ = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._wanted = len(head) + 4 + length
        self._wanted -= len(data)
        if self._wanted <= 0:
            self._wanted = 0
            self._transport.write(ANSWER)  # type: ignore[attr-defined]


def run_server(pipe: Pipe, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(TinyServer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


def measure_raw(port: int, calls: int) -> Round:
    """A blocking socket that knows how long the answer is: the floor."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in ORDER.headers)
    message = (
        f"POST {ORDER.target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}"
        f"Content-Length: {len(ORDER.body)}\r\n\r\n"
    ).encode() + ORDER.body
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call() -> None:
            sock.sendall(message)
            missing = len(ANSWER)
            while missing:
                missing -= len(sock.recv(65536))

        for _ in range(50):
            call()
        times = []
        cpu = time.process_time()
        for _ in range(calls):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        cpu = time.process_time() - cpu
    return summarise(times, cpu)


async def measure(call: Callable[[], Awaitable[object]], calls: int) -> Round:
    for _ in range(50):
        await call()
    times = []
    cpu = time.process_time()
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return summarise(times, time.process_time() - cpu)


async def measure_order(port: int, calls: int) -> Round:
    transport = OrderTransport(f"http://127.0.0.1:{port}")
    gate = OpenGate()
    try:
        return await measure(lambda: transport.send(ORDER, gate=gate), calls)
    finally:
        await transport.close()


async def measure_web(port: int, calls: int) -> Round:
    transport = WebTransport(f"http://127.0.0.1:{port}")
    try:
        return await measure(lambda: transport.send(ORDER), calls)
    finally:
        await transport.close()


def summarise(times: list[float], cpu_s: float) -> Round:
    cuts = statistics.quantiles(times, n=100)
    return Round(cpu_s / len(times) * 1e3, cuts[49] * 1e3, cuts[98] * 1e3)


def on_asyncio(
    client: Callable[[int, int], Awaitable[Round]],
) -> Callable[[int, int], Round]:
    def run(port: int, calls: int) -> Round:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(client(port, calls))  # type: ignore[arg-type]

    return run


def on_uvloop(client: Callable[[int, int], Awaitable[Round]]) -> Callable[[int, int], Round]:
    def run(port: int, calls: int) -> Round:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(client(port, calls))  # type: ignore[arg-type]

    return run


# Name, client, and the share of the calls it makes: niquests needs fewer to be measured as well.
CLIENTS: list[tuple[str, Callable[[int, int], Round], int]] = [
    ("raw blocking socket", measure_raw, 1),
    ("OrderTransport, uvloop", on_uvloop(measure_order), 1),
    ("OrderTransport, asyncio", on_asyncio(measure_order), 1),
    ("WebTransport (niquests), uvloop", on_uvloop(measure_web), 4),
    ("WebTransport (niquests), asyncio", on_asyncio(measure_web), 4),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=4000, help="calls per client and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))
    is_pinned = len(cores) > 1
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(
        target=run_server, args=(theirs, cores[-1] if is_pinned else None), daemon=True
    )
    server.start()
    port = ours.recv()
    if is_pinned:
        os.sched_setaffinity(0, {cores[0]})

    rounds: dict[str, list[Round]] = {name: [] for name, _, _ in CLIENTS}
    try:
        for _ in range(options.rounds):
            for name, client, divisor in CLIENTS:
                rounds[name].append(client(port, max(100, options.calls // divisor)))
    finally:
        server.terminate()
        server.join()

    results = {
        name: Round(
            *(
                statistics.median(getattr(one, field) for one in turns)
                for field in Round.__struct_fields__
            )
        )
        for name, turns in rounds.items()
    }
    pinned = "client and server pinned to a core each" if is_pinned else "not pinned"
    print(f"Python {platform.python_version()}, {len(cores)} cores, {pinned}, plain HTTP, loopback")
    print(f"{options.rounds} rounds of up to {options.calls} calls; milliseconds; x = times raw\n")
    print(f"{'client':<34}{'CPU':>8}{'x':>7}{'p50':>9}{'x':>7}{'p99':>9}{'x':>7}")
    floor = results["raw blocking socket"]
    for name, result in results.items():
        print(
            f"{name:<34}{result.cpu_ms:>8.3f}{result.cpu_ms / floor.cpu_ms:>7.1f}"
            f"{result.p50_ms:>9.3f}{result.p50_ms / floor.p50_ms:>7.1f}"
            f"{result.p99_ms:>9.3f}{result.p99_ms / floor.p99_ms:>7.1f}"
        )
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))


if __name__ == "__main__":
    main()

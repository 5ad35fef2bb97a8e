"""The two processes beside a chaos run's own: the brokers, and the gateway that gets killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from gateway import failpoints
from tests.chaos.simulators import Place, Spec

ROOT = Path(__file__).parents[2]
# How `brokergate` is started; a test may put a built binary here.
PROGRAM = [sys.executable, "-m", "gateway.cli.main"]
_START_S = 60.0


class Brokers:
    """The simulators' process. Start with `async with`."""

    def __init__(self, spec: Spec, log: Path) -> None:
        self._spec = spec
        self._log = log
        self._process: Process | None = None
        self.places: dict[str, Place] = {}

    async def __aenter__(self) -> Brokers:
        with self._log.open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.chaos.simulators",
                msgspec.json.encode(self._spec).decode(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                cwd=ROOT,
            )
        line = await asyncio.wait_for(self._readline(), _START_S)
        if not line:
            raise RuntimeError(f"the brokers did not start: {self._log.read_text()[-2000:]}")
        self.places = {place.id: place for place in msgspec.json.decode(line, type=list[Place])}
        return self

    async def __aexit__(self, *exc: object) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def tell(self, line: str) -> None:
        """Have the process do something, and wait until it is done."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        answer = await asyncio.wait_for(self._readline(), 60)
        if answer.strip() != b"ok":
            raise RuntimeError(
                f"the brokers did not take {line!r}: {self._log.read_text()[-2000:]}"
            )

    async def _readline(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        return await self._process.stdout.readline()


class GatewayProcess:
    """`brokergate serve`, started, killed and started again on one data directory."""

    def __init__(self, config: Path, key_file: Path, port: int, log: Path, scale: float) -> None:
        self._config = config
        self._key_file = key_file
        self._log = log
        self._scale = scale
        self._process: Process | None = None
        self.port = port

    async def start(self, points: str = "") -> None:
        """Start it and return once it listens or has died. `points`: see `gateway.failpoints`."""
        program = PROGRAM
        if points.startswith("checkpoint"):
            program = [sys.executable, "-m", "tests.chaos.checkpoint"]
        environment = {
            **os.environ,
            "BROKERGATE_MASTER_KEY_FILE": str(self._key_file),
            "BROKERGATE_TEST_TIME_SCALE": str(self._scale),
            failpoints.VARIABLE: points,
        }
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *program,
                "serve",
                "--config",
                str(self._config),
                "--port",
                str(self.port),
                stdout=log,
                stderr=log,
                env=environment,
                cwd=ROOT,
            )
        deadline = time.monotonic() + _START_S
        while not await _listens(self.port):
            if self._process.returncode is not None:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the gateway does not listen: {self.tail()}")
            await asyncio.sleep(0.02)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def kill(self) -> None:
        if self._process is not None and self.alive:
            self._process.kill()

    async def ended(self) -> int:
        """Wait for its end; the signal's number is negative."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        """End it in an orderly way."""
        if self._process is None:
            return 0
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), 30)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    def unexpected(self) -> list[str]:
        """The last line of every traceback in the log: exceptions that nobody had foreseen."""
        found, inside = [], False
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("Traceback (most recent call last)"):
                inside = True
            elif inside and not line.startswith(" "):
                inside = False
                found.append(line)
        return found

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

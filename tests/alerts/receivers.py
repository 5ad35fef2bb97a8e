"""Receivers of alerts on real sockets: one that answers as told, one that hangs, a mail server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import msgspec


class Got(msgspec.Struct):
    """One request as it arrived."""

    head: bytes
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class HookServer:
    """Answers `statuses` one after another, then 200. `hangs`: reads, and never answers."""

    def __init__(
        self,
        *,
        statuses: tuple[int, ...] = (),
        hangs: bool = False,
        location: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.got: list[Got] = []
        self.port = 0
        self._statuses = list(statuses)
        self._hangs = hangs
        self._location = location
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> HookServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.got.append(Got(head, headers, body))
                if self._hangs:
                    continue
                status = self._statuses.pop(0) if self._statuses else 200
                more = f"Location: {self._location}\r\n" if self._location else ""
                answer = f"HTTP/1.1 {status} x\r\n{more}Content-Length: 0\r\n\r\n"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def alerts(self) -> list[Any]:
        return [each.json for each in self.got]

    def of(self, rule: str) -> list[Any]:
        return [alert for alert in self.alerts() if alert.get("rule") == rule]


class MailServer:
    """Takes mail over SMTP, with STARTTLS when it has a context, after a login when asked to."""

    def __init__(self, tls: ssl.SSLContext | None = None, password: str | None = None) -> None:
        self.messages: list[bytes] = []
        self.was_encrypted: list[bool] = []
        self._tls = tls
        self._password = password
        self.port = 0

    async def __aenter__(self) -> MailServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted, authenticated = False, self._password is None

        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say("220 test")
        try:
            while line := (await reader.readline()).decode().strip():
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    if self._tls is not None and not encrypted:
                        say("250-test")
                        say("250 STARTTLS")
                    else:
                        say("250-test")
                        say("250 AUTH PLAIN")
                elif verb == "STARTTLS":
                    say("220 go")
                    await writer.drain()
                    await writer.start_tls(self._tls)  # type: ignore[arg-type]
                    encrypted = True
                elif verb == "AUTH":
                    import base64

                    given = base64.b64decode(line.split()[2]).split(b"\0")[2].decode()
                    authenticated = given == self._password
                    say("235 ok" if authenticated else f"535 bad password {given}")
                elif verb == "DATA":
                    say("354 go")
                    await writer.drain()
                    message = await reader.readuntil(b"\r\n.\r\n")
                    self.messages.append(message)
                    self.was_encrypted.append(encrypted)
                    say("250 ok")
                elif verb == "QUIT":
                    say("221 bye")
                    break
                else:
                    say("250 ok" if authenticated else "530 log in first")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


async def until(condition: Callable[[], Any], within_s: float = 60.0) -> Any:
    """Wait, bounded, until a condition holds, and return it."""
    async with asyncio.timeout(within_s):
        while not (found := condition()):
            await asyncio.sleep(0.01)
        return found


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

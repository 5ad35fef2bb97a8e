"""Renewed certificates are served without a restart, and no request is dropped for it."""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blacksheep import Application, Content, Response, Router, StreamedContent

from gateway.api.handover import count_listeners
from gateway.tls import client_ca_findings, pair_findings
from gateway.tls.watch import CertificateWatch
from tests.tls.files import Folder
from tests.tls.gate import ANSWER_S, Gate, trusting


class Slow:
    """An application whose answers take as long as the test wants."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.app = Application(router=Router())

        async def live() -> Response:
            return Response(200, None, Content(b"text/plain", b"ok"))

        async def slow() -> Response:
            self.waiting += 1
            await self.go_on.wait()
            return Response(200, None, Content(b"text/plain", b"done"))

        async def pieces() -> AsyncIterator[bytes]:
            self.waiting += 1
            yield b"begun\n"
            await self.go_on.wait()
            yield b"ended\n"

        async def stream() -> Response:
            return Response(200, None, StreamedContent(b"text/plain", pieces))

        for path, handler in (("/livez", live), ("/slow", slow), ("/stream", stream)):
            self.app.router.add_get(path, handler)


class Renewing:
    """A gate with the files that it serves, and the watch over them."""

    def __init__(
        self, tmp_path: Path, *, clients: bool = False, held: socket.socket | None = None
    ) -> None:
        self.folder = Folder(tmp_path / "tls")
        self.cert, self.key = self.folder.server()
        self.client_ca = self.folder.ca if clients else None
        self.slow = Slow()
        self.gate = Gate(
            self.slow.app,
            tmp_path / "data",
            cert=self.cert,
            key=self.key,
            client_ca=self.client_ca,
            held=held,
        )
        files = [file for file in (self.cert, self.key, self.client_ca) if file is not None]
        self.alarms: list[str] = []
        self.watch = CertificateWatch(
            files,
            self.findings,
            self.gate.server.renew,
            lambda event, _: self.alarms.append(event),
        )

    def findings(self):
        found = pair_findings(self.cert, self.key)
        return [*found, *(client_ca_findings(self.client_ca) if self.client_ca else [])]

    async def look_twice(self) -> bool:
        """Let the watch see that the files changed, and that they have come to rest."""
        await self.watch.look()
        return await self.watch.look()

    async def served(self) -> bytes:
        certificate, answer = await self.gate.get("/livez", trusting(self.folder.ca))
        assert answer.startswith(b"HTTP/1.1 200")
        return certificate

    async def serves_what_is_on_disk(self) -> bool:
        try:
            return await self.served() == self.on_disk()
        except OSError:
            return False

    def on_disk(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text())


@pytest.fixture
def renewing(tmp_path: Path) -> Renewing:
    return Renewing(tmp_path)


async def test_a_renewed_certificate_is_served_without_a_restart(renewing: Renewing) -> None:
    async with renewing.gate:
        before = await renewing.served()
        renewing.folder.server()

        assert await renewing.look_twice()

        assert before != renewing.on_disk()
        assert renewing.on_disk() == await renewing.served()


async def test_it_can_be_renewed_again_and_again(
    renewing: Renewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.server._LEAVE_S", 0.2)
    async with renewing.gate:
        for _ in range(3):
            renewing.folder.server()
            assert await renewing.look_twice()
            assert renewing.on_disk() == await renewing.served()


async def test_a_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "tls")
    cert, key = folder.server()
    taken = asyncio.Event()

    async def take() -> bool:
        if not taken.is_set():
            taken.set()
            raise OSError("no descriptors left")
        again.set()
        return True

    again = asyncio.Event()
    watch = CertificateWatch([cert, key], list, take, look_s=0.01)
    watching = asyncio.create_task(watch.run())
    folder.server()
    try:
        async with asyncio.timeout(60):
            await again.wait()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_files_as_they_were_are_left_alone(renewing: Renewing) -> None:
    async with renewing.gate:
        assert not await renewing.look_twice()


async def test_no_request_is_dropped_while_the_certificate_changes(
    renewing: Renewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.server._LEAVE_S", 0.5)
    seen: set[bytes] = set()
    count = failures = 0
    over = False

    def call_and_call() -> None:
        nonlocal count, failures
        while not over:
            served, answer = renewing.gate.get_now("/livez", trusting(renewing.folder.ca))
            seen.add(served)
            count += 1
            failures += not answer.startswith(b"HTTP/1.1 200")

    async with renewing.gate:
        before = await renewing.served()
        callers = [asyncio.create_task(asyncio.to_thread(call_and_call)) for _ in range(4)]
        await until(lambda: count > 20)
        renewing.folder.server()
        assert await renewing.look_twice()
        await until(lambda: count_listeners("127.0.0.1", renewing.gate.port) == 1)
        after = count
        await until(lambda: count > after + 20)
        over = True
        await asyncio.gather(*callers)

    assert {before, renewing.on_disk()} == seen
    assert 0 == failures


async def test_who_stays_connected_is_asked_to_come_back_on_a_new_connection(
    renewing: Renewing,
) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", renewing.gate.port, timeout=ANSWER_S, context=trusting(renewing.folder.ca)
    )

    def call() -> tuple[int, str | None, bytes]:
        connection.request("GET", "/livez")
        reply = connection.getresponse()
        reply.read()
        served = connection.sock.getpeercert(binary_form=True) if connection.sock else b""
        return reply.status, reply.headers["connection"], served

    async with renewing.gate:
        before = renewing.on_disk()
        assert (200, None, before) == await asyncio.to_thread(call)
        renewing.folder.server()
        assert await renewing.look_twice()

        assert (200, "close") == (await asyncio.to_thread(call))[:2]
        assert (200, None, renewing.on_disk()) == await asyncio.to_thread(call)
        connection.close()


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_an_answer_on_its_way_is_finished_by_the_old_listener(
    renewing: Renewing, path: str
) -> None:
    context = trusting(renewing.folder.ca)
    async with renewing.gate:
        before = renewing.on_disk()
        asked = asyncio.create_task(renewing.gate.get(path, context))
        await until(lambda: renewing.slow.waiting == 1)
        renewing.folder.server()

        assert await renewing.look_twice()
        assert renewing.on_disk() == await renewing.served()
        assert not asked.done()
        renewing.slow.go_on.set()
        certificate, answer = await asked

    assert before == certificate
    assert b"done" in answer or b"ended" in answer


@pytest.mark.parametrize("kind", ["mismatch", "expired", "rubbish", "open"])
async def test_files_that_cannot_be_served_leave_the_old_ones_in_use(
    renewing: Renewing, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with renewing.gate:
        before = await renewing.served()
        if kind == "mismatch":
            other, _ = renewing.folder.server("other")
            renewing.cert.write_bytes(other.read_bytes())
        elif kind == "expired":
            renewing.folder.expired("server")
        elif kind == "rubbish":
            renewing.cert.write_text("not yet")
        else:
            renewing.folder.server()
            renewing.key.chmod(0o644)

        assert not await renewing.look_twice()
        assert not await renewing.look_twice()

        assert before == await renewing.served()
        [said] = [record.message for record in caplog.records if record.levelname == "ERROR"]
        assert "the old ones stay in use" in said
        assert "server.tls." in said
        assert ["certificate_refused"] == renewing.alarms

        # Mended, the new ones are taken after all.
        renewing.folder.server()
        renewing.key.chmod(0o600)
        assert await renewing.look_twice()
        assert renewing.on_disk() == await renewing.served()


async def test_another_client_ca_lets_in_its_clients_only(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, clients=True)
    other = Folder(tmp_path / "other", "another")
    old = trusting(renewing.folder.ca, renewing.folder.client())
    new = trusting(renewing.folder.ca, other.client())
    async with renewing.gate as gate:
        assert (await gate.get("/livez", old))[1].startswith(b"HTTP/1.1 200")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await gate.get("/livez", new)
        assert renewing.client_ca is not None
        renewing.client_ca.write_bytes(other.ca.read_bytes())

        assert await renewing.look_twice()

        assert (await gate.get("/livez", new))[1].startswith(b"HTTP/1.1 200")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await gate.get("/livez", old)


async def test_a_certificate_that_ends_soon_is_warned_of_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = Folder(tmp_path / "tls")
    cert, key = folder.server(days=5)

    async def take() -> bool:
        return True

    alarms: list[str] = []
    watch = CertificateWatch(
        [cert, key], list, take, lambda event, _: alarms.append(event), look_s=0.01
    )
    running = asyncio.create_task(watch.run())
    await until(lambda: any("renew it" in record.message for record in caplog.records))
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert 1 == sum("renew it" in record.message for record in caplog.records)
    assert ["certificate_ends"] == alarms


async def until(is_so) -> None:
    async with asyncio.timeout(ANSWER_S):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_it_is_renewed_on_a_socket_that_a_service_manager_holds_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.server._LEAVE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as held:
        renewing = Renewing(tmp_path, held=held)
        async with renewing.gate:
            for _ in range(2):
                renewing.folder.server()
                assert await renewing.look_twice()
            await until_async(renewing.serves_what_is_on_disk)
        # It stays the manager's: what comes between two runs waits in it.
        assert held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


async def until_async(is_so) -> None:
    async with asyncio.timeout(ANSWER_S):
        in_a_row = 0
        while in_a_row < 4:
            in_a_row = in_a_row + 1 if await is_so() else 0

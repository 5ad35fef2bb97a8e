"""The listener as a scanner sees it: versions, ciphers, client certificates."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

import pytest
from blacksheep import Application, Router

from tests.tls.files import Folder
from tests.tls.gate import Gate, anything, trusting

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


def app() -> Application:
    found = Application(router=Router())

    @found.router.get("/livez")
    async def live() -> str:
        return "ok"

    return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "tls")


async def answers(gate: Gate, context: ssl.SSLContext) -> bool:
    """Whether a request is answered; anything that TLS refuses counts as no."""
    try:
        _, answer = await gate.get("/livez", context)
    except (ssl.SSLError, ConnectionError):
        return False
    return answer.startswith(b"HTTP/1.1 200")


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return anything(version)


async def test_only_tls_1_3_is_answered_by_default(folder: Folder, tmp_path: Path) -> None:
    cert, key = folder.server()
    async with Gate(app(), tmp_path / "data", cert=cert, key=key) as gate:
        assert await answers(gate, trusting(folder.ca))
        for version in (*OLD, ssl.TLSVersion.TLSv1_2):
            assert not await answers(gate, only(version)), version
        assert await answers(gate, only(ssl.TLSVersion.TLSv1_3))


async def test_tls_1_2_is_answered_where_it_is_configured_and_nothing_older(
    folder: Folder, tmp_path: Path
) -> None:
    cert, key = folder.server()
    async with Gate(app(), tmp_path / "data", cert=cert, key=key, min_version="1.2") as gate:
        for version in OLD:
            assert not await answers(gate, only(version)), version
        assert await answers(gate, only(ssl.TLSVersion.TLSv1_2))
        assert await answers(gate, only(ssl.TLSVersion.TLSv1_3))


async def test_no_weak_cipher_is_agreed_on(folder: Folder, tmp_path: Path) -> None:
    cert, key = folder.server()
    strong = set()
    tried = 0
    async with Gate(app(), tmp_path / "data", cert=cert, key=key, min_version="1.2") as gate:
        names = only(ssl.TLSVersion.TLSv1_2).get_ciphers()
        for name in {each["name"] for each in names if each["protocol"] != "TLSv1.3"}:
            context = anything(ssl.TLSVersion.TLSv1_2, f"{name}:@SECLEVEL=0")
            tried += 1
            if await answers(gate, context):
                strong.add(name)
    assert tried > len(strong)
    assert strong
    for name in strong:
        # Forward secrecy, and encryption that authenticates what it encrypts.
        assert name.startswith("ECDHE-"), name
        assert "GCM" in name or "CHACHA20-POLY1305" in name, name


async def test_plain_http_is_not_answered_on_a_tls_port(folder: Folder, tmp_path: Path) -> None:
    import asyncio

    cert, key = folder.server()
    async with Gate(app(), tmp_path / "data", cert=cert, key=key) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: gate\r\n\r\n")
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert not got.startswith(b"HTTP/")


async def test_without_a_client_certificate_nobody_gets_in(folder: Folder, tmp_path: Path) -> None:
    cert, key = folder.server()
    stranger = Folder(tmp_path / "stranger")
    tls = {"cert": cert, "key": key, "client_ca": folder.ca}
    async with Gate(app(), tmp_path / "data", **tls) as gate:
        assert not await answers(gate, trusting(folder.ca))
        assert not await answers(gate, trusting(folder.ca, stranger.client()))
        # A server's certificate of the right CA is no client's.
        assert not await answers(gate, trusting(folder.ca, folder.server("another")))
        assert await answers(gate, trusting(folder.ca, folder.client()))


async def test_a_client_certificate_that_was_taken_back_is_not_let_in(
    folder: Folder, tmp_path: Path
) -> None:
    cert, key = folder.server()
    lost, kept = folder.client("lost"), folder.client("kept")
    tls = {"cert": cert, "key": key, "client_ca": folder.ca}
    async with Gate(app(), tmp_path / "data", **tls) as gate:
        assert await answers(gate, trusting(folder.ca, lost))
    tls["client_crl"] = folder.revoking(lost[0])
    async with Gate(app(), tmp_path / "data", **tls) as gate:
        assert not await answers(gate, trusting(folder.ca, lost))
        # Written anew, the list counts with the next renewal, as any file does.
        folder.revoking(kept[0])
        assert await gate.server.renew()
        assert not await answers(gate, trusting(folder.ca, kept))
        folder.revoking(lost[0])
        assert await gate.server.renew()
        assert await answers(gate, trusting(folder.ca, kept))

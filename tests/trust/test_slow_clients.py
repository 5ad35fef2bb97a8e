"""Clients that send slowly, too much, or never end, over real sockets: others are served on."""

from __future__ import annotations

import asyncio

import pytest

from gateway.api import app, server
from tests.gateway.rig import Rig

ENDED = 60.0


async def opened(rig, sent: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(sent)
    await writer.drain()
    return reader, writer


def head(rig, method="POST", path="/v1/orders", **headers) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gate", f"Authorization: Bearer {rig.key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def answer(reader) -> bytes:
    async with asyncio.timeout(ENDED):
        return await reader.read(65536)


@pytest.fixture
async def hasty(tmp_path, monkeypatch):
    """A gateway that waits two seconds for headers, not half a minute."""
    monkeypatch.setattr(server, "HEADERS_MS", 2000)
    async with Rig(tmp_path / "data", brokers=("fyers",), log_in=False) as rig:
        yield rig


async def test_many_who_never_end_their_headers_are_hung_up_on_and_keep_nobody_out(hasty):
    one = hasty
    slow = [await opened(one, b"GET /livez HTTP/1.1\r\nX-Slow: ") for _ in range(300)]

    assert 200 == (await one.call("GET", "/v1/accounts")).status
    for reader, _ in slow:
        said = await answer(reader)
        assert said == b"" or said.split()[1] in (b"400", b"408"), said
    for _, writer in slow:
        writer.close()


@pytest.mark.parametrize(
    "framing", [{"Content_Length": 1000}, {"Transfer_Encoding": "chunked"}], ids=str
)
async def test_a_body_that_never_ends_is_refused_and_nothing_is_done(one, framing, monkeypatch):
    monkeypatch.setattr(app, "BODY_S", 0.5)
    reader, writer = await opened(one, head(one, Idempotency_Key="slow", **framing))
    writer.write(b"1\r\n{\r\n" if "Transfer_Encoding" in framing else b"{")

    said = await answer(reader)

    assert b" 408 " in said.partition(b"\r\n")[0]
    assert b'"body_too_slow"' in said and b'"sent":false' in said
    writer.close()
    assert [] == one.ledger("fyers")


async def test_who_has_no_key_is_refused_before_the_body_is_waited_for(one):
    text = b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nContent-Length: 1000\r\n\r\n{"
    reader, writer = await opened(one, text)

    assert b" 401 " in (await answer(reader)).partition(b"\r\n")[0]
    writer.close()


async def test_a_body_without_end_in_chunks_is_cut_off(one):
    reader, writer = await opened(one, head(one, Idempotency_Key="x", Transfer_Encoding="chunked"))
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"

    async def send():
        for _ in range(64):
            writer.write(chunk)
            await writer.drain()

    sending = asyncio.ensure_future(send())
    said = await answer(reader)

    assert b" 413 " in said.partition(b"\r\n")[0]
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()


async def test_headers_without_end_are_cut_off(one):
    reader, writer = await opened(one, b"GET /v1/accounts HTTP/1.1\r\nHost: g\r\n")
    try:
        for n in range(100):
            writer.write(b"X-%d: " % n + b"a" * 4096 + b"\r\n")
            await writer.drain()
    except ConnectionError:
        pass
    try:
        said = await answer(reader)
    except ConnectionError:
        said = b""

    assert said == b"" or said.split()[1] in (b"400", b"431"), said
    writer.close()
    assert 200 == (await one.call("GET", "/v1/accounts")).status

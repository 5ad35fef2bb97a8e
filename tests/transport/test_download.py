"""Files are whole or absent."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.sdk.errors import BadAnswer, NotSent, OutcomeUnknown, Progress
from adapters.sdk.transport import HttpRequest, WebTransport
from tests.transport.server import (
    Peer,
    Script,
    ScriptedServer,
    after_request,
    answering,
    hold,
    send_then,
)

MASTER = HttpRequest("GET", "/master.csv")
ROWS = b"token,symbol\n" * 100_000

Serve = Callable[..., ScriptedServer]


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Callable[[Script], WebTransport]]:
    opened: list[WebTransport] = []

    def start(script: Script) -> WebTransport:
        opened.append(WebTransport(serve(script).url))
        return opened[-1]

    yield start
    for transport in opened:
        await transport.close()


Connect = Callable[[Script], WebTransport]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def chunked(data: bytes, size: int = 50_000) -> bytes:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ROWS), ROWS),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(ROWS) + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
        % (len(gzip.compress(ROWS)), gzip.compress(ROWS)),
        b"HTTP/1.1 200 OK\r\n\r\n" + ROWS,
    ],
    ids=["length", "chunked", "gzip", "until close"],
)
async def test_whole_file_is_stored_under_its_name(
    connect: Connect, tmp_path: Path, answer: bytes
) -> None:
    transport = connect(after_request(send_then(answer, Peer.close)))
    size = await transport.download(MASTER, tmp_path / "master.csv")
    assert len(ROWS) == size
    assert ROWS == (tmp_path / "master.csv").read_bytes()
    assert ["master.csv"] == names(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ROWS) + 1, ROWS),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(ROWS),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(ROWS)[:-100],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(ROWS)[:-9],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(ROWS)[:-1],
    ],
    ids=["length", "last chunk", "chunk", "gzip", "gzip tail"],
)
async def test_file_cut_short_raises_and_leaves_what_was_there(
    connect: Connect, tmp_path: Path, answer: bytes
) -> None:
    (tmp_path / "master.csv").write_bytes(b"yesterday")
    transport = connect(after_request(send_then(answer, Peer.close)))
    with pytest.raises(OutcomeUnknown) as caught:
        await transport.download(MASTER, tmp_path / "master.csv")
    assert (Progress.ANSWERED, 200) == (caught.value.progress, caught.value.status)
    assert b"yesterday" == (tmp_path / "master.csv").read_bytes()
    assert ["master.csv"] == names(tmp_path)


@pytest.mark.parametrize("status", [204, 206, 302, 304, 404, 500])
async def test_any_status_but_200_is_a_bad_answer(
    connect: Connect, tmp_path: Path, status: int
) -> None:
    transport = connect(
        answering(b"HTTP/1.1 %d X\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n" % status)
    )
    with pytest.raises(BadAnswer) as caught:
        await transport.download(MASTER, tmp_path / "master.csv")
    assert status == caught.value.status
    assert [] == names(tmp_path)


async def test_file_over_the_limit_is_a_bad_answer(connect: Connect, tmp_path: Path) -> None:
    transport = connect(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"x" * 11))
    with pytest.raises(BadAnswer, match="more than 10"):
        await transport.download(MASTER, tmp_path / "master.csv", max_bytes=10)
    assert [] == names(tmp_path)


async def test_file_that_stops_coming_raises_and_leaves_nothing(
    connect: Connect, tmp_path: Path
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    transport = connect(after_request(send_then(answer, hold)))
    with pytest.raises(OutcomeUnknown):
        await transport.download(MASTER, tmp_path / "master.csv", timeout_s=0.3)
    assert [] == names(tmp_path)


async def test_cancelled_download_leaves_nothing(connect: Connect, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1_000_000
    transport = connect(after_request(send_then(answer, hold)))
    task = asyncio.create_task(transport.download(MASTER, tmp_path / "master.csv"))
    while not names(tmp_path):
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == names(tmp_path)


async def test_folder_that_cannot_be_written_is_an_os_error(
    connect: Connect, tmp_path: Path
) -> None:
    transport = connect(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    with pytest.raises(FileNotFoundError):
        await transport.download(MASTER, tmp_path / "missing" / "master.csv")


async def test_host_that_refuses_is_not_sent(tmp_path: Path) -> None:
    transport = WebTransport("http://127.0.0.1:1")
    with pytest.raises(NotSent):
        await transport.download(MASTER, tmp_path / "master.csv")
    await transport.close()
    assert [] == names(tmp_path)

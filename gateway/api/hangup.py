"""Streams that end with their listener: nobody else tells a generator that he has hung up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def until_gone(stream: AsyncIterator[bytes], receive: Receive) -> AsyncIterator[bytes]:
    """Yield what `stream` yields until it ends or the client is gone."""
    gone = asyncio.ensure_future(_disconnected(receive))
    waiting: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(_next(stream))
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return
            piece = waiting.result()
            if piece is None:
                return
            yield piece
    finally:
        gone.cancel()
        if waiting is not None and not waiting.done():
            waiting.cancel()
        await asyncio.gather(gone, waiting or gone, return_exceptions=True)
        if hasattr(stream, "aclose"):
            await stream.aclose()


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

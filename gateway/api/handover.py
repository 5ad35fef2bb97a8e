"""Handing a port over from one listener of this process to the next without losing a connection.

Linux spreads what comes in over all listeners of a port, and a listener that ends drops what it
has not greeted yet. So the kernel is told to give everything to the newest first, and the old one
asks those that stay connected to come back on a new connection, before it ends.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# <asm-generic/socket.h>; Python has no name for it.
_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN_K = 0x06
_OPEN_FILES = Path("/proc/self/fd")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Door:
    """The application as one listener sees it. `close`: answer, and take no more after that."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._closing = False

    def close(self) -> None:
        self._closing = True

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        await self._app(scope, receive, _saying_goodbye(send) if self._closing else send)


def give_all_to_newest(host: str, port: int) -> bool:
    """Have the kernel give new connections to the listener that was opened last.

    There may be two of them, and the older one has to end before a third opens. False where the
    kernel could not be told; then both take some, until the old one ends.
    """
    import ctypes

    try:
        with _listeners(host, port) as found:
            if len(found) < 2:
                return False
            filters = ctypes.create_string_buffer(
                struct.pack("HBBI", _RETURN_K, 0, 0, len(found) - 1)
            )
            program = struct.pack("@HP", 1, ctypes.addressof(filters))
            found[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
    except OSError as error:
        log.info("TLS: new connections are shared by both listeners: %s", error)
        return False
    return True


def count_listeners(host: str, port: int) -> int:
    """Say how many sockets of this process listen there."""
    with _listeners(host, port) as found:
        return len(found)


def _saying_goodbye(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return sending


@contextmanager
def _listeners(host: str, port: int) -> Iterator[list[socket.socket]]:
    """The sockets of this process that listen there: the HTTP server does not hand them out."""
    found: dict[int, socket.socket] = {}
    try:
        for entry in _OPEN_FILES.iterdir():
            each = _socket_of(int(entry.name))
            if each is None:
                continue
            # The server keeps copies of a listener, which are one socket to the kernel.
            inode = os.fstat(each.fileno()).st_ino
            if inode in found or not _listens(each, host, port):
                each.close()
            else:
                found[inode] = each
        yield list(found.values())
    finally:
        for each in found.values():
            each.close()


def _socket_of(descriptor: int) -> socket.socket | None:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _listens(found: socket.socket, host: str, port: int) -> bool:
    try:
        if found.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        return tuple(found.getsockname()[:2]) == (host, port)
    except OSError:
        return False

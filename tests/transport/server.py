"""A server on real sockets that does to each connection exactly what a test's script says."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

_PATIENCE_S = 20.0


class Peer:
    """The server's end of one connection, as a script drives it."""

    def __init__(self, server: ScriptedServer, sock: socket.socket) -> None:
        self._server = server
        self._unread = b""
        self.socket = sock

    def read_request(self) -> bytes | None:
        """Read one whole request; None when the client closed instead."""
        while b"\r\n\r\n" not in self._unread:
            if not self._receive():
                return None
        head, _, rest = self._unread.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            if not self._receive():
                return None
            rest = self._unread.partition(b"\r\n\r\n")[2]
        request = head + b"\r\n\r\n" + rest[:length]
        self._unread = rest[length:]
        self._server.requests.append(request)
        return request

    def wait_readable(self) -> None:
        """Wait until bytes of the client arrived, and leave them unread."""
        select.select([self.socket], [], [], _PATIENCE_S)

    def wait_closed(self) -> None:
        """Wait until the client closed the connection."""
        while self._receive():
            pass

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except OSError:
            return False
        self._unread += data
        self._server.received += data
        return bool(data)


Script = Callable[[Peer], None]


class ScriptedServer:
    """Plays `scripts[n]` for connection n, and the last one for every further connection.

    `received` is every byte that came in, `requests` every whole request, `accepted` how many
    connections there were.
    """

    def __init__(
        self,
        scripts: Sequence[Script],
        *,
        tls: Path | None = None,
        tls_version: ssl.TLSVersion | None = None,
    ) -> None:
        self.received = b""
        self.requests: list[bytes] = []
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._scripts = scripts
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(tls)
            if tls_version is not None:
                self._tls.maximum_version = tls_version
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End every script and raise what went wrong in one."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(_PATIENCE_S)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        for sock in self._sockets:
            sock.close()
        if self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
            self.accepted += 1
            sock.settimeout(_PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                except OSError:
                    return
                self._sockets.append(sock)
            script(Peer(self, sock))
        except OSError:
            # The client went away in the middle: what a script does then is not the test's claim.
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()


def answering(*answers: bytes) -> Script:
    """Answer request after request on one connection, the last answer for all further ones."""

    def script(peer: Peer) -> None:
        count = 0
        while peer.read_request() is not None:
            peer.send(answers[min(count, len(answers) - 1)])
            count += 1

    return script


def answering_once_then(action: Callable[[Peer], None], answer: bytes = OK) -> Script:
    """Answer one request, then do something to the connection."""

    def script(peer: Peer) -> None:
        if peer.read_request() is not None:
            peer.send(answer)
            action(peer)

    return script


def after_request(action: Callable[[Peer], None]) -> Script:
    """Read one whole request, then do something instead of answering."""

    def script(peer: Peer) -> None:
        if peer.read_request() is not None:
            action(peer)

    return script


def hold(peer: Peer) -> None:
    """Keep the connection open and say nothing until the client closes."""
    peer.wait_closed()


def send_then(data: bytes, action: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def both(peer: Peer) -> None:
        peer.send(data)
        action(peer)

    return both

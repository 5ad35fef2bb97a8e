"""The API on a socket that a service manager opened, as `systemd-socket-activate` would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.activation import take_socket
from tests.cli.conftest import PROGRAM, Program, home, program

__all__ = ["home", "program"]

# Puts the socket where a service manager puts it, and names the process as it does.
PASS_ON = """
import os, sys
fd = int(sys.argv[1])
if fd != 3:
    os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def serve_on(home: Program, listening: socket.socket, port: int) -> subprocess.Popen[bytes]:
    fd = listening.fileno()
    pass_on = [sys.executable, "-c", PASS_ON, str(fd)]
    return subprocess.Popen(
        [*pass_on, *PROGRAM, "serve", "--port", str(port)],
        cwd=home.folder,
        env=home.environ,
        pass_fds=[fd],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_a_request_that_came_before_the_gateway_is_answered(
    home: Program, listening: socket.socket
) -> None:
    port = listening.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as early:
        early.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        served = serve_on(home, listening, port)
        answer = b"".join(iter(lambda: early.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")

    served.terminate()
    _, errors = served.communicate(timeout=60)
    assert 0 == served.returncode, errors
    # It is still there for the next one.
    assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    socket.create_connection(("127.0.0.1", port), timeout=60).close()


def test_a_socket_at_another_address_than_the_configured_one_is_refused(
    home: Program, listening: socket.socket
) -> None:
    served = serve_on(home, listening, 8080)

    _, errors = served.communicate(timeout=60)
    assert 1 == served.returncode
    assert b"make both the same" in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
    ],
)
def test_sockets_that_are_not_for_this_process_are_left_alone(environ: dict[str, str]) -> None:
    assert take_socket("127.0.0.1", 8080, environ) is None
    assert {} == environ

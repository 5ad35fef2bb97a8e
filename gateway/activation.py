"""The listening socket that a service manager opened for the gateway (systemd's activation).

Requests that come while the gateway starts or restarts wait in it instead of being refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

_FIRST_FD = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class WrongSocket(RuntimeError):
    """What the service manager passes is not what the configuration says to listen on."""


def take_socket(
    host: str, port: int, environ: MutableMapping[str, str] | None = None
) -> int | None:
    """Return the descriptor of the socket that this process was started with, None without one.

    Where to listen stays the configuration's word, since what may be reached from other machines
    without TLS is judged by it: another address raises `WrongSocket`. The variables are removed,
    so that no child takes the socket for its own.
    """
    environ = os.environ if environ is None else environ
    process, count, _ = (environ.pop(name, "") for name in _VARIABLES)
    if process != str(os.getpid()) or not count.isdigit() or int(count) == 0:
        return None
    if int(count) > 1:
        raise WrongSocket(f"the service manager passes {count} sockets; pass the API's only")
    os.set_inheritable(_FIRST_FD, False)
    with socket.socket(fileno=os.dup(_FIRST_FD)) as passed:
        given = passed.getsockname()
        is_tcp = passed.family in (socket.AF_INET, socket.AF_INET6)
        if not is_tcp or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise WrongSocket("the service manager passes a socket that is no TCP listener")
    wanted = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if given[:2] not in {address[4][:2] for address in wanted}:
        raise WrongSocket(
            f"the service manager listens on {given[0]}:{given[1]}, and server.host and"
            f" server.port say {host}:{port}; make both the same"
        )
    return _FIRST_FD

"""Ports and sockets of this machine, looked at before anything is started."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

from gateway.cli.failure import Failure

CONTROL_SOCKET = "control.sock"
# Below what Linux (32768) and the BSDs and macOS (49152) take for ports that nobody named.
_OWN_PORTS = range(20_000, 32_768)
_TRIES = 200
_LONGEST_PATH = 107 if sys.platform == "linux" else 103


def is_port_free(host: str, port: int) -> bool:
    """Whether this process could listen there now."""
    with _socket_for(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str) -> int:
    """Return a port that nothing listens on, and that the system hands to nobody unasked.

    A port that the system itself picked could be picked again for another program before it is
    used here; granian and the simulators share ports (`SO_REUSEPORT`), so neither would notice and
    each would get some of the other's requests. Raises `Failure` when everything is taken.
    """
    for port in secrets.SystemRandom().sample(_OWN_PORTS, _TRIES):
        if is_port_free(host, port):
            return port
    raise Failure(f"cannot find a free port on {host} from {_OWN_PORTS[0]} to {_OWN_PORTS[-1]}")


def check_socket_path(data_dir: Path) -> None:
    """Raise `Failure` where the control socket's path is longer than the system can hold."""
    length = len(os.fsencode(data_dir / CONTROL_SOCKET))
    if length > _LONGEST_PATH:
        raise Failure(
            f"the path of {data_dir / CONTROL_SOCKET} has {length} bytes, and a socket's may have"
            f" {_LONGEST_PATH}; choose a data_dir with a shorter path"
        )


def _socket_for(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)

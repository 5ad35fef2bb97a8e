from __future__ import annotations

import socket
from pathlib import Path

from gateway.cli.ports import free_port, is_port_free

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_free_port_is_none_that_the_system_gives_to_a_program_that_names_no_port() -> None:
    """Or a simulator could get the very port, share it, and answer the gateway's calls."""
    low, high = _RANGE.read_text().split() if _RANGE.exists() else ("49152", "65535")
    unasked = set(range(int(low), int(high) + 1))

    assert not {free_port("127.0.0.1") for _ in range(50)} & unasked


def test_port_shared_by_its_listener_is_not_free_for_another() -> None:
    port = free_port("127.0.0.1")
    with socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", port))
        shared.listen()

        assert not is_port_free("127.0.0.1", port)
    assert is_port_free("127.0.0.1", port)

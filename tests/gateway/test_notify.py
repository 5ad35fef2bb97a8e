"""What a service manager hears, over a real notification socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import ServiceManager
from tests.cli.conftest import Program, read_until, stop


class Manager:
    """A stand-in for systemd's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(20)

    def heard(self) -> str:
        return self._socket.recv(4096).decode()

    def heard_so_far(self) -> list[str]:
        self._socket.setblocking(False)
        told = []
        try:
            while True:
                told.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short, because a socket's path may have 107 bytes and pytest's own are long.
    folder = Path(tempfile.mkdtemp(prefix="bg-notify-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def manager(folder: Path) -> Iterator[Manager]:
    manager = Manager(folder)
    yield manager
    manager.close()


def test_serve_tells_when_it_is_ready_and_when_it_stops(folder: Path, manager: Manager) -> None:
    program = Program(folder)
    program.environ["NOTIFY_SOCKET"] = manager.address
    try:
        assert 0 == program.run("init").returncode
        served = program.start("serve", "--port", "0")
        read_until(served, "ready on")
        assert "READY=1" == manager.heard()
        assert 0 == stop(served, signal.SIGTERM)
        assert ["STOPPING=1"] == manager.heard_so_far()
    finally:
        program.stop_all()


async def test_signs_of_life_come_twice_as_often_as_asked(manager: Manager) -> None:
    asked = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000"}
    service = ServiceManager(asked)
    assert 0.01 == service.beat_s

    beating = asyncio.create_task(service.beat())
    for _ in range(3):
        assert "WATCHDOG=1" == await asyncio.to_thread(manager.heard)
    beating.cancel()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"},
    ],
)
async def test_no_sign_of_life_is_given_where_none_is_asked_of_this_process(
    manager: Manager, more: dict[str, str]
) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.address, **more})
    await service.beat()

    assert None is service.beat_s
    assert [] == manager.heard_so_far()


def test_the_watchdog_of_this_very_process_is_heeded(manager: Manager) -> None:
    asked = {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}

    assert 0.01 == ServiceManager({"NOTIFY_SOCKET": manager.address, **asked}).beat_s


def test_a_manager_that_is_gone_stops_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(folder / "gone")})
    service.ready()
    service.stopping()

    assert 1 == len(caplog.records)


def test_without_a_manager_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    service = ServiceManager({"WATCHDOG_USEC": "20000"})
    service.ready()

    assert None is service.beat_s
    assert [] == caplog.records


def test_a_name_in_the_abstract_space_is_understood() -> None:
    name = f"brokergate-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind("\0" + name)
        there.settimeout(20)
        ServiceManager({"NOTIFY_SOCKET": "@" + name}).ready()
        assert b"READY=1" == there.recv(100)

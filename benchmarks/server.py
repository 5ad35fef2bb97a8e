"""The gateway's process: `brokergate serve` as a user runs it, on the server's core."""

from __future__ import annotations

import base64
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.fleet import end_process, environment
from benchmarks.machine import Cores
from gateway.cli.client import HttpApi
from gateway.cli.ports import free_port

HOST = "127.0.0.1"
_START_S = 60.0
_PAUSE_S = 0.002
# One key places every order here, so its quota must not be what is measured.
_NO_QUOTA = 100_000


class Server:
    """One configuration and data directory; started as often as asked. Production settings."""

    def __init__(self, folder: Path, accounts: list[Mapping[str, Any]], cores: Cores) -> None:
        self.port = free_port(HOST)
        self._data_dir = folder / "data"
        self._config = folder / "brokergate.yaml"
        self._log = folder / "gateway.log"
        self._cores = cores
        self._master_key = base64.urlsafe_b64encode(os.urandom(32)).decode()
        self._process: subprocess.Popen[bytes] | None = None
        settings = {
            "data_dir": str(self._data_dir),
            "server": {
                "host": HOST,
                "port": self.port,
                "rate_limits": {"requests_per_second": _NO_QUOTA, "orders_per_second": _NO_QUOTA},
            },
            "accounts": accounts,
        }
        # JSON is YAML too.
        self._config.write_bytes(msgspec.json.encode(settings))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def control(self) -> HttpApi:
        """The API on the control socket, where this user is admin."""
        return HttpApi(f"unix:{self._data_dir / 'control.sock'}")

    def start(self) -> float:
        """Start, and return the seconds from process start to the first good answer."""
        with self._log.open("ab") as log, self._cores.on(self._cores.server):
            began = time.perf_counter()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.cli.main", "serve", "--config", self._config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(BROKERGATE_MASTER_KEY=self._master_key),
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - began > _START_S:
                raise RuntimeError(f"the gateway did not start: {self._log.read_text()[-2000:]}")
            time.sleep(_PAUSE_S)
        return time.perf_counter() - began

    def stop(self) -> None:
        if self._process is not None:
            end_process(self._process, deadline_s=20.0)
            self._process = None

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

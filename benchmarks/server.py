"""The gateway's process: `brokergate serve` as a user runs it, on the server's core."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cage import Cage
from benchmarks.fleet import end_process, environment
from benchmarks.machine import Cores
from gateway.cli.client import HttpApi
from gateway.cli.ports import free_port
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring

HOST = "127.0.0.1"
PROGRAM = "gateway.cli.main"
_START_S = 60.0
_PAUSE_S = 0.002
# One key places every order here, so its quota must not be what is measured.
_NO_QUOTA = 100_000


class Server:
    """One configuration and data directory; started as often as asked. Production settings."""

    def __init__(
        self,
        folder: Path,
        accounts: list[Mapping[str, Any]],
        cores: Cores,
        cage: Cage | None = None,
        program: str = PROGRAM,
    ) -> None:
        self._program = program
        self.port = free_port(HOST)
        self._data_dir = folder / "data"
        self._config = folder / "brokergate.yaml"
        self._log = folder / "gateway.log"
        self._cores = cores
        self._cage = cage
        self._master_key = generate_master_key()
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
    def journal(self) -> Path:
        """The journal's file, to be opened only while the gateway does not run."""
        return self._data_dir / "journal.db"

    @property
    def keyring(self) -> Keyring:
        return Keyring(self._master_key)

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
                [sys.executable, "-P", "-m", self._program, "serve", "--config", self._config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(BROKERGATE_MASTER_KEY=self._master_key.text()),
            )
        if self._cage is not None:
            self._cage.hold(self._process.pid)
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

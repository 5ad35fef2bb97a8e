"""The simulators' process: started early, ended with its parent whatever happens to it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

import gateway
from gateway.cli.failure import Failure
from gateway.cli.program import own_command
from gateway.cli.simulators import SimulatorInfo

_START_S = 15.0
_STOP_S = 2.0


class SimulatorProcess:
    """Runs while the context is open. Its errors go to `log`."""

    def __init__(self, options: Mapping[str, Mapping[str, Any]], log: Path) -> None:
        self._options = options
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SimulatorProcess:
        with self._log.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves, arguments of our own
                [*own_command(), "_simulators", msgspec.json.encode(self._options).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                # Ctrl-C at the terminal is for the gateway, which then ends this process.
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        # The end of its standard input is what tells it to stop.
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def wait(self) -> dict[str, SimulatorInfo]:
        """Return the simulators by broker once they listen. Raises `Failure`."""
        process = self._process
        assert process is not None and process.stdout is not None  # noqa: S101
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(_START_S) else b""
        if not line:
            words = self._log.read_text(errors="replace").strip().splitlines()
            raise Failure(f"the simulators did not start: {words[-1] if words else 'no answer'}")
        return {info.broker: info for info in msgspec.json.decode(line, type=list[SimulatorInfo])}


def _environment() -> dict[str, str]:
    """Let the new interpreter find this very package, installed or not."""
    environ = dict(os.environ)
    root = str(Path(gateway.__file__).parents[1])
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))
    return environ

"""`brokergate demo`: who starts what, and how all of it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.demo.process import SimulatorProcess
from gateway.cli.demo.scene import (
    HOST,
    curl_line,
    demo_settings,
    order_words,
    simulator_options,
)
from gateway.cli.failure import Failure
from gateway.cli.options import json_option
from gateway.cli.output import print_json
from gateway.cli.ports import check_socket_path, free_port, is_port_free
from gateway.cli.simulators import SimulatorInfo

if TYPE_CHECKING:
    from gateway.cli.demo.show import Progress
    from gateway.cli.demo.story import Outcome
    from gateway.config import Settings

_JOIN_S = 5.0


@click.command("demo")
@click.option("--once", is_flag=True, help="Exit after the answer; status 0 if all accepted.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@json_option
def command(once: bool, port: int, as_json: bool) -> None:
    """Watch one order go to three brokers and come back as one answer.

    Starts simulators of Fyers, m.Stock and HDFC Securities and a gateway on this machine, with
    a scratch data directory; logs in by each broker's own steps; places one order at all three;
    then keeps serving. Needs no account and no network, and leaves nothing behind.

    \b
    Examples:
      brokergate demo
      brokergate demo --once --port 9090
    """
    chosen = _port(port)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="brokergate-demo-")))
        check_socket_path(folder / "data")
        process = SimulatorProcess(simulator_options(chosen), folder / "simulators.log")
        stack.enter_context(process)
        stack.callback(_ignore_signals)
        # While the simulators start, this process loads what it needs.
        from gateway.cli.demo.show import Progress, short_title

        progress = Progress(to_stderr=as_json)
        with progress.step("Start three simulators") as note:
            _load_gateway()
            simulators = process.wait()
            note.text = ", ".join(short_title(info.title) for info in simulators.values())
        settings = demo_settings(folder / "data", chosen, simulators.values())
        _Stage(progress, settings, simulators, once=once, as_json=as_json).run()


class _Stage:
    """The gateway on this thread's loop, and the story beside it on a thread of its own."""

    def __init__(
        self,
        progress: Progress,
        settings: Settings,
        simulators: Mapping[str, SimulatorInfo],
        *,
        once: bool,
        as_json: bool,
    ) -> None:
        self._progress = progress
        self._settings = settings
        self._simulators = simulators
        self._once = once
        self._as_json = as_json
        self._starting = ExitStack()
        self._stopping = asyncio.Event()
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._play, name="demo", daemon=True)

    def run(self) -> None:
        """Serve until the story ends (`once`) or a signal comes. Raises `Failure`."""
        import uvloop

        from gateway.store import DataDirLock

        # The demo's own screen says what happens; warnings of a scratch gateway would cover it.
        logging.basicConfig(level=logging.ERROR)
        with DataDirLock(self._settings.data_dir), self._starting:
            self._starting.enter_context(self._progress.step("Start the gateway"))
            uvloop.run(self._serve())
        _ignore_signals()
        self._thread.join(_JOIN_S)
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            raise click.Abort
        if self._once and not self._outcome.all_accepted:
            raise Failure("not every account accepted the order")
        if not self._once:
            self._progress.line("Stopped; nothing is left behind.")

    async def _serve(self) -> None:
        from gateway.brokers import load_plugins
        from gateway.secrets import Keyring, generate_master_key
        from gateway.serve import serve

        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(self._stopping.set)
        keyring = Keyring(generate_master_key("this run of the demo"))
        loop.add_signal_handler(signal.SIGHUP, self._stopping.set)
        await serve(
            self._settings,
            load_plugins(),
            keyring,
            stop=self._stopping,
            on_ready=lambda _: self._ready(),
        )

    def _ready(self) -> None:
        self._starting.close()
        self._thread.start()

    def _play(self) -> None:
        from gateway.cli.demo.story import play

        try:
            server = self._settings.server
            outcome = play(self._progress, self._settings.data_dir, server.port, self._simulators)
            self._outcome = outcome
            self._show(outcome)
        except BaseException as error:
            # What fails because a signal has stopped the gateway is no error of its own.
            if not self._stopping.is_set():
                self._error = error
                self._stop()
        else:
            if self._once:
                self._stop()

    def _show(self, outcome: Outcome) -> None:
        progress = self._progress
        if self._as_json:
            print_json(outcome.order)
        else:
            progress.answer(outcome.order, order_words(), outcome.titles)
        if self._once:
            return
        port = self._settings.server.port
        progress.line()
        progress.line(f"API key: {outcome.key}")
        progress.line("Place another (paste it twice: nothing is sent twice under one key):")
        progress.line()
        progress.line(curl_line(port, outcome.key))
        progress.line()
        at = f"http://{HOST}:{port}"
        progress.line(f"Serving on {at}; every call is explained at {at}/docs")
        progress.line("Ctrl-C ends the demo.")


def _port(port: int) -> int:
    if port == 0:
        return free_port(HOST)
    if not is_port_free(HOST, port):
        raise Failure(
            f"cannot listen on port {port} of {HOST}: another program has it; choose another:"
            f" brokergate demo --port {port + 1 if port < 65535 else 8081}"
        )
    return port


def _load_gateway() -> None:
    import gateway.serve  # noqa: F401


def _interrupt(*_: object) -> None:
    """Be to SIGTERM and SIGHUP what Python is to Ctrl-C, so that everything is cleaned up."""
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """From here on only cleaning up is left; a second Ctrl-C must not cut it short."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)

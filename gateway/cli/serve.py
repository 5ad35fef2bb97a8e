"""`brokergate serve`."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import load_setup, master_key_of
from gateway.cli.failure import told
from gateway.cli.options import config_option
from gateway.cli.ports import check_socket_path, free_port

if TYPE_CHECKING:
    from gateway.cli.configuration import Setup
    from gateway.config import Settings
    from gateway.runtime import Gateway

log = logging.getLogger(__name__)


@click.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of server.port.")
@config_option
def command(port: int | None, config: str | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. Logs go to stderr.

    The master key comes from the systemd credential brokergate-master-key, from the file that
    BROKERGATE_MASTER_KEY_FILE names (master.key beside the configuration if that is unset), from
    BROKERGATE_MASTER_KEY, or from a prompt.

    \b
    Example:
      brokergate serve --config /etc/brokergate/brokergate.yaml
    """
    from gateway.hardening import keep_to_itself
    from gateway.memory import start_without_collecting

    keep_to_itself()
    start_without_collecting()
    setup = load_setup(config)
    settings = with_port(setup.settings, port)
    check_socket_path(settings.data_dir)
    from gateway.observability.logs import start_logging

    start_logging(settings.logging.level, settings.logging.format)
    master_key = master_key_of(setup)

    from gateway.activation import WrongSocket
    from gateway.api.server import PortTaken
    from gateway.secrets import Keyring, SealError
    from gateway.serve import NotSecure, run
    from gateway.store import DataDirLocked
    from gateway.store.schema import StoreError, StoreTooNew

    log.info("master key from %s", master_key.source)

    def ready(gateway: Gateway) -> None:
        click.echo(_ready_line(settings))

    # Between the end of the loop and the end of the process a second signal changes nothing.
    try:
        refused = (NotSecure, PortTaken, WrongSocket, DataDirLocked)
        with told(*refused, SealError, StoreTooNew, StoreError, OSError):
            run(
                settings,
                setup.plugins,
                Keyring(master_key),
                on_ready=ready,
                read_settings=lambda: read_again(setup, settings),
            )
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def read_again(setup: Setup, running: Settings) -> Settings:
    """Read the configuration that this gateway was started with as it stands now.

    The port that the start chose counts as unchanged. Raises: `Problem` naming every mistake.
    """
    from gateway.config import ConfigError, load_settings
    from gateway.orders.problems import Problem
    from gateway.orders.request import FieldError

    brokers = {name: plugin.capabilities for name, plugin in setup.plugins.items()}
    try:
        fresh = load_settings(setup.path, brokers)
    except ConfigError as error:
        errors = [
            FieldError(
                each.key or each.source,
                f"{each.problem}. {each.fix} ({each.source}, line {each.line})",
            )
            for each in error.mistakes
        ]
        raise Problem(
            422, "config_invalid", f"nothing was changed: {error}", errors=errors
        ) from error
    if fresh.server.port == setup.settings.server.port:
        return with_port(fresh, running.server.port)
    return fresh


def with_port(settings: Settings, port: int | None) -> Settings:
    """Return the settings with `port` put in, and a free port found where it is 0."""
    wanted = settings.server.port if port is None else port
    if wanted == 0:
        # The HTTP server does not tell which port the system gave it, so ask before.
        wanted = free_port(settings.server.host)
    server = settings.server.model_copy(update={"port": wanted})
    return settings.model_copy(update={"server": server})


def _ready_line(settings: Settings) -> str:
    server = settings.server
    scheme = "https" if server.tls.cert else "http"
    host = f"[{server.host}]" if ":" in server.host else server.host
    count = len(settings.accounts)
    accounts = "1 account" if count == 1 else f"{count} accounts"
    return (
        f"brokergate ready on {scheme}://{host}:{server.port}"
        f" ({accounts}, data in {settings.data_dir})"
    )

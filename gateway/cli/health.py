"""`brokergate health`: whether the gateway on this machine answers, for whatever watches it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway.cli.client import HttpApi
from gateway.cli.failure import Failure
from gateway.cli.options import config_option
from gateway.cli.ports import CONTROL_SOCKET

_TIMEOUT_S = 3.0
_DATA_DIR = "BROKERGATE_DATA_DIR"


@click.command("health")
@click.option("--ready", is_flag=True, help="Also whether orders can be taken.")
@config_option
def command(ready: bool, config: str | None) -> None:
    """Ask the running gateway for a sign of life. Exit status 1 when there is none.

    Over its control socket, so that neither a port nor a certificate matters.

    \b
    Example:
      brokergate health --ready
    """
    path = "/readyz" if ready else "/livez"
    reply = HttpApi(f"unix:{_socket(config)}").call("GET", path, timeout_s=_TIMEOUT_S)
    if reply.status != 200:
        raise Failure("the gateway takes no orders: see `brokergate doctor`")
    click.echo("ok")


def _socket(config: str | None) -> Path:
    """Find the control socket; reading a whole configuration would cost more than the question."""
    if given := os.environ.get(_DATA_DIR):
        return Path(given) / CONTROL_SOCKET
    from gateway.cli.configuration import load_setup

    return load_setup(config).settings.data_dir / CONTROL_SOCKET

"""`brokergate console`: the operator console, in a process that holds nothing of the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.cli.client import remote_api
from gateway.cli.configuration import load_setup
from gateway.cli.failure import Failure
from gateway.cli.options import target_of, target_options
from gateway.cli.ports import CONTROL_SOCKET
from gateway.cli.program import console_command


@click.command("console")
@target_options
@click.option("--read-only", is_flag=True, help="Look, and act on nothing.")
@click.option("--theme", type=click.Choice(("dark", "light")), default="dark", show_default=True)
@click.option("--keys", type=click.Path(exists=True), help="JSON file: name of a key to the key.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
def command(
    config: str | None,
    url: str | None,
    key_file: str | None,
    read_only: bool,
    theme: str,
    keys: str | None,
    no_mouse: bool,
) -> None:
    """See every account, order and unresolved leg live; log in, cancel, stop everything.

    The gateway may start later, go and come back: the console waits for it.

    \b
    Examples:
      brokergate console
      brokergate console --url https://gate.lan:8080 --key-file ~/.config/brokergate/operate.key
    """
    target = target_of(config, url, key_file)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure(
            "the console needs a terminal; over SSH: ssh -t HOST brokergate console."
            " For a script: brokergate orders, positions, funds, each with --json"
        )
    words = ["--theme", theme]
    tls = target.tls
    for name, value in (
        ("--ca", tls.ca),
        ("--cert", tls.client_cert),
        ("--cert-key", tls.client_key),
    ):
        words += [name, value] if value is not None else []
    words += ["--keys", keys] if keys else []
    words += ["--read-only"] if read_only else []
    words += ["--no-mouse"] if no_mouse else []
    if target.url and target.key_file:
        remote_api(target.url, target.key_file, tls)
        words += _remote_words(target.url, target.key_file)
    else:
        words += ["--socket", str(_socket_of(target.config))]
    # Replaced, not loaded: the console then has none of this process's memory, nor its imports.
    program = console_command()
    os.execv(program[0], [*program, *words])  # noqa: S606


def _socket_of(config: str | None) -> Path:
    return load_setup(config).settings.data_dir.absolute() / CONTROL_SOCKET


def _remote_words(url: str, key_file: str) -> list[str]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    words = ["--host", parts.hostname or "", "--port", str(port), "--key-file", key_file]
    return [*words, "--tls"] if secure else words

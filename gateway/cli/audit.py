"""`brokergate audit`: the tamper-evident log."""

from __future__ import annotations

import click

from gateway.cli.client import ask
from gateway.cli.failure import Failure
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_json
from gateway.cli.target import connected

_TIMEOUT_S = 600.0


@click.group("audit")
def command() -> None:
    """The log of everything that was done: each row carries a seal over the one before it.

    \b
    Example:
      brokergate audit verify
    """


@command.command("verify")
@target_options
@json_option
def verify(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """Check the whole log. Exit status 1 when a row was changed, removed or added.

    \b
    Example:
      brokergate audit verify --json
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        verdict = ask(api, "GET", "/v1/audit/verify", timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(verdict)
        if not verdict["ok"]:
            raise click.exceptions.Exit(1)
    elif verdict["ok"]:
        click.echo("The audit log is whole.")
    else:
        raise Failure(
            f"audit row {verdict['first_bad_seq']} {verdict['problem']};"
            " trust nothing from there on, and compare with a backup"
        )

"""`brokergate instruments`: the brokers' instrument masters."""

from __future__ import annotations

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 900.0


@click.group("instruments")
def command() -> None:
    """Instrument masters: what each broker calls NSE:SBIN.

    \b
    Example:
      brokergate instruments refresh
    """


@command.command("refresh")
@click.argument("brokers", nargs=-1, metavar="[BROKER]...")
@target_options
@json_option
def refresh(
    brokers: tuple[str, ...],
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Fetch the masters again, of all configured brokers or of those named.

    A master that cannot be fetched whole changes nothing: the last good one stays.

    \b
    Example:
      brokergate instruments refresh fyers
    """
    query = {"brokers": ",".join(brokers)} if brokers else None
    with connected(target_of(config, url, key_file)) as api:
        answer = ask(api, "POST", "/v1/instruments/refresh", query=query, timeout_s=_TIMEOUT_S)
    masters = answer["masters"]
    if as_json:
        print_json(answer)
    else:
        rows = [
            [broker, result.get("rows"), result.get("message") or "loaded"]
            for broker, result in masters.items()
        ]
        print_columns(("broker", "instruments", "result"), rows, "No broker is configured.")
    if not all(result["ok"] for result in masters.values()):
        raise click.exceptions.Exit(1)

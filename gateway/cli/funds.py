"""`brokergate funds`: the money of every account."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 60.0
_FIELDS = ("available", "used", "opening", "collateral")


@click.command("funds")
@click.option("--accounts", help="Only these accounts and @groups, separated by commas.")
@target_options
@json_option
def command(
    accounts: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Show the money of every account in rupees, as the brokers give it now.

    What a broker does not say is shown as a dash. Exit status 1 when an account could not be
    read.

    \b
    Examples:
      brokergate funds
      brokergate funds --accounts fyers-main,@family --json
    """
    query = {"accounts": accounts} if accounts else {}
    with connected(target_of(config, url, key_file)) as api:
        found = ask(api, "GET", "/v1/funds", query=query, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(found)
    else:
        _print(found["results"])
    if found["summary"] != "complete":
        raise click.exceptions.Exit(1)


def _print(results: list[dict[str, Any]]) -> None:
    rows = [
        [result["account"], *(result["data"][field] for field in _FIELDS)]
        for result in results
        if result["ok"]
    ]
    print_columns(("account", *_FIELDS), rows, "No account could be read.")
    for result in results:
        if not result["ok"]:
            words = f"{result['account']}: not read: {result['reason']['message']}"
            click.echo(click.style(words, fg="red"), err=True)

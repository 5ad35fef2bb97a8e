"""`brokergate positions`: net positions at every account."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 60.0
_HEADS = "account instrument product quantity average last realised unrealised"


@click.command("positions")
@click.option("--accounts", help="Only these accounts and @groups, separated by commas.")
@click.option("--all", "with_flat", is_flag=True, help="Those closed during the day too.")
@target_options
@json_option
def command(
    accounts: str | None,
    with_flat: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Show the net positions of every account, as the brokers give them now.

    What a broker does not say is shown as a dash. Exit status 1 when an account could not be
    read.

    \b
    Examples:
      brokergate positions
      brokergate positions --accounts fyers-main,@family --json
    """
    query = {"accounts": accounts} if accounts else {}
    with connected(target_of(config, url, key_file)) as api:
        found = ask(api, "GET", "/v1/positions", query=query, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(found)
    else:
        _print(found["results"], with_flat=with_flat)
    if found["summary"] != "complete":
        raise click.exceptions.Exit(1)


def _print(results: list[dict[str, Any]], *, with_flat: bool) -> None:
    rows = [
        [
            result["account"],
            row["instrument"] or _codes(result, place),
            row["product"],
            row["quantity"],
            row["average_price"],
            row["last_price"],
            row["realised_pnl"],
            row["unrealised_pnl"],
        ]
        for result in results
        if result["ok"]
        for place, row in enumerate(result["data"])
        if row["quantity"] or with_flat
    ]
    print_columns(_HEADS.split(), rows, "No open positions.")
    for result in results:
        if not result["ok"]:
            words = f"{result['account']}: not read: {result['reason']['message']}"
            click.echo(click.style(words, fg="red"), err=True)


def _codes(result: dict[str, Any], place: int) -> str:
    """Name a contract that the master does not list by the broker's own words."""
    codes = result.get("unlisted", {}).get(str(place), {})
    return "? " + " ".join(codes.values())

"""`brokergate reconcile`: the journal against the brokers' books and trades."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 120.0
_LEG = ("leg", "broker-order", "order", "state")
_ORDER = ("broker-order", "placed", "order", "state", "filled")
_FIELD = ("leg", "broker-order", "instrument", "what", "journal", "book", "trades")
_TRADE = ("trade", "broker-order", "fill", "at")
_TAG = ("tag", "leg", "broker-orders")


@click.command("reconcile")
@click.option(
    "--date",
    "day",
    metavar="D",
    type=click.DateTime(["%Y-%m-%d"]),
    help="A day, YYYY-MM-DD  [default: today]",
)
@click.option("--accounts", help="Only these accounts and @groups, separated by commas.")
@target_options
@json_option
def command(
    day: datetime | None,
    accounts: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Compare the journal with the brokers' books and trades of a day.

    Today's books are read live; those of earlier days come from the snapshots taken after the
    close, with the gateway stopped too. Exit status 1 when anything does not match or could not
    be compared. Orders placed elsewhere are listed, and are no mismatch.

    \b
    Examples:
      brokergate reconcile
      brokergate reconcile --date 2026-11-20 --json
    """
    query = {"date": day.date().isoformat()} if day else {}
    query |= {"accounts": accounts} if accounts else {}
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/reconcile", query=query, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found["summary"] != "match":
        raise click.exceptions.Exit(1)


def _print(found: dict[str, Any]) -> None:
    click.echo(f"Reconciled {found['date']}: journal against book against trades\n")
    if not found["results"]:
        click.echo("No accounts.")
    for result in found["results"]:
        _print_account(result)
    click.echo(
        {
            "match": "Everything matches.",
            "mismatch": "There are mismatches: see above, and `brokergate orders ID --history`.",
            "incomplete": "Not everything could be compared: see above.",
        }[found["summary"]]
    )


def _print_account(result: dict[str, Any]) -> None:
    name = click.style(result["account"], bold=True)
    if not result["ok"]:
        mark = _mark(None if result["legs"] else True)
        click.echo(f"{mark} {name} ({result['broker']}) not compared: {_told(result['legs'])}")
        click.echo(f"    {result['reason']['message']}\n")
        return
    counts = [_count(result["legs"], "leg"), _count(result["orders"], "order")]
    if result["trades"] is not None:
        counts.append(_count(result["trades"], "trade"))
    click.echo(
        f"{_mark(result['matches'])} {name} ({result['broker']})"
        f" {', '.join(counts)}; {_source(result)}"
    )
    _section("NOT IN THE BOOK", _LEG, map(_missing, result["missing"]))
    differing = (line for leg in result["differing"] for line in _differences(leg))
    _section("DIFFERENT", _FIELD, differing)
    _section("TRADES WITHOUT AN ORDER", _TRADE, map(_trade, result["trades_without_order"]))
    _section("ONE TAG ON SEVERAL ORDERS", _TAG, map(_tag, result["tags_doubled"]))
    _section("placed elsewhere (no mismatch)", _ORDER, map(_order, result["elsewhere"]))
    click.echo()


def _section(title: str, heads: tuple[str, ...], rows: Any) -> None:
    lines = columns(heads, list(rows))
    if lines:
        click.echo(f"    {title}")
        for line in lines:
            click.echo(f"      {line}")


def _missing(leg: dict[str, Any]) -> list[Any]:
    asked = f"{leg['side']} {leg['quantity']} {leg['instrument']}"
    return [leg["leg_id"], leg["broker_order_id"], asked, leg["state"]]


def _differences(leg: dict[str, Any]) -> list[list[Any]]:
    first = [leg["leg_id"], leg["broker_order_id"], leg["instrument"]]
    return [
        [*first, one["field"].replace("_", " "), one["journal"], one["book"], one["trades"]]
        for one in leg["differences"]
    ]


def _order(row: dict[str, Any]) -> list[Any]:
    asked = (row["side"], row["quantity"], row["instrument"], row["order_type"], row["price"])
    words = " ".join(str(part) for part in asked if part is not None)
    filled = f"{row['filled_quantity']}/{row['quantity']}"
    return [row["broker_order_id"], _clock(row["placed_at"]), words, row["state"], filled]


def _trade(row: dict[str, Any]) -> list[Any]:
    fill = (row["side"], row["quantity"], row["instrument"], "at", row["price"])
    words = " ".join(str(part) for part in fill if part is not None)
    return [row["trade_id"], row["broker_order_id"], words, _clock(row["traded_at"])]


def _tag(row: dict[str, Any]) -> list[Any]:
    return [row["broker_tag"], row["leg_id"], row["broker_order_ids"]]


def _source(result: dict[str, Any]) -> str:
    at = _clock(result["as_of"])
    if result["source"] == "live":
        return f"live book of {at}"
    return f"kept at {at}" + ("" if result["covers_close"] else ", before the close")


def _told(legs: int) -> str:
    return f"{_count(legs, 'leg')} of ours, and no book" if legs else "nothing of ours, no book"


def _mark(matches: bool | None) -> str:
    if matches is None:
        return click.style("?", fg="yellow", bold=True)
    return click.style("ok", fg="green") if matches else click.style("!!", fg="red", bold=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _clock(at: str | None) -> str | None:
    """The time of day of a moment; the day is in the first line."""
    return at[11:19] if at else None

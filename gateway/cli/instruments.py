"""`brokergate instruments`: the brokers' instrument masters."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 900.0
_FOUND = "instrument name type expiry strike lot tick brokers"


@click.group("instruments")
def command() -> None:
    """Instrument masters: what each broker calls NSE:SBIN.

    \b
    Examples:
      brokergate instruments refresh
      brokergate instruments search state bank
    """


@command.command("refresh", short_help="Fetch the masters again, of all brokers or of those named.")
@click.argument("brokers", nargs=-1, metavar="[BROKER]...")
@click.option("--accept-fewer", is_flag=True, help="Also a master that lost many of its rows.")
@target_options
@json_option
def refresh(
    brokers: tuple[str, ...],
    accept_fewer: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Fetch the masters again, of all configured brokers or of those named.

    A master that cannot be fetched whole changes nothing: the last good one stays. Exit status 1
    when one was not loaded.

    \b
    Example:
      brokergate instruments refresh fyers
    """
    body = {"brokers": list(brokers) or None, "accept_fewer": accept_fewer}
    with connected(target_of(config, url, key_file)) as api:
        answer = ask(api, "POST", "/v1/instruments/refresh", body, timeout_s=_TIMEOUT_S)
    masters = answer["masters"]
    if as_json:
        print_json(answer)
    else:
        rows = [
            [broker, result.get("rows"), result.get("message") or _changes(result)]
            for broker, result in masters.items()
        ]
        print_columns(("broker", "instruments", "result"), rows, "No broker is configured.")
    if not all(result["ok"] for result in masters.values()):
        raise click.exceptions.Exit(1)


@command.command("search")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--exchange", help="NSE, BSE, NFO, BFO, CDS, BCD or MCX.")
@click.option("--type", "kind", help="EQ, INDEX, FUT or OPT.")
@click.option("--underlying", help="Of futures and options: NIFTY, SBIN.")
@click.option("--expiry", help="YYYY-MM-DD, or with --underlying: nearest, next, monthly.")
@click.option("--strike", help="Of options.")
@click.option("--option-type", help="CE or PE.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@target_options
@json_option
def search(
    words: tuple[str, ...],
    exchange: str | None,
    kind: str | None,
    underlying: str | None,
    expiry: str | None,
    strike: str | None,
    option_type: str | None,
    limit: int,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Find contracts by words of symbol or name, and by what they are. Best match first.

    Exit status 1 when there is none.

    \b
    Examples:
      brokergate instruments search nifty 24000 ce
      brokergate instruments search --underlying SBIN --type FUT --expiry nearest
    """
    asked = {
        "query": " ".join(words),
        "exchange": exchange,
        "type": kind,
        "underlying": underlying,
        "expiry": expiry,
        "strike": strike,
        "option_type": option_type,
        "limit": str(limit),
    }
    query = {name: value for name, value in asked.items() if value}
    with connected(target_of(config, url, key_file)) as api:
        answer = ask(api, "GET", "/v1/instruments", query=query)
    found = answer["instruments"]
    if as_json:
        print_json(answer)
    else:
        rows = [_row(item) for item in found]
        print_columns(_FOUND.split(), rows, "No instrument matches.")
    if not found:
        raise click.exceptions.Exit(1)


def _row(item: dict[str, Any]) -> list[object]:
    differing = item["disagreements"]
    return [
        item["instrument"],
        item["name"],
        item["type"],
        item["expiry"],
        item["strike"],
        _said(item["lot_size"], differing.get("lot_size")),
        _said(item["tick_size"], differing.get("tick_size")),
        list(item["brokers"]),
    ]


def _said(value: object, by_broker: dict[str, str] | None) -> str:
    """The value, or what each broker says of it where they disagree."""
    if not by_broker:
        return str(value)
    return ",".join(f"{broker}={said}" for broker, said in by_broker.items())


def _changes(result: dict[str, Any]) -> str:
    changes = result.get("changes")
    if not changes:
        return "loaded"
    told = [
        f"{changes[name]:,} {word}"
        for name, word in (
            ("added", "new"),
            ("gone", "gone"),
            ("expired", "expired"),
            ("changed", "with another lot, tick or freeze quantity"),
        )
        if changes.get(name)
    ]
    return "loaded: " + (", ".join(told) or "nothing changed")

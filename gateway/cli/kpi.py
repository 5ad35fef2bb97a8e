"""`brokergate kpi`: what the gateway promises, measured over any window."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import columns, print_json
from gateway.cli.target import connected

_TIMEOUT_S = 120.0
_UPTIME = ("", "broker", "uptime", "up", "recovering", "stopped", "outage", "logged out", "held")


@click.command("kpi")
@click.option("--window", metavar="W", help="Up to now: 90m, 24h, 30d, 4w  [default: 24h]")
@click.option("--from", "since", metavar="T", help="Instead: from a time, RFC 3339 with offset.")
@click.option("--to", "until", metavar="T", help="With --from: until then  [default: now]")
@target_options
@json_option
def command(
    window: str | None,
    since: str | None,
    until: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Print overhead, uptime, recovered faults, order success, duplicates, stops and memory.

    From the journal and from what each minute was like; with the gateway stopped too.

    \b
    Examples:
      brokergate kpi
      brokergate kpi --window 30d --json
    """
    query = {
        name: value
        for name, value in (("window", window), ("from", since), ("to", until))
        if value is not None
    }
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/kpis", query=query, timeout_s=_TIMEOUT_S)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    window = f"{_clock(found['from'])} to {_clock(found['to'])}"
    click.echo(f"{window}: {found['orders']} orders, {found['legs']} legs\n")
    rows = [_overhead(found["overhead_ms"]), _success(found["success"])]
    faults, duplicates = found["transient_faults"], found["duplicates"]
    rows += [
        (
            "Faults recovered",
            _percent(faults["share"]),
            f"{faults['recovered']} of {faults['legs']}",
        ),
        (
            "Duplicates",
            duplicates["made"],
            f"prevented: {duplicates['repeats']} repeated requests,"
            f" {duplicates['found']} orders found instead of sent again",
        ),
        ("Kill switch", found["kill_switch"]["activations"], _levels(found["kill_switch"])),
        (
            "Memory",
            _megabytes(found["memory"]["most"]),
            f"now {_megabytes(found['memory']['now'])}",
        ),
        ("Event loop", _ms(found["event_loop_lag_ms"]), "the latest that it came to what was due"),
    ]
    for line in columns(("figure", "value", "of"), rows):
        click.echo(line)
    click.echo()
    if found["watched_from"] is None:
        click.echo("Uptime: the gateway did not run.")
        return
    click.echo(f"Uptime since {_clock(found['watched_from'])}")
    uptimes = [(*_uptime(each),) for each in [*found["adapters"], *found["accounts"]]]
    for line in columns(_UPTIME, uptimes):
        click.echo(line)


def _overhead(overhead: dict[str, Any] | None) -> tuple[str, str, str]:
    if overhead is None:
        return ("Overhead p50", "-", "no leg was sent")
    rest = ", ".join(f"{name} {_ms(overhead[name])}" for name in ("p95", "p99", "max"))
    return ("Overhead p50", _ms(overhead["p50"]), f"{overhead['legs']} legs; {rest}")


def _success(success: dict[str, Any]) -> tuple[str, str, str]:
    others = ", ".join(
        f"{success[name]} {name.replace('_', ' ')}"
        for name in success
        if name not in ("share", "accepted") and success[name]
    )
    of = f"{success['accepted']} accepted"
    return ("Order success", _percent(success["share"]), f"{of}; {others}" if others else of)


def _uptime(each: dict[str, Any]) -> list[str]:
    spent = ("up_s", "recovering_s", "stopped_s", "broker_outage_s", "logged_out_s", "held_s")
    name = each["account"] or "all"
    return [name, each["broker"], _percent(each["share"]), *(_span(each[part]) for part in spent)]


def _levels(kill: dict[str, Any]) -> str:
    return ", ".join(f"{count} {level}" for level, count in kill["by_level"].items()) or "never"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.0f} MB"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, hours = round(seconds / 60), seconds / 3600
    return f"{minutes}m" if minutes < 120 else f"{hours:.1f}h"


def _clock(at: str) -> str:
    return at[:16].replace("T", " ")

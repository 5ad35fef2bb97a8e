"""`brokergate simulate`: one broker's simulator to practise and test against."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from gateway.cli.failure import Failure
from gateway.cli.options import json_option
from gateway.cli.ports import is_port_free
from gateway.cli.simulators import SimulatorInfo, on_stop_signals, running_simulator


@click.command("simulate")
@click.argument("broker")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0: any free port.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the simulator, e.g. rows=200000 or book_lag_ms=0.",
)
@json_option
def command(broker: str, port: int, host: str, options: tuple[str, ...], as_json: bool) -> None:
    """Run a broker's simulator: its real protocol, a ledger, faults on demand.

    Serves until Ctrl-C or SIGTERM. Prints what the configuration and the vault need.

    \b
    Example:
      brokergate simulate mstock --port 9101
    """
    asyncio.run(_run(broker, _parsed(options), host, port, as_json=as_json))


async def _run(
    broker: str, options: dict[str, Any], host: str, port: int, *, as_json: bool
) -> None:
    if port and not is_port_free(host, port):
        # It would share the port with whatever listens there, and get some of its requests.
        raise Failure(
            f"cannot listen on {host}:{port}: another program has it; choose another --port"
        )
    stop = asyncio.Event()
    on_stop_signals(stop.set)
    async with running_simulator(broker, options, host, port) as info:
        click.echo(_as_json(info) if as_json else _as_text(info))
        await stop.wait()


def _parsed(options: tuple[str, ...]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise click.UsageError(f"--option {option}: write NAME=VALUE")
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value
    return parsed


def _control(info: SimulatorInfo) -> dict[str, str]:
    calls = ("ledger", "otp", "faults", "price", "fill", "reset", "requests", "violations")
    return {call: f"{info.url}/_sim/{call}" for call in calls}


def _as_json(info: SimulatorInfo) -> str:
    shown = {
        "broker": info.broker,
        "url": info.url,
        "control_url": info.control_url,
        "base_urls": info.base_urls,
        "credentials": info.credentials,
        "control": _control(info),
    }
    return json.dumps(shown)


def _as_text(info: SimulatorInfo) -> str:
    account = f"{info.broker}-sim"
    urls = "".join(f"\n        {name}: {url}" for name, url in info.base_urls.items())
    sealed = json.dumps(info.credentials)
    return f"""{info.title} simulator on {info.url}

In brokergate.yaml, under accounts:
    - id: {account}
      broker: {info.broker}
      market_hours: ignore
      base_urls:{urls}

Its credentials:
    echo '{sealed}' | brokergate vault set {account} --stdin

What it does and did (also on {info.control_url}, even while it refuses connections):
    curl {info.url}/_sim/otp        the one-time password that the phone would show
    curl {info.url}/_sim/ledger     every order the exchange accepted
    curl -d '{{"call": "place", "action": "accept_then_reset"}}' {info.url}/_sim/faults

Ctrl-C stops it."""

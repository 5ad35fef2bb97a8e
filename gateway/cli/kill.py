"""`brokergate kill`: throw the kill switch, look at it, release it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import Api, ask, problem_words
from gateway.cli.configuration import data_dir_of
from gateway.cli.failure import Failure
from gateway.cli.options import Target, json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_FILE = "KILL"
_LEVELS = ("REDUCE_ONLY", "HALT_NEW", "CANCEL_ALL", "SQUARE_OFF")
_SCOPES = ("global", "broker", "account", "strategy", "key")
_CONFIRMATION = "RELEASE"
_TIMEOUT_S = 15.0
_BY_HAND = "by hand"
_LEAST_REASON, _MOST_REASON = 3, 500


@click.group("kill")
def command() -> None:
    """Stop orders: at once, for everything or for one account, and until released.

    \b
    Examples:
      brokergate kill engage --reason "runaway script"
      brokergate kill engage --level CANCEL_ALL --scope account --target fyers-main
      brokergate kill status
      brokergate kill release --reason "script mended"
    """


@command.command("engage", short_help="Stop new orders now; with --level also cancel or close.")
@click.option(
    "--level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="HALT_NEW",
    show_default=True,
    help="How far.",
)
@click.option("--scope", type=click.Choice(_SCOPES), default="global", show_default=True)
@click.option("--target", help="Which broker, account, strategy or key id; not for global.")
@click.option("--reason", default=_BY_HAND, show_default=True, help="Why; kept in the audit log.")
@target_options
@json_option
def engage(
    level: str,
    scope: str,
    target: str | None,
    reason: str,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Stop new orders now; CANCEL_ALL also cancels, SQUARE_OFF also closes positions.

    When no gateway answers, the file KILL is written into its data directory: a gateway there
    sends nothing new while that exists, and does so too when it starts later.

    \b
    Examples:
      brokergate kill engage
      brokergate kill engage --level SQUARE_OFF --scope broker --target fyers
    """
    _check_target(scope, target)
    # Stopping is never refused for its words: a script may have none, or too many.
    reason = reason.strip()[:_MOST_REASON] or _BY_HAND
    where = target_of(config, url, key_file)
    level = level.upper()
    body = {"scope": scope, "level": level, "reason": reason, "target": target}
    try:
        with connected(where, only_data_dir=True) as api:
            reply = api.call("POST", "/v1/kill-switch/engage", body, timeout_s=_TIMEOUT_S)
    except Failure as failure:
        _write_file(where, level, scope, reason, failure.format_message(), as_json)
        return
    if reply.status >= 500 or not isinstance(reply.body, dict):
        _write_file(where, level, scope, reason, problem_words(reply), as_json)
        return
    if reply.status >= 400:
        raise Failure(problem_words(reply))
    if as_json:
        print_json(reply.body)
    else:
        _print_engaged(reply.body)


@command.command("status")
@target_options
@json_option
def status(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """Show what is engaged and how far its cancels are. Also while the gateway is stopped.

    \b
    Example:
      brokergate kill status --json
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/kill-switch")
    if as_json:
        print_json(found)
    else:
        _print_state(found)


@command.command("release")
@click.option("--scope", type=click.Choice(_SCOPES), default="global", show_default=True)
@click.option("--target", help="Which broker, account, strategy or key id; not for global.")
@click.option("--reason", required=True, help="Why it is safe again; kept in the audit log.")
@click.option("--confirm", help=f"The word {_CONFIRMATION}; asked for when left out.")
@target_options
@json_option
def release(
    scope: str,
    target: str | None,
    reason: str,
    confirm: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Let orders through again. Refused while the file KILL exists: remove that first.

    \b
    Example:
      brokergate kill release --scope account --target fyers-main --reason "checked by hand"
    """
    _check_target(scope, target)
    if not _LEAST_REASON <= len(reason.strip()) <= _MOST_REASON:
        raise click.UsageError(f"--reason: {_LEAST_REASON} to {_MOST_REASON} characters")
    word = confirm or click.prompt(f"Type {_CONFIRMATION} to let orders through again", err=True)
    body = {"scope": scope, "target": target, "reason": reason, "confirm": word}
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = _asked(api, body)
    if as_json:
        print_json(found)
    else:
        _print_state(found)


def _asked(api: Api, body: dict[str, Any]) -> Any:
    return ask(api, "POST", "/v1/kill-switch/release", body, timeout_s=_TIMEOUT_S)


def _check_target(scope: str, target: str | None) -> None:
    if (scope == "global") is not (target is None):
        raise click.UsageError("--target goes with every --scope but global")


def _write_file(
    where: Target, level: str, scope: str, reason: str, why: str, as_json: bool
) -> None:
    """Fall back to the KILL file. Raises `Failure` for a remote gateway, which has no such file."""
    if where.url:
        raise Failure(
            f"{why}; nothing was engaged. On that machine, create the file {_FILE} in the data"
            " directory, or send the process SIGUSR1"
        )
    data_dir = data_dir_of(where.config)
    path = data_dir / _FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_durably(path, f"{reason} (brokergate kill engage --level {level} --scope {scope})\n")
    except OSError as error:
        raise Failure(f"{why}; and {path} cannot be written: {error.strerror}") from error
    enough = level in ("REDUCE_ONLY", "HALT_NEW")
    if as_json:
        print_json({"kill_file": str(path), "level": "HALT_NEW", "scope": "global", "why": why})
    else:
        click.echo(f"No gateway engaged it ({why}).")
        click.echo(f"Wrote {path}: nothing new is sent from that data directory while it exists.")
    if not enough:
        raise Failure(f"the file only halts new orders; {level} needs a gateway that answers")


def _write_durably(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode())
        os.fsync(fd)
    finally:
        os.close(fd)


def _print_engaged(answer: dict[str, Any]) -> None:
    click.echo(f"{answer['level']} is in force for {_place(answer)} since {answer['blocked_at']}")
    if not answer["persisted"]:
        click.echo("The journal cannot be written: it is held in memory and the emergency log.")
    for row in answer["on_the_wire"]:
        click.echo(f"Already on the wire: {row['write']} {row['leg_id']} at {row['account']}")
    _print_progress(answer)


def _print_state(found: dict[str, Any]) -> None:
    rows = [
        [
            switch["level"],
            switch["scope"],
            switch["target"],
            switch["engaged_at"],
            switch["engaged_by"] or switch["source"],
            switch["reason"],
        ]
        for switch in found["switches"]
    ]
    heads = ("level", "scope", "target", "since", "by", "reason")
    print_columns(heads, rows, "Nothing is engaged.")
    for switch in found["switches"]:
        _print_progress(switch)


def _print_progress(switch: dict[str, Any]) -> None:
    cancels, squares = switch["cancels"], switch["square_off"]
    if cancels:
        rest = "" if cancels["done"] else "; still at it, see: brokergate kill status"
        click.echo(f"Cancels confirmed: {cancels['confirmed']} of {cancels['total']}{rest}")
        for why in cancels["problems"].values():
            click.echo(f"In the way: {why}")
    for row in switch["unresolved"]:
        click.echo(f"Unresolved: {row['leg_id']} {row['instrument']} at {row['account']}")
    if squares:
        for row in squares["orders"]:
            filled = f"{row['filled_quantity']}/{row['quantity']}"
            words = f"{row['side']} {filled} {row['instrument']} {row['product']} {row['price']}"
            click.echo(f"Closing: {words} at {row['account']}: {row['state']}")
        for row in squares["skipped"]:
            what = row["instrument"] or "positions"
            click.echo(f"Left alone: {what} at {row['account']}: {row['why']}")


def _place(switch: dict[str, Any]) -> str:
    if switch["target"] is None:
        return str(switch["scope"])
    return f"{switch['scope']} {switch['target']}"

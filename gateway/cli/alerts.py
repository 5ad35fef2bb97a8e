"""`brokergate alerts`: who is told of troubles; secrets and a test."""

from __future__ import annotations

import sys
from urllib.parse import quote

import click

from gateway.cli.client import ask
from gateway.cli.failure import Failure
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_TEST_TIMEOUT_S = 90.0


@click.group("alerts")
def command() -> None:
    """Webhooks and e-mail that tell of troubles: their state, their secrets, a test.

    \b
    Example:
      brokergate alerts test
    """


@command.command("list")
@target_options
@json_option
def list_(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """List the receivers and whether alerts get through to them.

    \b
    Example:
      brokergate alerts list
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/alerts")
    if as_json:
        print_json(found)
        return
    fields = ("name", "kind", "address", "has_secret", "waiting", "delivered", "last_error")
    for row in found["receivers"]:
        row["has_secret"] = "ready" if row["has_secret"] else "missing"
    rows = [[row[field] for field in fields] for row in found["receivers"]]
    empty = "Nobody is told. Name receivers under `alerts` in the configuration."
    print_columns(
        ("name", "kind", "address", "secret", "waiting", "delivered", "last error"), rows, empty
    )


@command.command("test")
@click.argument("receiver", required=False)
@target_options
@json_option
def test(
    receiver: str | None, config: str | None, url: str | None, key_file: str | None, as_json: bool
) -> None:
    """Send a test alert to RECEIVER, or to every one. Exit status 1 when one was not reached.

    \b
    Example:
      brokergate alerts test phone
    """
    with connected(target_of(config, url, key_file)) as api:
        body = {"receiver": receiver}
        told = ask(api, "POST", "/v1/alerts/test", body, timeout_s=_TEST_TIMEOUT_S)
    if as_json:
        print_json(told)
    else:
        for row in told["results"]:
            click.echo(f"{row['receiver']}: {'delivered' if row['ok'] else row['error']}")
    if not told["ok"]:
        raise click.exceptions.Exit(1)


@command.command("secret")
@click.argument("receiver")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the secret instead of making one.")
@target_options
@json_option
def secret(
    receiver: str,
    from_stdin: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Make a webhook's signing secret, seal it and show it, this once.

    A mail account's password is read with --stdin, or asked for.

    \b
    Examples:
      brokergate alerts secret phone
      pass show mail | brokergate alerts secret owner --stdin
    """
    with connected(target_of(config, url, key_file), offline=True, makes_store=True) as api:
        receivers = ask(api, "GET", "/v1/alerts")["receivers"]
        kinds = {row["name"]: row["kind"] for row in receivers}
        given = _given(from_stdin, kinds.get(receiver))
        path = f"/v1/alerts/{quote(receiver, safe='')}/secret"
        made = ask(api, "PUT", path, {"secret": given})
    if as_json:
        print_json(made)
    elif made["secret"]:
        click.echo(made["secret"])
        click.echo("This is shown once. The receiver checks signatures with it.", err=True)
    else:
        click.echo(f"Sealed the secret of {receiver}.")


def _given(from_stdin: bool, kind: str | None) -> str | None:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise Failure("--stdin: there was no secret in the first line")
        return text
    if kind == "email":
        if not sys.stdin.isatty():
            raise Failure("there is no terminal to ask at; pipe the password with --stdin")
        return str(click.prompt("Password of the mail account", hide_input=True))
    return None

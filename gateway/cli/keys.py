"""`brokergate keys`: API keys, on a running gateway or a stopped one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

_SCOPES = ("read", "trade", "login", "operate", "admin")


@click.group("keys")
def command() -> None:
    """API keys: what scripts and the console show to be let in.

    \b
    Example:
      brokergate keys create --name momentum --scope trade --account fyers-main
    """


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Read `90d` or a time with offset."""
    if value is None:
        return None
    days = re.fullmatch(r"([1-9]\d{0,3})d", value)
    if days:
        return (datetime.now(UTC) + timedelta(days=int(days[1]))).isoformat()
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter(f"{value!r}: write 90d, or as in 2026-12-31T00:00:00+05:30")
    return at.isoformat()


@command.command("create")
@click.option("--name", required=True, help="The client; idempotency keys belong to this name.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(_SCOPES),
    help="What it may do. May be given several times.",
)
@click.option("--account", "accounts", multiple=True, help="Only these accounts.  [default: all]")
@click.option(
    "--expires",
    callback=_expiry,
    metavar="WHEN",
    help="90d, or a time with offset.  [default: never]",
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="NETWORK",
    help="Only from this address or network, e.g. 10.0.0.0/24.  [default: anywhere]",
)
@target_options
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    accounts: tuple[str, ...],
    sources: tuple[str, ...],
    expires: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Make an API key and show it, this once.

    \b
    read     look at everything            login    sessions and one-time passwords
    trade    place, modify, cancel, read   operate  all of these, and run the gateway
                                           admin    everything, keys included
    \b
    Example:
      brokergate keys create --name momentum --scope trade --expires 90d
    """
    wanted = {
        "name": name,
        "scopes": list(dict.fromkeys(scopes)),
        "accounts": list(dict.fromkeys(accounts)) or None,
        "expires_at": expires,
        "source_addresses": list(dict.fromkeys(sources)) or None,
    }
    with connected(target_of(config, url, key_file), offline=True, makes_store=True) as api:
        made = ask(api, "POST", "/v1/keys", wanted)
    if as_json:
        print_json({field: made[field] for field in ("id", "name", "scopes", "key")})
        return
    click.echo(made["key"])
    click.echo("This is shown once. Keep it where only the script can read it.", err=True)


@command.command("list")
@target_options
@json_option
def list_(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """List the keys in use, never their secrets.

    \b
    Example:
      brokergate keys list
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/keys")
    if as_json:
        print_json(found)
        return
    fields = ("id", "name", "scopes", "accounts", "last_used_at", "expires_at")
    rows = [[key[field] for field in fields] for key in found["keys"]]
    empty = "No API keys. Make one: brokergate keys create --name N --scope trade"
    print_columns(("id", "name", "scopes", "accounts", "last used", "expires"), rows, empty)


def _grace(_: click.Context, __: click.Parameter, value: str) -> int:
    """Read `24h`, `30m`, `7d` or `0` as seconds."""
    found = re.fullmatch(r"(0)|([1-9]\d{0,4})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r}: write 30m, 24h, 7d, or 0 for at once")
    if found[1]:
        return 0
    return int(found[2]) * {"m": 60, "h": 3600, "d": 86400}[found[3]]


@command.command("rotate")
@click.argument("key_id")
@click.option(
    "--grace",
    default="24h",
    show_default=True,
    callback=_grace,
    metavar="TIME",
    help="How long the old key still works: 30m, 24h, 7d; 0 revokes it at once.",
)
@click.option(
    "--expires", callback=_expiry, metavar="WHEN", help="90d, or a time.  [default: as the old]"
)
@target_options
@json_option
def rotate(
    key_id: str,
    grace: int,
    expires: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Make a new secret for the same client and show it, this once.

    Scopes, accounts, addresses and the client's idempotency keys stay.

    \b
    Example:
      brokergate keys rotate 3mK9xQ2bTz --grace 24h
    """
    _check_id(key_id)
    wanted = {"grace_seconds": grace, "expires_at": expires}
    with connected(target_of(config, url, key_file), offline=True) as api:
        made = ask(api, "POST", f"/v1/keys/{key_id}/rotate", wanted)
    if as_json:
        print_json({field: made[field] for field in ("id", "name", "scopes", "key")})
        return
    click.echo(made["key"])
    old = f"{key_id} works for {grace} more seconds." if grace else f"{key_id} is revoked."
    click.echo(f"This is shown once. {old}", err=True)


def _check_id(key_id: str) -> None:
    if not key_id.isalnum():
        raise click.UsageError(
            "KEY_ID is the middle part of a key, as `brokergate keys list` shows"
        )


@command.command("revoke")
@click.argument("key_id")
@target_options
@json_option
def revoke(
    key_id: str, config: str | None, url: str | None, key_file: str | None, as_json: bool
) -> None:
    """Revoke a key by its id (the middle part of the key). It stops working at once.

    \b
    Example:
      brokergate keys revoke 3mK9xQ2bTz
    """
    _check_id(key_id)
    with connected(target_of(config, url, key_file), offline=True) as api:
        ask(api, "DELETE", f"/v1/keys/{key_id}")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"Revoked {key_id}.")

"""`brokergate vault`: broker credentials, sealed in the data directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import msgspec

from gateway.cli.client import Api, ask
from gateway.cli.failure import Failure
from gateway.cli.options import config_option, json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected

if TYPE_CHECKING:
    from adapters.sdk.interface import CredentialField
    from gateway.secrets import MasterKey


@click.group("vault")
def command() -> None:
    """Broker credentials: sealed under the master key, never in the configuration.

    \b
    Example:
      brokergate vault set fyers-main
    """


@command.command("set", short_help="Ask for an account's broker credentials and seal them.")
@click.argument("account")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read one JSON object of fields instead.")
@target_options
@json_option
def set_(
    account: str,
    from_stdin: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Ask for an account's broker credentials and seal them; they replace those set before.

    \b
    Examples:
      brokergate vault set fyers-main
      pass show fyers | brokergate vault set fyers-main --stdin
    """
    given = _read_object() if from_stdin else None
    with connected(target_of(config, url, key_file), offline=True, makes_store=True) as api:
        broker = _broker_of(api, account)
        fields = given if given is not None else _ask_for(account, broker)
        ask(api, "PUT", f"/v1/accounts/{quote(account)}/credentials", {"fields": fields})
    if as_json:
        print_json({"account": account, "broker": broker, "fields": sorted(fields)})
    else:
        click.echo(f"Sealed {', '.join(sorted(fields))} of {account}.")
        click.echo(f"Next: brokergate login {account} (while `brokergate serve` runs)", err=True)


@command.command("list", short_help="List which credentials are sealed, never a value.")
@target_options
@json_option
def list_(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """List which credential fields are sealed for which account, never a value.

    \b
    Example:
      brokergate vault list
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/vault")
    if as_json:
        print_json(found)
        return
    rows = [[row["account"], row["fields"], row["updated_at"]] for row in found["credentials"]]
    empty = "The vault is empty. Fill it: brokergate vault set ACCOUNT"
    print_columns(("account", "fields", "sealed"), rows, empty)


@command.command("rotate")
@click.argument("new_key_file", type=click.Path(path_type=Path), required=False)
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase instead of a key file.")
@config_option
@json_option
def rotate(new_key_file: Path | None, passphrase: bool, config: str | None, as_json: bool) -> None:
    """Put the vault under a new master key, written to NEW_KEY_FILE. Stop the gateway first.

    Under a passphrase the gateway can be started by hand only: it asks, once.

    All or nothing: when it is interrupted, the old key or the new one opens the vault, and the
    same command goes on with the same file. Keep the old key for backups made under it.

    \b
    Example:
      brokergate vault rotate /etc/brokergate/master-2.key
    """
    if passphrase == (new_key_file is not None):
        raise click.UsageError("name a NEW_KEY_FILE, or give --passphrase")
    from gateway.cli.configuration import load_setup, master_key_of
    from gateway.cli.failure import told
    from gateway.secrets import Keyring, MasterKeyError, SealError
    from gateway.secrets.passphrase import key_from, new_stretching
    from gateway.store import DataDirLock, DataDirLocked
    from gateway.store.rotation import VaultMissing, rotate_vault, successor_key
    from gateway.store.schema import StoreError, StoreTooNew

    setup = load_setup(config)
    keyring = Keyring(master_key_of(setup))
    data_dir = setup.settings.data_dir
    wrong = (
        MasterKeyError,
        DataDirLocked,
        SealError,
        StoreTooNew,
        StoreError,
        VaultMissing,
        OSError,
    )
    stretching = new_stretching() if passphrase else None

    def new_key() -> MasterKey:
        if stretching is None:
            assert new_key_file is not None  # noqa: S101
            return successor_key(new_key_file)
        asked = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
        return key_from(str(asked), stretching)

    with told(*wrong), DataDirLock(data_dir):
        count = rotate_vault(data_dir / "journal.db", keyring, new_key, stretching)
    if as_json:
        key_file = str(new_key_file) if new_key_file else None
        print_json({"data_keys": count, "key_file": key_file})
        return
    if new_key_file is None:
        click.echo(f"The vault ({count} data keys) opens with the passphrase only.")
        click.echo("Next: take the old key away; keep it for old backups", err=True)
        return
    click.echo(f"The vault ({count} data keys) opens with {new_key_file} only.")
    click.echo(
        f"Next: set BROKERGATE_MASTER_KEY_FILE={new_key_file}, or put the file in the place of"
        " the old one; keep the old one for old backups",
        err=True,
    )


def _broker_of(api: Api, account: str) -> str:
    accounts = ask(api, "GET", "/v1/accounts")["accounts"]
    for row in accounts:
        if row["account"] == account:
            return str(row["broker"])
    known = ", ".join(row["account"] for row in accounts) or "none"
    raise Failure(f"there is no account {account!r}; configured: {known}")


def _read_object() -> dict[str, str]:
    # Nothing of what was read is ever quoted: it is secret.
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Failure(
            '--stdin wants one JSON object of texts, as in {"app_id": "...", "secret_key": "..."}'
        ) from None


def _ask_for(account: str, broker: str) -> dict[str, str]:
    from gateway.brokers import load_plugins

    plugin = load_plugins().get(broker)
    if plugin is None:
        raise Failure(f"no adapter for {broker} is installed here; use --stdin")
    if not plugin.capabilities.credentials:
        raise Failure(
            f"{plugin.title} needs no credentials; log in while the gateway runs:"
            f" brokergate login {account}"
        )
    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask at; pipe one JSON object with --stdin")
    click.echo(f"{plugin.title} credentials of {account}; Enter leaves an optional one out.")
    answers = {field.name: _prompt(field) for field in plugin.capabilities.credentials}
    return {name: value for name, value in answers.items() if value}


def _prompt(field: CredentialField) -> str:
    note = field.help if field.required else f"{field.help}; optional"
    options: dict[str, Any] = {"hide_input": field.secret}
    if not field.required:
        options |= {"default": "", "show_default": False}
    return str(click.prompt(f"  {field.name} ({note})", **options)).strip()

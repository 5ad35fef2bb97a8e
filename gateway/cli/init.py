"""`brokergate init`: everything a new gateway needs, in one folder."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.client import ask
from gateway.cli.configuration import CONFIG_FILE, KEY_FILE, Setup, load_setup
from gateway.cli.failure import Failure, told
from gateway.cli.init_files import config_text, unit_text
from gateway.cli.options import json_option
from gateway.cli.output import print_json
from gateway.cli.program import own_command

if TYPE_CHECKING:
    from gateway.secrets import MasterKey

UNIT_FILE = "brokergate.service"


@click.command("init")
@click.option(
    "--dir",
    "folder",
    default=".",
    type=click.Path(path_type=Path),
    help="Where; made if it does not exist.  [default: here]",
)
@click.option(
    "--broker", "brokers", multiple=True, help="Put an account of this broker in (repeatable)."
)
@json_option
def command(folder: Path, brokers: tuple[str, ...], as_json: bool) -> None:
    """Make brokergate.yaml, master.key (mode 0600), data/, a systemd unit, a first API key.

    Overwrites nothing. The API key is shown once.

    \b
    Example:
      brokergate init --dir ~/brokergate --broker fyers --broker mstock
    """
    folder = folder.expanduser().absolute()
    _refuse_to_overwrite(folder)
    _check_brokers(brokers)
    with told(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / CONFIG_FILE).write_text(config_text(brokers), encoding="utf-8")
    try:
        setup = load_setup(str(folder / CONFIG_FILE))
    except Failure:
        # The file is right, so the environment is not: leave nothing behind to stumble over.
        (folder / CONFIG_FILE).unlink()
        raise
    key_source = _master_key(folder)
    with told(OSError):
        (folder / UNIT_FILE).write_text(_unit(folder), encoding="utf-8")
    made = _first_api_key(setup)
    result = {
        "config": str(folder / CONFIG_FILE),
        "key_file": str(folder / KEY_FILE) if (folder / KEY_FILE).exists() else None,
        "data_dir": str(setup.settings.data_dir),
        "unit": str(folder / UNIT_FILE),
        "api_key": {field: made[field] for field in ("id", "name", "scopes", "key")},
    }
    if as_json:
        print_json(result)
    else:
        click.echo(_told(result, key_source, folder))


def _refuse_to_overwrite(folder: Path) -> None:
    ours = (CONFIG_FILE, KEY_FILE, UNIT_FILE, "data/journal.db")
    there = [name for name in ours if (folder / name).exists()]
    if there:
        raise Failure(
            f"{folder} already has {', '.join(there)}; nothing was changed."
            " Choose another --dir, or move them away"
        )


def _check_brokers(brokers: tuple[str, ...]) -> None:
    from gateway.brokers import load_plugins

    known = list(load_plugins())
    unknown = [broker for broker in brokers if broker not in known]
    if unknown:
        raise click.UsageError(f"--broker {unknown[0]}: use one of {', '.join(known)}")


def _master_key(folder: Path) -> str:
    """Use the key that the environment names, or make one; say where it is."""
    from gateway.secrets import (
        MasterKeyError,
        generate_master_key,
        load_master_key,
        write_key_file,
    )
    from gateway.secrets.master_key import FILE_VARIABLE, KEY_VARIABLE

    if any(os.environ.get(name) for name in (FILE_VARIABLE, KEY_VARIABLE)):
        with told(MasterKeyError):
            return load_master_key().source
    key: MasterKey = generate_master_key()
    with told(OSError):
        write_key_file(folder / KEY_FILE, key)
    return str(folder / KEY_FILE)


def _first_api_key(setup: Setup) -> Any:
    from gateway.cli.offline import offline_api

    setup.settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with offline_api(setup) as api:
        return ask(api, "POST", "/v1/keys", {"name": "admin", "scopes": ["admin"]})


def _unit(folder: Path) -> str:
    program = shutil.which("brokergate") or " ".join(own_command())
    key = folder / KEY_FILE
    return unit_text(program, getpass.getuser(), folder, key if key.exists() else None)


def _told(result: dict[str, Any], key_source: str, folder: Path) -> str:
    config = result["config"]
    here = "" if folder == Path.cwd() else f" --config {config}"
    made = {
        config: "the configuration: put your accounts in",
        key_source: "the master key: back it up, away from the data",
        result["data_dir"]: "journal and vault (mode 0700)",
        result["unit"]: "a systemd unit",
    }
    width = max(map(len, made))
    lines = "\n".join(f"  {path.ljust(width)}  {words}" for path, words in made.items())
    return f"""Made:
{lines}

First API key (scope admin), shown this once:
  {result["api_key"]["key"]}

Next:
  1. Edit {CONFIG_FILE}: one entry per account.
  2. brokergate vault set ACCOUNT{here}
  3. brokergate serve{here}
  4. brokergate login --all{here}"""

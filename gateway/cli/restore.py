"""`brokergate restore`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configuration import load_setup
from gateway.cli.failure import told
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@json_option
def command(file: Path, config: str | None, as_json: bool) -> None:
    """Unpack the backup FILE into a data_dir that holds no journal. Nothing is overwritten.

    Each account then stands at HALT_NEW until its order book was read: orders placed after the
    backup are not in the journal.

    \b
    Example:
      brokergate restore /var/backups/brokergate-friday.tar
    """
    from gateway.backup import BackupError, restore_backup
    from gateway.store import DataDirLock, DataDirLocked
    from gateway.store.schema import StoreError

    settings = load_setup(config).settings
    data_dir = settings.data_dir
    accounts = [account.id for account in settings.accounts]
    with told(BackupError, DataDirLocked, StoreError, OSError), DataDirLock(data_dir):
        made = restore_backup(file, data_dir, accounts)
    if as_json:
        print_json({"data_dir": str(data_dir), "manifest": made})
    else:
        click.echo(f"Restored {data_dir} as it stood at {made.made_at.isoformat()}.")
        click.echo(
            "Next: brokergate serve, login --all, reconcile. Stop the programs that place orders"
            " until you have compared: a key used after the backup would be placed again",
            err=True,
        )

"""`brokergate backup`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.configuration import load_setup
from gateway.cli.failure import told
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@json_option
def command(file: Path, config: str | None, as_json: bool) -> None:
    """Write journal, vault, audit log and practice books to one new FILE, gateway running or not.

    Secrets in it stay sealed: to use it, the master key is needed, which is not in it.

    \b
    Example:
      brokergate backup /var/backups/brokergate-friday.tar
    """
    from gateway.backup import BackupError, make_backup
    from gateway.store.schema import StoreError

    with told(BackupError, StoreError, OSError):
        made = make_backup(load_setup(config).settings.data_dir, file)
    if as_json:
        print_json({"file": str(file), "manifest": made})
    else:
        count = "1 file" if len(made.files) == 1 else f"{len(made.files)} files"
        click.echo(f"Wrote {file}: {count}, audit log up to row {made.audit_seq}.")
        click.echo("Keep the master key elsewhere; without it this file opens nothing.", err=True)

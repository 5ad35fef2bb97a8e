"""`brokergate version`."""

from __future__ import annotations

import json
import platform

import click

from gateway.cli.options import json_option
from gateway.version import program_version


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """Print the version.

    \b
    Example:
      brokergate version --json
    """
    found = {"version": program_version(), "python": platform.python_version()}
    click.echo(json.dumps(found) if as_json else f"brokergate {found['version']}")

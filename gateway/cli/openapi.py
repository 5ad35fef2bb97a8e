"""`brokergate openapi`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from gateway.cli.output import print_json


@click.command("openapi")
def command() -> None:
    """Print the API's OpenAPI 3.1 document. Needs no configuration and no running gateway.

    \b
    Example:
      brokergate openapi > openapi.json
    """
    from gateway.api.openapi import openapi_document
    from gateway.config import Settings
    from gateway.runtime import Gateway
    from gateway.secrets import Keyring, generate_master_key
    from gateway.version import program_version

    # A gateway without accounts on an empty directory knows the same routes as any other.
    with tempfile.TemporaryDirectory(prefix="brokergate-openapi-") as folder:
        gateway = Gateway(Settings(data_dir=Path(folder)), {}, Keyring(generate_master_key()))
        document = openapi_document(gateway.routes(), program_version())
        gateway.store.close()
    print_json(document)

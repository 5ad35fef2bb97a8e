"""Options that several commands share, and where the command then acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])

_META = "brokergate.tls"
_VARIABLES = {
    # The Python client's name for it comes second.
    "--ca": ["BROKERGATE_CA", "BROKERGATE_CA_FILE"],
    "--client-cert": ["BROKERGATE_CLIENT_CERT"],
    "--client-key": ["BROKERGATE_CLIENT_KEY"],
}
# As the console had them first.
_OLD_NAMES = {"--client-cert": ("--cert",), "--client-key": ("--cert-key",)}


@dataclass(frozen=True)
class ClientTls:
    """The files by which a gateway elsewhere is trusted, and this client proven to it.

    Without `ca` the system's authorities are trusted.
    """

    ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


@dataclass(frozen=True)
class Target:
    """The gateway that a command acts on: a remote one, or the one of a configuration."""

    config: str | None = None
    url: str | None = None
    key_file: str | None = None
    tls: ClientTls = ClientTls()


def _config_of(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    before_command: str | None = ctx.find_root().params.get("config")
    if before_command and ctx.get_parameter_source("config") is not ParameterSource.COMMANDLINE:
        return before_command
    return value


def config_option(command: F) -> F:
    """Add `--config`; without it BROKERGATE_CONFIG, then ./brokergate.yaml."""
    return click.option(
        "--config",
        envvar="BROKERGATE_CONFIG",
        type=click.Path(),
        callback=_config_of,
        help="Configuration file  [default: ./brokergate.yaml]",
    )(command)


def json_option(command: F) -> F:
    """Add `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def target_options(command: F) -> F:
    """Add `--config`, `--url`, `--key-file` and the TLS files; read them with `target_of`.

    The TLS files are kept in the context: every command has them, and none looks at them itself.
    """
    for name, words in (
        ("--client-key", "Its private key, with --url."),
        ("--client-cert", "Client certificate (PEM) for a gateway that asks for one, with --url."),
        ("--ca", "Certificates (PEM) to trust instead of the system's, with --url."),
    ):
        command = click.option(
            name,
            *(_OLD_NAMES.get(name, ())),
            name[2:].replace("-", "_"),
            envvar=_VARIABLES[name],
            type=click.Path(),
            expose_value=False,
            callback=_keep,
            help=words,
        )(command)
    command = click.option(
        "--key-file",
        envvar="BROKERGATE_KEY_FILE",
        type=click.Path(),
        help="File that holds an API key, with --url.",
    )(command)
    command = click.option(
        "--url", envvar="BROKERGATE_URL", help="A gateway elsewhere, e.g. https://gate.lan:8080"
    )(command)
    return config_option(command)


def target_of(config: str | None, url: str | None, key_file: str | None) -> Target:
    """Check the options of `target_options` against each other."""
    if url and not key_file:
        raise click.UsageError("--url needs --key-file: a file that holds an API key")
    if key_file and not url:
        raise click.UsageError("--key-file goes with --url; this machine's gateway needs no key")
    context = click.get_current_context()
    kept: dict[str, str | None] = context.meta.get(_META, {})
    for name, value in kept.items():
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if value and given and not url:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} goes with --url; this machine's gateway needs none")
    tls = ClientTls(**kept)
    if url and bool(tls.client_cert) != bool(tls.client_key):
        raise click.UsageError("--client-cert and --client-key go together: name both files")
    return Target(config, url, key_file, tls if url else ClientTls())


def _keep(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    ctx.meta.setdefault(_META, {})[parameter.name] = value

"""Options that several commands share, and where the command then acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """The gateway that a command acts on: a remote one, or the one of a configuration."""

    config: str | None = None
    url: str | None = None
    key_file: str | None = None


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
    """Add `--config`, `--url` and `--key-file`; read them with `target_of`."""
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
    return Target(config, url, key_file)

"""`brokergate config`: checks the configuration file, has it reloaded, describes it to editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.client import ask
from gateway.cli.configuration import find_config
from gateway.cli.failure import told
from gateway.cli.options import config_option, json_option, target_of, target_options
from gateway.cli.output import print_json
from gateway.cli.target import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapters.sdk.interface import Capabilities
    from gateway.config import Server


_RELOAD_TIMEOUT_S = 60.0


class MistakeView(msgspec.Struct, kw_only=True):
    """`source`: the file, or an environment variable. `line` 0: nowhere in particular."""

    source: str
    line: int
    key: str
    problem: str
    fix: str


class AdviceView(msgspec.Struct, kw_only=True):
    key: str
    advice: str


class Checked(msgspec.Struct, kw_only=True):
    """`file` None: everything came from the environment. `advice`: what is usable, but no use."""

    ok: bool
    file: str | None
    accounts: list[str]
    mistakes: list[MistakeView]
    advice: list[AdviceView] = []


@click.group("config")
def command() -> None:
    """Check the configuration; have a running gateway reload it; print its JSON Schema.

    \b
    Example:
      brokergate config check
    """


@command.command("check", short_help="Say every mistake in the configuration, with line and fix.")
@config_option
@json_option
def check(config: str | None, as_json: bool) -> None:
    """Say every mistake in the configuration, each with its line and what to do, or OK.

    Settings from the environment are checked with it. Nothing is started or changed. Exit
    status 1 when there is a mistake.

    \b
    Example:
      brokergate config check --config /etc/brokergate/brokergate.yaml
    """
    from gateway.config import ConfigError, load_settings
    from gateway.config.advice import find_advice

    path = find_config(config)
    checked = Checked(ok=True, file=str(path) if path else None, accounts=[], mistakes=[])
    text = ""
    try:
        brokers = _brokers()
        settings = load_settings(path, brokers)
        checked.advice = [
            AdviceView(key=key, advice=words) for key, words in find_advice(settings, brokers)
        ]
        checked.accounts = [account.id for account in settings.accounts]
        checked.mistakes = list(_certificates(settings.server, checked.file or "the environment"))
        checked.ok = not checked.mistakes
        text = "\n".join(f"{each.key}: {each.problem}. {each.fix}" for each in checked.mistakes)
    except ConfigError as error:
        checked.ok, text = False, str(error)
        checked.mistakes = [
            MistakeView(
                source=each.source,
                line=each.line,
                key=each.key,
                problem=each.problem,
                fix=each.fix,
            )
            for each in error.mistakes
        ]
    if as_json:
        print_json(checked)
    elif checked.ok:
        accounts = ", ".join(checked.accounts) or "none yet"
        for each in checked.advice:
            click.echo(f"note: {each.key}: {each.advice}", err=True)
        click.echo(f"OK: {checked.file or 'the environment'}; accounts: {accounts}")
    else:
        click.echo(text)
    if not checked.ok:
        raise click.exceptions.Exit(1)


@command.command(
    "reload", short_help="Have the running gateway take accounts, groups, limits anew."
)
@target_options
@json_option
def reload(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """Have the running gateway take accounts, groups and limits from its file, all or none.

    What only a restart can change is named. SIGHUP does the same.

    \b
    Example:
      brokergate config reload
    """
    with connected(target_of(config, url, key_file)) as api:
        done = ask(api, "POST", "/v1/config/reload", timeout_s=_RELOAD_TIMEOUT_S)
    if as_json:
        print_json(done)
        return
    for word in ("added", "removed"):
        for account in done[word]:
            click.echo(f"{word}: {account}")
    for word in ("replaced", "updated"):
        for row in done[word]:
            again = "; log in again" if word == "replaced" else ""
            click.echo(f"{word}: {row['account']} ({', '.join(row['fields'])}){again}")
    for group in done["groups"]:
        click.echo(f"group: {group}")
    if done["risk_changed"]:
        click.echo("risk limits over all accounts: changed")
    if not done["changed"]:
        click.echo("Nothing to change.")
    if done["needs_restart"]:
        click.echo(f"After a restart only: {', '.join(done['needs_restart'])}", err=True)


def _certificates(server: Server, source: str) -> Iterator[MistakeView]:
    """What keeps the listener's certificates from being served, as `serve` would say it."""
    from gateway.serve import tls_findings

    if server.tls.cert is None:
        return
    for found in tls_findings(server):
        yield MistakeView(
            source=source, line=0, key=found.setting, problem=found.problem, fix=found.fix
        )


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors.

    \b
    Example:
      brokergate config schema > brokergate.schema.json
    """
    from gateway.config.schema import settings_schema

    print_json(settings_schema(_brokers()))


def _brokers() -> dict[str, Capabilities]:
    from gateway.brokers import load_plugins

    with told(RuntimeError):
        return {name: plugin.capabilities for name, plugin in load_plugins().items()}

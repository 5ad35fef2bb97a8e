"""`brokergate doctor`: looks at the set-up, changes nothing."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.configuration import Setup, load_setup, master_key_of
from gateway.cli.doctor_machine import disk_check, file_checks, network_checks
from gateway.cli.doctor_tls import Check, tls_checks
from gateway.cli.failure import Failure
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json

KEY_VARIABLE = "BROKERGATE_MASTER_KEY"
UNUSABLE = "data directory out of reach"

if TYPE_CHECKING:
    from collections.abc import Iterator


class AdapterHosts(msgspec.Struct, kw_only=True):
    """The hosts that a firewall must let through for one broker."""

    broker: str
    title: str
    hosts: dict[str, str]


class Findings(msgspec.Struct, kw_only=True):
    ok: bool
    checks: list[Check]
    adapters: list[AdapterHosts]


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Ask no broker's host for the time.")
@config_option
@json_option
def command(offline: bool, config: str | None, as_json: bool) -> None:
    """Check the whole set-up and say what to mend; exit status 1 when something is wrong.

    Configuration, file modes, master key, certificates, disk, clock, addresses, alert receivers,
    instrument masters. Brokers' hosts are asked for the time, without any credential.

    \b
    Example:
      brokergate doctor --json
    """
    checks = list(_checks(config, offline=offline))
    findings = Findings(
        ok=not any(check.ok is False for check in checks), checks=checks, adapters=_adapters()
    )
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if not findings.ok:
        raise click.exceptions.Exit(1)


def _print(findings: Findings) -> None:
    marks = {True: "ok  ", False: "BAD ", None: "note"}
    for check in findings.checks:
        click.echo(f"{marks[check.ok]}  {check.name}: {check.detail}")
        if check.fix:
            click.echo(f"      fix: {check.fix}")
    for adapter in findings.adapters:
        hosts = ", ".join(dict.fromkeys(adapter.hosts.values())) or "no host: nothing leaves"
        click.echo(f"note  adapter {adapter.broker}: {hosts}")
    bad = sum(check.ok is False for check in findings.checks)
    open_ = sum(check.ok is None and check.fix is not None for check in findings.checks)
    notes = f"; {open_} still to do: the notes with a fix" if open_ else ""
    click.echo(f"{bad} to mend: the lines with BAD" if bad else f"Nothing is wrong{notes}.")


def _adapters() -> list[AdapterHosts]:
    from gateway.brokers import load_plugins

    return [
        AdapterHosts(broker=name, title=plugin.title, hosts=plugin.capabilities.hosts)
        for name, plugin in load_plugins().items()
    ]


def _checks(config: str | None, *, offline: bool) -> Iterator[Check]:
    try:
        setup = load_setup(config)
    except Failure as error:
        yield Check(name="configuration", ok=False, detail=error.message)
        return
    accounts = ", ".join(f"{each.id} ({each.broker})" for each in setup.settings.accounts)
    where = str(setup.path) if setup.path else "the environment"
    yield Check(
        name="configuration", ok=True, detail=f"{where}; accounts: {accounts or 'none yet'}"
    )
    data_dir = _data_dir(setup)
    yield data_dir
    if data_dir.ok is False and data_dir.name == UNUSABLE:
        return
    yield from file_checks(setup)
    yield disk_check(setup)
    yield from _running_and_key(setup)
    yield from tls_checks(setup.settings.server)
    yield from _credentials(setup)
    yield from _receivers(setup)
    yield _masters(setup)
    if not offline:
        yield from network_checks(setup)


def _data_dir(setup: Setup) -> Check:
    from gateway.cli.target import lock_holder

    data_dir = setup.settings.data_dir
    try:
        lock_holder(data_dir)
    except Failure as error:
        return Check(name=UNUSABLE, ok=False, detail=error.message)
    if not data_dir.is_dir():
        detail = f"{data_dir} does not exist yet; `brokergate serve` makes it"
        return Check(name="data directory", ok=None, detail=detail)
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    if mode & 0o077:
        return Check(
            name="data directory",
            ok=False,
            detail=f"{data_dir} has mode {mode:04o}: others can get at it",
            fix=f"chmod 700 {data_dir}",
        )
    return Check(name="data directory", ok=True, detail=f"{data_dir}, mode {mode:04o}")


def _running_and_key(setup: Setup) -> Iterator[Check]:
    from gateway.cli.target import lock_holder

    holder = lock_holder(setup.settings.data_dir)
    detail = f"running as process {holder}" if holder else "not running"
    yield Check(name="gateway", ok=True if holder else None, detail=detail)
    if holder:
        yield Check(name="master key", ok=True, detail="the running gateway has opened the vault")
        return
    try:
        key = master_key_of(setup)
        if (setup.settings.data_dir / "journal.db").exists():
            _open_vault(setup)
    except Failure as error:
        yield Check(name="master key", ok=False, detail=error.message)
    else:
        yield Check(name="master key", ok=True, detail=f"from {key.source}")
        if os.environ.get(KEY_VARIABLE):
            detail = (
                f"{KEY_VARIABLE} is in the environment, where children and crash reports see it"
            )
            fix = "use a systemd credential, or BROKERGATE_MASTER_KEY_FILE with mode 0600"
            yield Check(name="key source", ok=None, detail=detail, fix=fix)


def _credentials(setup: Setup) -> Iterator[Check]:
    """Find accounts that no login can be tried for."""
    from gateway.cli.client import ask
    from gateway.cli.options import Target
    from gateway.cli.target import connected

    try:
        with connected(Target(config=str(setup.path) if setup.path else None), offline=True) as api:
            found = ask(api, "GET", "/v1/vault")["credentials"]
    except Failure:
        # What is in the way has a finding of its own: the key, or that nothing was made yet.
        found = []
    sealed = {row["account"]: row["fields"] for row in found}
    for account in setup.settings.accounts:
        fields = setup.plugins[account.broker].capabilities.credentials
        lacking = [
            field.name
            for field in fields
            if field.required and field.name not in sealed.get(account.id, [])
        ]
        if lacking:
            detail = f"{account.id} has no {', '.join(lacking)} in the vault"
            fix = f"brokergate vault set {account.id}"
            yield Check(name="credentials", ok=None, detail=detail, fix=fix)
        elif fields:
            yield Check(name="credentials", ok=True, detail=f"{account.id}: sealed")


def _receivers(setup: Setup) -> Iterator[Check]:
    """Find alert receivers that nothing can be sent to for want of a secret."""
    alerts = setup.settings.alerts
    if not alerts.webhooks and not alerts.emails:
        fix = "name a webhook or a mailbox under `alerts`: docs/alerts.md"
        yield Check(name="alerts", ok=None, detail="nobody is told of trouble", fix=fix)
        return
    from gateway.cli.client import ask
    from gateway.cli.options import Target
    from gateway.cli.target import connected

    try:
        with connected(Target(config=str(setup.path) if setup.path else None), offline=True) as api:
            found = ask(api, "GET", "/v1/alerts")["receivers"]
    except Failure as error:
        yield Check(name="alerts", ok=None, detail=f"could not be looked at: {error.message}")
        return
    for row in found:
        if not row["has_secret"]:
            detail = f"{row['name']} has no secret, so nothing is sent to it"
            fix = f"brokergate alerts secret {row['name']}"
            yield Check(name="alerts", ok=False, detail=detail, fix=fix)
        elif row["last_error"]:
            detail = f"{row['name']}: {row['last_error']} ({row['waiting']} wait)"
            fix = f"mend it, then: brokergate alerts test {row['name']}"
            yield Check(name="alerts", ok=False, detail=detail, fix=fix)
        else:
            yield Check(name="alerts", ok=True, detail=f"{row['name']} at {row['address']}")


def _open_vault(setup: Setup) -> None:
    from gateway.cli.offline import offline_api

    with offline_api(setup):
        return


def _masters(setup: Setup) -> Check:
    import asyncio

    from gateway.instruments import is_stale
    from gateway.orders.times import now_us, rfc3339
    from gateway.runtime import INSTRUMENTS
    from gateway.store.instruments import InstrumentStore

    path = setup.settings.data_dir / INSTRUMENTS
    brokers = {account.broker for account in setup.settings.accounts}
    loaded = {}
    if path.exists():
        store = InstrumentStore(path)
        try:
            loaded = {info.broker: info for info in asyncio.run(store.info())}
        finally:
            store.close()
    at = setup.settings.instruments.refresh_at
    stale = {
        name for name, info in loaded.items() if is_stale(info.loaded_us, now_us(), at)
    } & brokers
    parts = [
        f"{name} {loaded[name].rows} rows of {rfc3339(loaded[name].loaded_us)}"
        f"{' (stale)' if name in stale else ''}"
        if name in loaded
        else f"{name} not loaded"
        for name in sorted(brokers)
    ]
    lacking = bool(stale) or not brokers <= loaded.keys()
    return Check(
        name="instrument masters",
        ok=None if lacking or not brokers else True,
        detail=", ".join(parts) or "no broker is configured",
        fix="log in, or run `brokergate instruments refresh`" if lacking else None,
    )

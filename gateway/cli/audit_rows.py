"""`brokergate audit tail` and `audit export`: rows to look at, and rows to keep."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gateway.cli.client import Api, HttpApi, ask, remote_api
from gateway.cli.configuration import load_setup
from gateway.cli.failure import Failure, told
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.target import connected, lock_holder

F = TypeVar("F", bound=Callable[..., Any])
_LOOK_S = 1.0
_PAGE = 500
_SILENT_S = 120.0
# What a line of `tail` shows of a row beside its kind, in this order.
_SHOWN = ("event", "from", "to", "scope", "target", "level", "name", "through", "reason", "text")


def _filters(command: F) -> F:
    for option in (
        click.option("--order-id", help="Only rows about this order."),
        click.option("--account", help="Only rows about this account."),
        click.option("--kind", help="order, leg, session, ...; several separated by commas."),
    ):
        command = option(command)
    return command


@click.command("tail")
@click.option("-n", "count", type=click.IntRange(0, 1000), default=20, help="How many rows.")
@click.option("-f", "--follow", is_flag=True, help="Go on as rows are written.")
@_filters
@target_options
@json_option
def tail(
    count: int,
    follow: bool,
    kind: str | None,
    account: str | None,
    order_id: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Print the newest rows; with --json as one object a line.

    \b
    Examples:
      brokergate audit tail -f
      brokergate audit tail -n 50 --kind session,kill --json
    """
    wanted = {"kind": kind, "account": account, "order_id": order_id}
    query = {name: value for name, value in wanted.items() if value}
    with connected(target_of(config, url, key_file), offline=not follow) as api:
        after = _print_newest(api, query, count, as_json)
        while follow:
            time.sleep(_LOOK_S)
            after = _print_after(api, query, after, as_json)


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--format", "spelling", type=click.Choice(["jsonl", "csv"]), default="jsonl")
@click.option("--after", type=click.IntRange(0), default=0, help="Only rows after this number.")
@click.option("--from", "since", help="Only rows from then on: 2026-11-01, or with a time.")
@click.option("--to", "until", help="Only rows before then.")
@_filters
@target_options
def export(
    file: Path | None,
    spelling: str,
    after: int,
    since: str | None,
    until: str | None,
    kind: str | None,
    account: str | None,
    order_id: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
) -> None:
    """Write the log to a new FILE, or to the standard output.

    The export holds the signed checkpoints and the public key: `audit verify --file` checks it
    with nothing else. Rows that a filter leaves out stay in it as digests, so that it still can
    be checked.

    \b
    Examples:
      brokergate audit export year.jsonl
      brokergate audit export --kind order,leg --from 2026-11-01 --format csv november.csv
      brokergate audit export --url https://gate.lan:8080 --key-file admin.key year.jsonl
    """
    target = target_of(config, url, key_file)
    since_us, until_us = _time_us("--from", since), _time_us("--to", until)
    if target.url and target.key_file:
        from gateway.orders.times import rfc3339

        api = remote_api(target.url, target.key_file, target.tls)
        asked = {
            "format": spelling,
            "after": str(after) if after else None,
            "from": rfc3339(since_us),
            "to": rfc3339(until_us),
            "kind": kind,
            "account": account,
            "order_id": order_id,
        }
        _written(file, _lines_of(api, {name: text for name, text in asked.items() if text}))
        return
    from gateway.store.audit.export import Damaged, Selection
    from gateway.store.audit.file import LogFile, NoLog
    from gateway.store.audit.records import ExportFormat
    from gateway.store.schema import StoreError

    selection = Selection(
        after=after,
        from_us=since_us,
        to_us=until_us,
        kinds=frozenset(part for part in (kind or "").split(",") if part),
        account=account or None,
        order_id=order_id or None,
    )
    data_dir = load_setup(config).settings.data_dir
    if lock_holder(data_dir) is not None:
        # So that the export's last rows are signed too.
        with connected(target) as running:
            ask(running, "POST", "/v1/audit/checkpoint")
    with told(NoLog, Damaged, StoreError), LogFile(data_dir / "journal.db") as opened:
        _written(file, opened.export(selection, ExportFormat(spelling)))


def _lines_of(api: HttpApi, query: dict[str, str]) -> Iterator[bytes]:
    """Yield the lines of another machine's export. Raises: `Failure`, also for one cut short."""
    ask(api, "POST", "/v1/audit/checkpoint")
    line = b""
    for line in api.download("/v1/audit/export", query, _SILENT_S):
        yield line
    if not line.endswith(b"\n") or not line.startswith((b'{"record":"end"', b"end,")):
        raise Failure("the export broke off; see the gateway's log, and ask again")


def _written(file: Path | None, lines: Iterator[bytes]) -> None:
    """Write to a new file, which does not stay when it cannot be had whole."""
    if file is None:
        for line in lines:
            sys.stdout.buffer.write(line)
        return
    count = 0
    with told(OSError), open(file, "xb", opener=_private) as target:
        try:
            for line in lines:
                count += target.write(line)
            target.flush()
        except BaseException:
            file.unlink(missing_ok=True)
            raise
    click.echo(f"Wrote {file} ({count:,} bytes).", err=True)
    click.echo(f"Check it: brokergate audit verify --file {file}", err=True)


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _print_newest(api: Api, query: dict[str, str], count: int, as_json: bool) -> int:
    """Print the newest rows and return the number to go on after."""
    wanted = query | {"before": "end", "limit": str(max(count, 1))}
    page = ask(api, "GET", "/v1/audit", query=wanted)
    for row in page["rows"] if count else ():
        _print(row, as_json)
    if count and not page["rows"]:
        click.echo("No such rows.", err=True)
    return int(page["next_after"])


def _print_after(api: Api, query: dict[str, str], after: int, as_json: bool) -> int:
    while True:
        wanted = query | {"after": str(after), "limit": str(_PAGE)}
        page = ask(api, "GET", "/v1/audit", query=wanted)
        for row in page["rows"]:
            _print(row, as_json)
        after = int(page["next_after"])
        if len(page["rows"]) < _PAGE:
            sys.stdout.flush()
            return after


def _print(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(row).decode())
        return
    body = row["body"] if isinstance(row["body"], dict) else {}
    said = [f"{name}={body[name]}" for name in _SHOWN if body.get(name) not in (None, "", [], {})]
    about = " ".join(str(part) for part in (row["account"], row["order_id"]) if part)
    cells = (str(row["seq"]).rjust(6), row["at"], row["kind"].ljust(10), about, " ".join(said))
    click.echo("  ".join(cell for cell in cells if cell))


def _time_us(option: str, text: str | None) -> int | None:
    """Read a day or a time; without an offset it is one in India. Raises `Failure`."""
    from gateway.orders.times import IST, to_us

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return to_us(at if at.tzinfo is not None else at.replace(tzinfo=IST))
    except (ValueError, OverflowError):
        raise Failure(f"{option} {text}: write it as 2026-11-01 or 2026-11-01T09:15") from None

"""`brokergate audit`: the tamper-evident log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.audit_rows import export, tail
from gateway.cli.client import Api, ask
from gateway.cli.configuration import load_setup, master_key_at_hand, master_key_of
from gateway.cli.failure import Failure, told
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_json
from gateway.cli.target import connected, lock_holder, no_journal

if TYPE_CHECKING:
    from gateway.store.audit import Verdict
    from gateway.store.audit.anchors import Anchor

_TIMEOUT_S = 600.0
_PART = 50_000


@click.group("audit")
def command() -> None:
    """The log of everything that was done: sealed row by row, signed, and checkable by anybody.

    \b
    Examples:
      brokergate audit verify
      brokergate audit tail -f
      brokergate audit export year.jsonl
    """


@command.command("verify")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check this export, or this copy of a journal, instead.",
)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    help="A file of anchors, or ROW:HEX, the beginning of a row's hash.  [default: the configured"
    " anchor_file]",
)
@click.option("--public-key", help="Trust this key only: its text, or a file that holds it.")
@target_options
@json_option
def verify(
    file: Path | None,
    anchors: tuple[str, ...],
    public_key: str | None,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Check every row and signature. Exit status 1 when anything was changed, removed or added.

    \b
    Examples:
      brokergate audit verify
      brokergate audit verify --anchor /mnt/elsewhere/anchors.jsonl
      brokergate audit verify --file year.jsonl --public-key audit.pem
    """
    key = _public_key(public_key)
    if file is not None:
        verdict = _check_file(file, key, anchors)
    elif url:
        if anchors or key:
            raise click.UsageError("--anchor and --public-key need the log here: export it first")
        with connected(target_of(config, url, key_file)) as api:
            verdict = _check_in_parts(api)
    else:
        verdict = _check_here(config, key, anchors)
    _tell(verdict, as_json)


@command.command("public-key")
@click.option("--pem", is_flag=True, help="In the form that OpenSSL reads.")
@target_options
def public_key(pem: bool, config: str | None, url: str | None, key_file: str | None) -> None:
    """Print the key that checkpoints are signed by. Keep it where exports are checked.

    \b
    Example:
      brokergate audit public-key --pem > audit.pem
    """
    from gateway.store.audit.checkpoint import public_pem

    with connected(target_of(config, url, key_file), offline=True) as api:
        found = ask(api, "GET", "/v1/audit/verify", query={"limit": "1"})["public_key"]
    click.echo(public_pem(found) if pem else found, nl=not pem)


@command.command(
    "checkpoint", short_help="Sign the log as it stands; print what to note elsewhere."
)
@target_options
@json_option
def checkpoint(config: str | None, url: str | None, key_file: str | None, as_json: bool) -> None:
    """Sign the log as it stands, and print what to note elsewhere: ROW:HASH.

    \b
    Example:
      brokergate audit checkpoint
    """
    with connected(target_of(config, url, key_file), offline=True) as api:
        made = ask(api, "POST", "/v1/audit/checkpoint")
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made['through']}:{made['hash']}")


command.add_command(tail)
command.add_command(export)


def _check_here(config: str | None, public_key: str | None, given: tuple[str, ...]) -> Verdict:
    """Check this machine's log in this process; its seals in the gateway where only it can."""
    from gateway.secrets import Keyring, SealError
    from gateway.store.audit.checkpoint import parse_public_key
    from gateway.store.audit.file import LogFile, NoLog
    from gateway.store.schema import StoreError

    setup = load_setup(config)
    data_dir = setup.settings.data_dir
    holder = lock_holder(data_dir)
    if not (data_dir / "journal.db").exists():
        raise Failure(no_journal(data_dir))
    key = master_key_at_hand(setup.path)
    if key is None and holder is None:
        key = master_key_of(setup)
    anchor_file = setup.settings.audit.anchor_file
    if not given and anchor_file is not None and anchor_file.exists():
        given = (str(anchor_file),)
    with (
        told(SealError, StoreError, NoLog, OSError),
        LogFile(data_dir / "journal.db") as opened,
    ):
        keyring = Keyring(key) if key is not None else None
        anchors = _anchors(given, lambda: parse_public_key(public_key or opened.public_key))
        verdict = opened.check(keyring, public_key, anchors, _progress())
    if verdict.ok and keyring is None:
        with connected(target_of(config, None, None)) as api:
            sealed = _check_in_parts(api)
        notes = [note for note in sealed.notes if note not in verdict.notes]
        verdict = sealed if not sealed.ok else verdict
        verdict.notes = ["each row's seal was checked by the running gateway", *notes]
    return verdict


def _check_file(file: Path, public_key: str | None, given: tuple[str, ...]) -> Verdict:
    from gateway.store.audit.checkpoint import parse_public_key
    from gateway.store.audit.file import LogFile, NoLog, is_database
    from gateway.store.audit.imported import NoExport, check_export
    from gateway.store.schema import StoreError

    key = parse_public_key(public_key) if public_key else None
    anchors = _anchors(given, lambda: key)
    with told(NoLog, NoExport, StoreError, OSError):
        if not is_database(file):
            return check_export(file, key, anchors)
        with LogFile(file) as opened:
            return opened.check(None, public_key, anchors, _progress())


def _check_in_parts(api: Api) -> Verdict:
    from gateway.store.audit import Verdict

    progress, verdict = _progress(), Verdict(rows=0)
    while True:
        query = {"limit": str(_PART), "after": str(verdict.checked_to)}
        answer = ask(api, "GET", "/v1/audit/verify", query=query, timeout_s=_TIMEOUT_S)
        part = msgspec.convert(answer, Verdict)
        part.rows += verdict.rows
        part.checkpoints += verdict.checkpoints
        part.first_seq = verdict.first_seq or part.first_seq
        stuck, verdict = part.checked_to <= verdict.checked_to, part
        if not verdict.ok or stuck or verdict.checked_to >= verdict.head:
            return verdict
        if progress is not None:
            progress(verdict.checked_to, verdict.head)


def _anchors(given: Iterable[str], key: Callable[[], Any]) -> list[Anchor] | Iterable[Anchor]:
    """Anchors of all sources. One file is read as it is needed, however long it is."""
    from gateway.store.audit.anchors import noted_anchor, read_anchors

    noted, files = [], []
    for text in given:
        anchor = noted_anchor(text)
        if anchor is not None:
            noted.append(anchor)
        elif Path(text).is_file():
            files.append(Path(text))
        else:
            raise Failure(f"--anchor {text}: neither a file nor ROW:HEX with 12 digits or more")
    if len(files) == 1 and not noted:
        return read_anchors(files[0], key())
    if files:
        raise Failure("give one file of anchors, or rows that were noted by hand")
    return sorted(noted, key=lambda anchor: anchor.seq)


def _public_key(text: str | None) -> str | None:
    from gateway.store.audit.checkpoint import BadPublicKey, parse_public_key, public_text

    if text is None:
        return None
    path = Path(text)
    with told(OSError, UnicodeDecodeError, BadPublicKey):
        content = path.read_text() if len(text) < 4096 and path.is_file() else text
        return public_text(parse_public_key(content))


def _progress() -> Callable[[int, int], None] | None:
    if not sys.stderr.isatty():
        return None
    return lambda at, until: click.echo(f"\r{at:,} of {until:,} rows", err=True, nl=False)


def _tell(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print_json(verdict)
        if not verdict.ok:
            raise click.exceptions.Exit(1)
        return
    for note in verdict.notes:
        click.echo(f"note: {note}", err=True)
    if not verdict.ok:
        fault = f"{verdict.fault}: " if verdict.fault else ""
        raise Failure(
            f"audit log {fault}{verdict.problem};"
            " trust nothing from there on, and compare with a backup"
        )
    words = f"The audit log is whole: {verdict.rows} rows"
    if verdict.first_seq is not None:
        words += f" ({verdict.first_seq} to {verdict.checked_to})"
    words += f", {verdict.checkpoints} signed checkpoint{'' if verdict.checkpoints == 1 else 's'}"
    if verdict.hidden:
        words += f", {verdict.hidden} rows not shown"
    if verdict.anchors:
        words += f", {verdict.anchors} anchors met"
    click.echo(
        f"{words}; the last {verdict.unsigned} are not signed yet."
        if verdict.unsigned
        else f"{words}."
    )

"""Tampers with an audit log in every way there is, and counts what the checks catch.

    python -m tests.trust.tamper [--rows N]

A small log is made by the store itself, with checkpoints, an anchor file and exports. Then every
byte of each file is flipped, rows are deleted, swapped, doubled, cut off and written anew, and
checkpoints forged; each time the check that a user would run must say that something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from gateway.store import Store, sealed
from gateway.store.audit import CHECKPOINT, Fault, Signer, Verdict
from gateway.store.audit.anchors import append_anchor, read_anchors
from gateway.store.audit.check import check_log
from gateway.store.audit.checkpoint import parse_public_key, read_checkpoint
from gateway.store.audit.export import Selection, export_lines
from gateway.store.audit.hashes import digest_of, head_of, mac_of, next_hash
from gateway.store.audit.imported import NoExport, check_export
from gateway.store.audit.records import SPELLINGS, End, ExportFormat, RowLine

ROWS = 24
_KINDS = ("order", "leg", "leg", "session", "key")
_EXPORTS = {
    "whole.jsonl": (ExportFormat.JSONL, Selection()),
    "whole.csv": (ExportFormat.CSV, Selection()),
    "part.jsonl": (ExportFormat.JSONL, Selection(kinds=frozenset({"session"}))),
}


@dataclass
class Count:
    """How often one kind of tampering was tried, and what of it went unnoticed."""

    tried: int = 0
    missed: list[str] = field(default_factory=list)

    def note(self, what: str, *, caught: bool) -> None:
        self.tried += 1
        if not caught:
            self.missed.append(what)


class Log:
    """One closed journal with its anchors and exports, and the keys that an owner has."""

    def __init__(self, folder: Path, rows: int = ROWS) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        self.anchors = folder / "anchors.jsonl"
        keyring = Keyring(generate_master_key())
        asyncio.run(_fill(self.journal, keyring, rows))
        connection = apsw.Connection(str(self.journal))
        # One file from here on, which is copied and changed as a whole.
        connection.execute("PRAGMA journal_mode=DELETE")
        self.key = sealed.audit_key(connection, keyring)
        self.public_text = sealed.public_key(connection) or ""
        self.public_key = parse_public_key(self.public_text)
        bodies = connection.execute("SELECT body FROM audit WHERE kind='checkpoint' ORDER BY seq")
        for (body,) in bodies:
            found = read_checkpoint(body)  # type: ignore[arg-type]
            assert found is not None
            append_anchor(self.anchors, found)
        for name, (spelling, selection) in _EXPORTS.items():
            lines = export_lines(connection, selection, self.public_text, spelling)
            (folder / name).write_bytes(b"".join(lines))
        connection.close()

    def check(self, journal: Path | None = None, *, public: bool = False) -> Verdict:
        """Check a journal against the anchors; `public`: as one who has only the public key."""
        connection = apsw.Connection(str(journal or self.journal), apsw.SQLITE_OPEN_READONLY)
        try:
            key = None if public else self.key
            anchors = read_anchors(self.anchors, self.public_key)
            return check_log(connection, key, self.public_key, anchors=anchors)
        finally:
            connection.close()

    def check_file(self, path: Path) -> Verdict:
        try:
            return check_export(path, self.public_key)
        except NoExport as error:
            return Verdict(ok=False, fault=Fault.UNREADABLE, problem=str(error))


def tamper(folder: Path, rows: int = ROWS) -> dict[str, Count]:
    """Make a log in `folder`, try everything, and count. Raises where the untouched log fails."""
    log = Log(folder, rows)
    for verdict in (log.check(), log.check(public=True), *map(log.check_file, _files(log))):
        assert verdict.ok, verdict
    counts: dict[str, Count] = {}
    for name in _EXPORTS:
        counts[f"bytes of {name} flipped"] = _flip_file(log, log.folder / name)
        counts[f"lines of {name} deleted, doubled, swapped"] = _move_lines(log, log.folder / name)
        counts[f"{name} cut"] = _cut_file(log, log.folder / name)
    counts["bytes of the anchor file flipped"] = _flip_anchors(log)
    counts["bytes of rows in the journal flipped"] = _flip_rows(log)
    for what, statements in _statements(log):
        counts.setdefault(what, Count())
        for statement in statements:
            counts[what].note(statement, caught=not _changed(log, statement))
    counts["checkpoints forged, rows written anew"] = _forge(log)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    with tempfile.TemporaryDirectory() as name:
        counts = tamper(Path(name), parser.parse_args().rows)
    for what, count in counts.items():
        caught = count.tried - len(count.missed)
        sys.stdout.write(f"{what}: tried {count.tried}, caught {caught}\n")
        for missed in count.missed[:10]:
            sys.stdout.write(f"  NOT CAUGHT: {missed}\n")
    tried = sum(count.tried for count in counts.values())
    missed = sum(len(count.missed) for count in counts.values())
    sys.stdout.write(f"audit log: tamperings tried {tried}, caught {tried - missed}\n")
    return 1 if missed else 0


async def _fill(journal: Path, keyring: Keyring, rows: int) -> None:
    store = Store(journal, keyring, checkpoint_rows=rows // 3 + 1)
    for number in range(rows):
        kind = _KINDS[number % len(_KINDS)]
        body = {"event": "test", "n": number, "text": 'ü, "quoted" \n'}
        account = "a-1" if number % 2 else None
        await store.audit(kind, body, account=account)
    store.close()


def _files(log: Log) -> list[Path]:
    return [log.folder / name for name in _EXPORTS]


def _flip_file(log: Log, path: Path) -> Count:
    data, count, changed = path.read_bytes(), Count(), log.folder / "changed"
    for at in range(len(data)):
        bit = 1 << at % 8
        changed.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        count.note(f"byte {at} ^ {bit}", caught=not log.check_file(changed).ok)
    return count


def _move_lines(log: Log, path: Path) -> Count:
    lines, count, changed = path.read_bytes().splitlines(keepends=True), Count(), log.folder / "x"
    variants: list[tuple[str, list[bytes]]] = []
    for at in range(len(lines)):
        variants.append((f"line {at} deleted", lines[:at] + lines[at + 1 :]))
        variants.append((f"line {at} doubled", lines[: at + 1] + lines[at:]))
        variants.append((f"line {at} moved to the end", [*lines[:at], *lines[at + 1 :], lines[at]]))
        if at + 1 < len(lines):
            swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            variants.append((f"line {at} swapped with the next", swapped))
    for what, variant in variants:
        if variant == lines:
            continue
        changed.write_bytes(b"".join(variant))
        count.note(what, caught=not log.check_file(changed).ok)
    return count


def _cut_file(log: Log, path: Path) -> Count:
    data, count, changed = path.read_bytes(), Count(), log.folder / "cut"
    for length in range(0, len(data), max(len(data) // 500, 1)):
        changed.write_bytes(data[:length])
        count.note(f"{length} bytes left", caught=not log.check_file(changed).ok)
    return count


def _flip_anchors(log: Log) -> Count:
    data, count = log.anchors.read_bytes(), Count()
    try:
        for at in range(len(data)):
            log.anchors.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            # A last line without its line break was cut by a crash, and says nothing.
            caught = not log.check().ok or at == len(data) - 1
            count.note(f"byte {at}", caught=caught)
    finally:
        log.anchors.write_bytes(data)
    return count


def _flip_rows(log: Log) -> Count:
    count = Count()
    connection = _opened(log.journal)
    rows: Any = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body, mac FROM audit ORDER BY seq"
    ).fetchall()
    for row in rows:
        for column, old in zip(
            ("kind", "account", "body", "mac"), (*row[2:4], *row[5:]), strict=True
        ):
            if old is None:
                continue
            data = old.encode() if isinstance(old, str) else old
            for at in range(len(data)):
                flipped: Any = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                if isinstance(old, str):
                    flipped = flipped.decode()
                count.note(
                    f"row {row[0]} {column} byte {at}",
                    caught=not _with(log, connection, row[0], column, flipped, old),
                )
        for bit in range(0, 51, 5):
            new = row[1] ^ (1 << bit)
            caught = not _with(log, connection, row[0], "at_us", new, row[1])
            count.note(f"row {row[0]} at_us bit {bit}", caught=caught)
    connection.close()
    return count


def _with(log: Log, connection: apsw.Connection, seq: int, column: str, new: Any, old: Any) -> bool:
    """Whether the log still checks out with one cell changed; puts the cell back."""
    update = f"UPDATE audit SET {column}=? WHERE seq=?"
    connection.execute(update, (new, seq))
    verdict = check_log(connection, log.key, log.public_key)
    connection.execute(update, (old, seq))
    return verdict.ok


def _statements(log: Log) -> Iterator[tuple[str, list[str]]]:
    connection = apsw.Connection(str(log.journal), apsw.SQLITE_OPEN_READONLY)
    last: int = connection.execute("SELECT max(seq) FROM audit").get
    connection.close()
    each = range(1, last + 1)
    yield "rows deleted", [f"DELETE FROM audit WHERE seq={n}" for n in each]
    yield (
        "rows deleted, the rest numbered anew",
        [
            f"DELETE FROM audit WHERE seq={n}; UPDATE audit SET seq=-seq WHERE seq>{n};"
            " UPDATE audit SET seq=-seq-1 WHERE seq<0"
            for n in each
        ],
    )
    yield (
        "rows swapped",
        [
            f"UPDATE audit SET seq=-1 WHERE seq={n}; UPDATE audit SET seq={n} WHERE seq={m};"
            f" UPDATE audit SET seq={m} WHERE seq=-1"
            for n in each
            for m in (n + 1, n + 2, n + 5)
            if m <= last
        ],
    )
    yield "beginning cut off", [f"DELETE FROM audit WHERE seq<{n}" for n in each if n > 1]
    yield "end cut off", [f"DELETE FROM audit WHERE seq>{n}" for n in range(last - 1)]
    yield (
        "rows written twice",
        [
            "CREATE TEMP TABLE a AS SELECT * FROM audit;"
            f" UPDATE audit SET seq=-seq WHERE seq>{n}; UPDATE audit SET seq=1-seq WHERE seq<0;"
            f" INSERT INTO audit SELECT {n + 1}, at_us, kind, account, order_id, body, mac"
            f" FROM a WHERE seq={n}"
            for n in each
        ],
    )


def _changed(log: Log, statement: str) -> bool:
    """Whether a copy of the journal still checks out after the statement."""
    copy = log.folder / "copy.db"
    copy.write_bytes(log.journal.read_bytes())
    connection = _opened(copy)
    connection.execute(statement)
    connection.close()
    return log.check(copy).ok


def _forge(log: Log) -> Count:
    """What somebody does who knows all formats and has keys, only not the right ones."""
    count = Count()
    other = Signer(b"\1" * 32)
    forgeries: list[tuple[str, bytes | None, Signer, bool]] = [
        ("signed by another key, without the HMAC key", None, other, True),
        ("signed by another key, with the HMAC key", log.key, other, False),
        ("signed by another key, with the HMAC key, public check", log.key, other, True),
    ]
    for what, key, signer, public in forgeries:
        copy = log.folder / "copy.db"
        copy.write_bytes(log.journal.read_bytes())
        connection = _opened(copy)
        _rewrite(connection, key or b"\2" * 32, signer)
        connection.close()
        count.note(what, caught=not log.check(copy, public=public).ok)
    for name, (spelling, selection) in _EXPORTS.items():
        copy = log.folder / "copy.db"
        copy.write_bytes(log.journal.read_bytes())
        connection = _opened(copy)
        _rewrite(connection, log.key, other)
        for public_text in (log.public_text, other.public_key):
            forged = log.folder / "forged"
            lines = export_lines(connection, selection, public_text, spelling)
            forged.write_bytes(b"".join(lines))
            what = f"{name} made anew, naming the key {public_text}"
            count.note(what, caught=not log.check_file(forged).ok)
        connection.close()
    for name, change in _rehashed(log):
        forged = log.folder / "forged"
        forged.write_bytes(change)
        count.note(name, caught=not log.check_file(forged).ok)
    return count


def _rewrite(connection: apsw.Connection, key: bytes, signer: Signer) -> None:
    """Change the first row, and make everything after it fit again."""
    rows: Any = connection.execute(
        "SELECT seq, at_us, kind, account, order_id, body FROM audit ORDER BY seq"
    ).fetchall()
    mac = chain = b"\0" * 32
    for seq, at_us, kind, account, order_id, old in rows:
        body = old.replace(b'"n":0', b'"n":7') if seq == 1 else old
        if kind == CHECKPOINT:
            found = read_checkpoint(old)
            assert found is not None
            again = msgspec.structs.replace(found, hash=chain.hex(), mac=mac.hex())
            body = msgspec.json.encode(signer.sign(again))
        head = head_of(seq, at_us, kind, account, order_id)
        mac = mac_of(key, mac, head, body)
        chain = next_hash(chain, digest_of(head, body, mac))
        connection.execute("UPDATE audit SET body=?, mac=? WHERE seq=?", (body, mac, seq))


def _rehashed(log: Log) -> Iterator[tuple[str, bytes]]:
    """Each row of an export changed, with all hashes after it and the end made to fit."""
    spelling = SPELLINGS[ExportFormat.JSONL]
    lines = (log.folder / "whole.jsonl").read_bytes().splitlines(keepends=True)
    records = [spelling.read(line) for line in lines]
    for target in range(1, len(records) - 1):
        chain, changed = b"\0" * 32, []
        for at, record in enumerate(records):
            if isinstance(record, RowLine):
                if at == target:
                    body = bytes(record.body).replace(b"e", b"a", 1)
                    record = msgspec.structs.replace(record, body=msgspec.Raw(body))
                head = head_of(
                    record.seq, record.at_us, record.kind, record.account, record.order_id
                )
                digest = digest_of(head, bytes(record.body), bytes.fromhex(record.mac))
                chain = next_hash(chain, digest)
                record = msgspec.structs.replace(record, hash=chain.hex())
            if isinstance(record, End):
                so_far = sha256(b"".join(changed)).hexdigest()
                record = msgspec.structs.replace(record, hash=chain.hex(), sha256=so_far)
            changed.append(spelling.write(record))
        yield f"row {target} of an export changed and all hashes made anew", b"".join(changed)


def _opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY")
    connection.execute("DROP TRIGGER IF EXISTS audit_no_update")
    connection.execute("DROP TRIGGER IF EXISTS audit_no_delete")
    return connection


if __name__ == "__main__":
    sys.exit(main())

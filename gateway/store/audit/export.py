"""Writes the log as a file that proves itself: rows, checkpoints, and the key they are signed by.

What a filter leaves out stays in the chain: as digests, or, where a whole stretch between two
checkpoints is left out, as the second one's signature.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import apsw
import msgspec

from gateway.orders.times import now_us
from gateway.store.audit.check import place_at_checkpoint
from gateway.store.audit.checkpoint import CHECKPOINT
from gateway.store.audit.hashes import SIZE, digest_of, head_of, next_hash
from gateway.store.audit.records import (
    FORMAT,
    SPELLINGS,
    End,
    ExportFormat,
    Header,
    LeftOut,
    Record,
    RowLine,
    Skipped,
    time_of,
)
from gateway.store.audit.rows import FoundRow, read_rows

_BATCH = 500
_MOST_DIGESTS = 4096


class Damaged(RuntimeError):
    """A row cannot be exported as it stands; `brokergate audit verify` says more."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows an export shows. Nothing set: the whole log.

    `after` and `until` are numbers of rows, `from_us` and `to_us` times, the latter exclusive.
    """

    after: int = 0
    until: int | None = None
    from_us: int | None = None
    to_us: int | None = None
    kinds: frozenset[str] = frozenset()
    account: str | None = None
    order_id: str | None = None

    def words(self) -> dict[str, str] | None:
        """What was asked for, as the export's header says it."""
        said = {
            "after": str(self.after) if self.after else None,
            "until": None if self.until is None else str(self.until),
            "from": time_of(self.from_us) if self.from_us is not None else None,
            "to": time_of(self.to_us) if self.to_us is not None else None,
            "kind": ",".join(sorted(self.kinds)) or None,
            "account": self.account,
            "order_id": self.order_id,
        }
        return {name: value for name, value in said.items() if value is not None} or None

    def shows(self, row: FoundRow) -> bool:
        if row.kind == CHECKPOINT:
            return True
        return (
            row.seq > self.after
            and (self.from_us is None or row.at_us >= self.from_us)
            and (self.to_us is None or row.at_us < self.to_us)
            and (not self.kinds or row.kind in self.kinds)
            and (self.account is None or row.account == self.account)
            and (self.order_id is None or row.order_id == self.order_id)
        )


def export_lines(
    connection: apsw.Connection, selection: Selection, public_key: str, spelling: ExportFormat
) -> Iterator[bytes]:
    """Yield the lines of an export, each with its line break.

    Raises: `Damaged`.
    """
    top, write, _ = SPELLINGS[spelling]
    running = sha256(top)
    if top:
        yield top
    end: End | None = None
    for record in _records(connection, selection, public_key):
        if isinstance(record, End):
            end = msgspec.structs.replace(record, sha256=running.hexdigest())
            break
        line = write(record)
        running.update(line)
        yield line
    assert end is not None  # noqa: S101
    yield write(end)


def export_file(
    journal: Path, path: Path, selection: Selection, public_key: str, spelling: ExportFormat
) -> None:
    """Write an export of a journal to a new file of mode 0600, on disk when this returns.

    Raises: `Damaged`, `FileExistsError`, `OSError`.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, "a file is never overwritten", str(path))
    unfinished = path.with_name(path.name + ".part")
    connection = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5000)
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(export_lines(connection, selection, public_key, spelling))
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never takes the place of a file that came in between.
        os.link(unfinished, path)
        folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        connection.close()
        unfinished.unlink(missing_ok=True)


def _records(
    connection: apsw.Connection, selection: Selection, public_key: str
) -> Iterator[Record]:
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").get
    if selection.until is not None:
        last = min(last, selection.until)
    begin = place_at_checkpoint(connection, selection.after)
    chain, at, shown = begin.hash, begin.seq, 0
    yield Header(
        format=FORMAT,
        made_at=time_of(now_us()) or "",
        public_key=public_key,
        first=at + 1,
        filter=selection.words(),
    )
    hidden = _Hidden()
    while at < last:
        rows = read_rows(connection, at, last, _BATCH)
        if not rows:
            break
        for row in rows:
            line, digest = _line(row)
            at, chain = row.seq, next_hash(chain, digest)
            if not selection.shows(row):
                yield from hidden.add(row.seq, digest)
                continue
            yield from hidden.end(at_checkpoint=row.kind == CHECKPOINT)
            yield msgspec.structs.replace(line, hash=chain.hex())
            shown += 1
    yield from hidden.end(at_checkpoint=False)
    yield End(rows=shown, last=at, hash=chain.hex(), sha256="")


class _Hidden:
    """Rows since the last one that was shown; `_whole` while they begin at a checkpoint."""

    def __init__(self) -> None:
        self._first = 0
        self._digests: list[bytes] = []
        self._whole = False

    def add(self, seq: int, digest: bytes) -> Iterator[Record]:
        if not self._digests:
            self._first = seq
        self._digests.append(digest)
        if len(self._digests) >= _MOST_DIGESTS:
            self._whole = False
            yield from self._flush()

    def end(self, *, at_checkpoint: bool) -> Iterator[Record]:
        count = len(self._digests)
        if at_checkpoint and self._whole and count > 1:
            yield Skipped(first=self._first, last=self._first + count - 1)
            self._digests.clear()
        else:
            yield from self._flush()
        self._whole = at_checkpoint

    def _flush(self) -> Iterator[Record]:
        if self._digests:
            last = self._first + len(self._digests) - 1
            yield LeftOut(first=self._first, last=last, digests=b"".join(self._digests).hex())
            self._digests.clear()


def _line(row: FoundRow) -> tuple[RowLine, bytes]:
    body, mac = row.body, row.mac
    texts = (row.kind, row.account or "", row.order_id or "")
    whole = isinstance(body, bytes) and b"\n" not in body and isinstance(mac, bytes)
    if not whole or len(mac) != SIZE or not isinstance(row.at_us, int):
        raise Damaged(f"audit row {row.seq} is damaged; run `brokergate audit verify`")
    if not all(isinstance(text, str) for text in texts):
        raise Damaged(f"audit row {row.seq} is damaged; run `brokergate audit verify`")
    digest = digest_of(head_of(row.seq, row.at_us, row.kind, row.account, row.order_id), body, mac)
    line = RowLine(
        seq=row.seq,
        at=time_of(row.at_us),
        at_us=row.at_us,
        kind=row.kind,
        account=row.account,
        order_id=row.order_id,
        body=msgspec.Raw(body),
        mac=mac.hex(),
        hash="",
    )
    return line, digest

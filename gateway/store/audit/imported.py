"""Checks an export: offline, streaming, with nothing but the public key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.store.audit.anchors import Anchor
from gateway.store.audit.checker import Checker, Place
from gateway.store.audit.checkpoint import (
    CHECKPOINT,
    BadPublicKey,
    Checkpoint,
    parse_public_key,
    read_checkpoint,
)
from gateway.store.audit.hashes import SIZE
from gateway.store.audit.records import (
    FORMAT,
    SPELLINGS,
    BadLine,
    End,
    ExportFormat,
    Header,
    LeftOut,
    Record,
    RowLine,
    Skipped,
    Spelling,
    time_of,
)
from gateway.store.audit.rows import FoundRow
from gateway.store.audit.verdict import Fault, Verdict

_MOST_LINE = 16 * 1024 * 1024


class NoExport(ValueError):
    """The file is no export of an audit log, or of another format."""


def check_export(
    path: Path, public_key: Ed25519PublicKey | None, anchors: Iterable[Anchor] = ()
) -> Verdict:
    """Walk an export and say what first does not hold.

    Without `public_key` the file's own is taken: that proves the file to be whole in itself,
    not whose it is. Raises: `NoExport`, `OSError`.
    """
    with path.open("rb") as file:
        return _Reader(file, str(path), public_key, anchors).check()


class _Reader:
    def __init__(
        self,
        file: BinaryIO,
        name: str,
        public_key: Ed25519PublicKey | None,
        anchors: Iterable[Anchor],
    ) -> None:
        self._file = file
        self._number = 0
        self._running = sha256()
        self._spelling = self._spelling_of(name)
        header = self._header(name)
        try:
            named = parse_public_key(header.public_key)
        except BadPublicKey as error:
            raise NoExport(f"{name}: its header names a public key that is none") from error
        key = public_key or named
        self._header_of = header
        self._checker = Checker(
            key=None,
            public_key=key,
            anchors=anchors,
            after=Place() if header.first == 1 else None,
        )
        verdict = self._checker.verdict
        verdict.public_key = header.public_key
        if public_key is None:
            verdict.notes.append(
                "checked with the key that the file itself names: it is whole, but not proven to"
                " be this gateway's; give --public-key"
            )
        elif named != public_key:
            verdict.notes.append("the file names another public key than the one given")
        if header.filter is not None:
            said = ", ".join(f"{name}={value}" for name, value in header.filter.items())
            verdict.notes.append(
                f"a part of the log ({said}): what it shows is proven, not that it shows all that"
                " the filter names"
            )

    def check(self) -> Verdict:
        checker, verdict = self._checker, self._checker.verdict
        shown = 0
        skipped: Skipped | None = None
        for line in self._lines():
            try:
                record = self._record(line)
                if isinstance(record, End):
                    self._end(record, shown, rest=self._file.read(1))
                    break
                if skipped is not None:
                    checkpoint = _checkpoint_of(record)
                    if checkpoint is None or not checker.jump(
                        skipped.first, skipped.last, checkpoint
                    ):
                        raise BadLine("must be the checkpoint that the skipped rows lead to")
                    skipped = None
                if isinstance(record, Skipped):
                    skipped = record
                elif not self._take(record):
                    break
                shown += isinstance(record, RowLine)
            except BadLine as error:
                at = checker.place.seq + 1
                verdict.fail(Fault.CHANGED, at, f"line {self._number}, at row {at}, {error}")
                break
            self._running.update(line)
        else:
            at = checker.place.seq
            verdict.fail(Fault.TRUNCATED, at + 1, f"the file was cut off after row {at}")
        if verdict.fault is Fault.MISSING and verdict.first_bad_seq is not None:
            self._look_for(verdict.first_bad_seq)
        checker.finish(whole=_reaches_the_end(self._header_of))
        if self._header_of.filter is None:
            checker.assert_begin()
        if verdict.ok and verdict.unsigned:
            verdict.notes.append(
                f"the last {verdict.unsigned} rows are not signed yet: they fit the rest, no more"
            )
        return verdict

    def _take(self, record: Record) -> bool:
        if isinstance(record, LeftOut):
            return self._pass(record)
        if not isinstance(record, RowLine):
            raise BadLine("stands where no such line belongs")
        if record.at != time_of(record.at_us):
            raise BadLine("shows another time than its microseconds")
        row = FoundRow(
            record.seq,
            record.at_us,
            record.kind,
            record.account,
            record.order_id,
            bytes(record.body),
            _bytes_of(record.mac, 1)[0],
            _bytes_of(record.hash, 1)[0],
        )
        return self._checker.feed(row)

    def _pass(self, record: LeftOut) -> bool:
        digests = _bytes_of(record.digests, record.last - record.first + 1)
        return all(
            self._checker.pass_digest(seq, digest)
            for seq, digest in enumerate(digests, record.first)
        )

    def _end(self, end: End, shown: int, rest: bytes) -> None:
        place, verdict = self._checker.place, self._checker.verdict
        if rest:
            verdict.fail(Fault.ADDED, place.seq + 1, "there are lines after the end of the export")
        if (end.rows, end.last, end.hash) != (shown, place.seq, place.hash.hex()):
            verdict.fail(
                Fault.TRUNCATED,
                place.seq + 1,
                f"the end tells of {end.rows} rows up to row {end.last}, the file holds {shown} up"
                f" to row {place.seq}",
            )
        if end.sha256 != self._running.hexdigest():
            verdict.fail(Fault.CHANGED, None, "the file's lines are not those its end was made of")

    def _look_for(self, seq: int) -> None:
        """Tell rows that are gone from rows that stand elsewhere in the file."""
        verdict = self._checker.verdict
        for line in self._lines():
            try:
                record = self._spelling.read(line)
            except BadLine:
                continue
            if isinstance(record, RowLine) and record.seq == seq:
                verdict.fault = Fault.REORDERED
                verdict.problem = f"row {seq} stands later in the file, at line {self._number}"
                return

    def _record(self, line: bytes) -> Record:
        if not line.endswith(b"\n"):
            raise BadLine("is cut off")
        return self._spelling.read(line)

    def _lines(self) -> Iterator[bytes]:
        for line in iter(lambda: self._file.readline(_MOST_LINE), b""):
            self._number += 1
            yield line

    def _spelling_of(self, name: str) -> Spelling:
        csv = SPELLINGS[ExportFormat.CSV]
        beginning = self._file.read(len(csv.top))
        if beginning == csv.top:
            self._number = 1
            self._running.update(csv.top)
            return csv
        self._file.seek(0)
        if not beginning.startswith(b'{"record":"header"'):
            raise NoExport(f"{name} is no export of an audit log")
        return SPELLINGS[ExportFormat.JSONL]

    def _header(self, name: str) -> Header:
        line = next(self._lines(), b"")
        try:
            record = self._record(line)
        except BadLine as error:
            raise NoExport(f"{name}, line {self._number} {error}") from error
        if not isinstance(record, Header):
            raise NoExport(f"{name} does not begin with the header of an export")
        if record.format != FORMAT:
            raise NoExport(f"{name} has format {record.format}, this brokergate knows {FORMAT}")
        self._running.update(line)
        return record


def _checkpoint_of(record: Record) -> Checkpoint | None:
    if isinstance(record, RowLine) and record.kind == CHECKPOINT:
        return read_checkpoint(bytes(record.body))
    return None


def _reaches_the_end(header: Header) -> bool:
    """Whether the file goes on to the newest row, so that anchors beyond it tell of a cut."""
    return header.filter is None or "until" not in header.filter


def _bytes_of(text: str, count: int) -> list[bytes]:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != count * SIZE or data.hex() != text:
        raise BadLine("holds no digests of the right length")
    return [data[start : start + SIZE] for start in range(0, len(data), SIZE)]

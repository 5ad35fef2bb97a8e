"""What an export consists of, and its two spellings: JSON lines, and CSV.

Every record is one line, and there is one way to write it, so that a reader can tell a line that
was touched by writing it again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from gateway.orders.times import rfc3339

FORMAT = 1
_COLUMNS = ("record", "seq", "at", "at_us", "kind", "account", "order_id", "body", "mac", "hash")


class ExportFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="header"):
    """The first record. `filter`: what was asked for; None where the whole log was."""

    format: int
    made_at: str
    public_key: str
    first: int
    filter: dict[str, str] | None


class RowLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="row"):
    """A row. `body` is what was written, byte for byte; `hash` that of the public chain."""

    seq: int
    at: str | None
    at_us: int
    kind: str
    account: str | None
    order_id: str | None
    body: msgspec.Raw
    mac: str
    hash: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="left_out"):
    """Rows that a filter left out, by their digests: the chain goes on through them."""

    first: int
    last: int
    digests: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="skipped"):
    """Rows up to the next checkpoint, none of which is shown: its signature stands for them."""

    first: int
    last: int


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="end"):
    """The last record; without it the file was cut. `sha256` is of all the lines before it."""

    rows: int
    last: int
    hash: str
    sha256: str


Record = Header | RowLine | LeftOut | Skipped | End

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class BadLine(ValueError):
    """A line that was not written by an export, or was touched since."""


def write_json(record: Record) -> bytes:
    return _encode(record) + b"\n"


def read_json(line: bytes) -> Record:
    """Raises: `BadLine`."""
    try:
        record = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadLine("is no line of an export") from error
    if write_json(record) != line:
        raise BadLine("is not written as an export writes it")
    return record


def write_csv(record: Record) -> bytes:
    if isinstance(record, RowLine):
        body = bytes(record.body).decode()
        cells: list[object] = [
            "row",
            record.seq,
            record.at,
            record.at_us,
            record.kind,
            record.account,
            record.order_id,
            body,
            record.mac,
            record.hash,
        ]
    else:
        name = str(type(record).__struct_config__.tag)
        cells = [name, *[None] * 6, _encode(record).decode(), None, None]
    return _csv_line(cells)


def read_csv(line: bytes) -> Record:
    """Raises: `BadLine`."""
    try:
        [cells] = csv.reader([line.decode()], strict=True)
        if len(cells) != len(_COLUMNS):
            raise BadLine(f"has {len(cells)} columns, not {len(_COLUMNS)}")
        record = _row_of(cells) if cells[0] == "row" else _decoder.decode(cells[7].encode())
    except (csv.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadLine("is no line of an export") from error
    if write_csv(record) != line:
        raise BadLine("is not written as an export writes it")
    return record


def time_of(at_us: int) -> str | None:
    """The time that a row shows beside its microseconds; None where they are none."""
    try:
        return rfc3339(at_us)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


class Spelling(NamedTuple):
    """`top` is the line before the first record."""

    top: bytes
    write: Callable[[Record], bytes]
    read: Callable[[bytes], Record]


def _csv_line(cells: list[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _row_of(cells: list[str]) -> RowLine:
    _, seq, at, at_us, kind, account, order_id, body, mac, row_hash = cells
    return RowLine(
        seq=int(seq),
        at=at or None,
        at_us=int(at_us),
        kind=kind,
        account=account or None,
        order_id=order_id or None,
        body=msgspec.Raw(body.encode()),
        mac=mac,
        hash=row_hash,
    )


SPELLINGS = {
    ExportFormat.JSONL: Spelling(b"", write_json, read_json),
    ExportFormat.CSV: Spelling(_csv_line(list(_COLUMNS)), write_csv, read_csv),
}

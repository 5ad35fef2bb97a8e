"""Anchors: what was published of the log where a rewritten file cannot follow.

An anchor file holds one checkpoint a line, as it was signed. One that was noted by hand is a
row's number and the beginning of its hash (or of its mac): `48211:9f31c0a2b7de`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.store.audit.checkpoint import Checkpoint, read_checkpoint

_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{12,64})")
_MOST_LINE = 4096
_CUT = b" cut\n"


class BadAnchor(ValueError):
    """An anchor that cannot be used; the message says which and why."""


class Anchor(msgspec.Struct, frozen=True):
    """Row `seq` has this hash and mac, or one that begins so, where it was noted by hand."""

    seq: int
    hash: str = ""
    mac: str = ""
    beginning: str = ""

    @property
    def least(self) -> int:
        """The row that a log with this anchor has at least: a checkpoint is a row of its own."""
        return self.seq if self.beginning else self.seq + 1

    def fits(self, row_hash: bytes, mac: bytes) -> bool:
        """Compare; `mac` is empty for a row of which only the digest is known."""
        if self.beginning:
            return row_hash.hex().startswith(self.beginning) or mac.hex().startswith(self.beginning)
        return self.hash == row_hash.hex() and (not mac or self.mac == mac.hex())


def noted_anchor(text: str) -> Anchor | None:
    """Read `SEQ:HEX`; None where the text is something else, a file's name."""
    found = _NOTED.fullmatch(text.strip().lower())
    return Anchor(int(found[1]), beginning=found[2]) if found else None


def read_anchors(path: Path, key: Ed25519PublicKey | None) -> Iterator[Anchor]:
    """Yield what a file of anchors says, line by line, in the order of its lines.

    Lines that a crash cut short are left out. Raises: `BadAnchor` for a line that is
    no checkpoint, or not signed by `key`; `OSError`.
    """
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), 1):
            if not line.endswith(b"\n"):
                if len(line) >= _MOST_LINE:
                    raise BadAnchor(f"{path}, line {number} is no checkpoint")
                return
            if line.strip() and not line.endswith(_CUT):
                yield _anchor(line, f"{path}, line {number}", key)


def append_anchor(path: Path, checkpoint: Checkpoint) -> None:
    """Add one line, on disk when this returns. Only ever appends. Raises: `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        # Where a crash cut the last line short, say so and begin a new one; a file that only
        # takes appends cannot be mended otherwise.
        cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        line = (_CUT if cut else b"") + msgspec.json.encode(checkpoint) + b"\n"
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{path}: a line was cut short")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_anchor(path: Path) -> Checkpoint | None:
    """The newest whole line of an anchor file, None where there is none. Raises: `OSError`."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - 2 * _MOST_LINE, 0))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    found = (read_checkpoint(line) for line in reversed(lines))
    return next((checkpoint for checkpoint in found if checkpoint is not None), None)


def in_order(anchors: Iterable[Anchor]) -> Iterator[Anchor]:
    """Pass anchors on whose rows never go back, as a file that was only appended to has them.

    Raises: `BadAnchor`.
    """
    last = 0
    for anchor in anchors:
        if anchor.seq < last:
            raise BadAnchor(
                f"the anchors go back from row {last} to row {anchor.seq}: the log was begun anew"
                " from an older copy (a restored backup?), or the file was put together"
            )
        last = anchor.seq
        yield anchor


def _anchor(line: bytes, where: str, key: Ed25519PublicKey | None) -> Anchor:
    checkpoint = read_checkpoint(line[:-1])
    if checkpoint is None:
        noted = noted_anchor(line.decode("ascii", errors="replace"))
        if noted is None:
            raise BadAnchor(f"{where} is no checkpoint")
        return noted
    if key is not None and not checkpoint.is_signed_by(key):
        raise BadAnchor(f"{where} is not signed by this log's key")
    return Anchor(checkpoint.through, hash=checkpoint.hash, mac=checkpoint.mac)

"""The writing end of the log: appends rows, keeps both heads, signs every so many rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import msgspec

from gateway.store.audit.checkpoint import CHECKPOINT, Checkpoint, Signer, read_checkpoint
from gateway.store.audit.hashes import GENESIS, digest_of, head_of, mac_of, next_hash
from gateway.store.audit.rows import read_rows

CHECKPOINT_ROWS = 1000
_LAST = 2**63 - 1
_encode = msgspec.json.Encoder().encode


class Head(NamedTuple):
    """The newest row, and where the last checkpoint stands; `hash` is that of the public chain."""

    seq: int
    mac: bytes
    hash: bytes
    checkpoint: int


class AuditChain:
    """Appends rows and keeps the head. Used on the writer's thread only.

    A row is written inside the transaction of the change that it tells of. Every
    `checkpoint_rows` rows a checkpoint follows in the same transaction.
    """

    def __init__(
        self,
        key: bytes,
        signer: Signer,
        connection: apsw.Connection,
        checkpoint_rows: int = CHECKPOINT_ROWS,
    ) -> None:
        self._key = key
        self._signer = signer
        self._checkpoint_rows = checkpoint_rows
        self.head = _take_up(connection)

    def restore(self, head: Head) -> None:
        """Go back to an earlier head after a rollback."""
        self.head = head

    def append(
        self,
        connection: apsw.Connection,
        kind: str,
        at_us: int,
        body: dict[str, Any],
        *,
        account: str | None = None,
        order_id: str | None = None,
    ) -> int:
        """Write one row inside the caller's transaction and return its number."""
        seq = self._append(connection, kind, at_us, _encode(body), account, order_id)
        if seq - self.head.checkpoint >= self._checkpoint_rows:
            self.checkpoint(connection, at_us, "rows")
        return seq

    def checkpoint(self, connection: apsw.Connection, at_us: int, cause: str) -> Checkpoint | None:
        """Sign everything so far, in a row of its own. None where nothing came since the last."""
        head = self.head
        if head.seq == head.checkpoint:
            return None
        signed = self._signer.sign(
            Checkpoint(
                through=head.seq,
                hash=head.hash.hex(),
                mac=head.mac.hex(),
                previous=head.checkpoint,
                at_us=at_us,
                cause=cause,
            )
        )
        seq = self._append(connection, CHECKPOINT, at_us, _encode(signed), None, None)
        self.head = self.head._replace(checkpoint=seq)
        return signed

    def _append(
        self,
        connection: apsw.Connection,
        kind: str,
        at_us: int,
        body: bytes,
        account: str | None,
        order_id: str | None,
    ) -> int:
        last = self.head
        seq = last.seq + 1
        row_head = head_of(seq, at_us, kind, account, order_id)
        mac = mac_of(self._key, last.mac, row_head, body)
        connection.execute(
            "INSERT INTO audit (seq, at_us, kind, account, order_id, body, mac)"
            " VALUES (?,?,?,?,?,?,?)",
            (seq, at_us, kind, account, order_id, body, mac),
        )
        after = next_hash(last.hash, digest_of(row_head, body, mac))
        self.head = Head(seq, mac, after, last.checkpoint)
        return seq


def last_checkpoint(connection: apsw.Connection) -> tuple[int, Checkpoint] | None:
    """Return the newest checkpoint that can be read, with the number of its row."""
    rows: Any = connection.execute(
        "SELECT seq, body FROM audit WHERE kind='checkpoint' ORDER BY seq DESC"
    )
    for seq, body in rows:
        found = read_checkpoint(body) if isinstance(body, bytes) else None
        if found is not None and found.through == seq - 1:
            return seq, found
    return None


def _take_up(connection: apsw.Connection) -> Head:
    """Work out the head that an earlier run left: from its last checkpoint on, as a rule."""
    found = last_checkpoint(connection)
    head = Head(0, GENESIS, GENESIS, 0)
    if found is not None:
        seq, checkpoint = found
        mac, after = bytes.fromhex(checkpoint.mac), bytes.fromhex(checkpoint.hash)
        head = Head(seq - 1, mac, after, seq)
    while rows := read_rows(connection, head.seq, _LAST, 500):
        for row in rows:
            body, mac = _bytes(row.body), _bytes(row.mac)
            row_head = head_of(row.seq, row.at_us, row.kind, row.account, row.order_id)
            digest = digest_of(row_head, body, mac)
            head = Head(row.seq, mac, next_hash(head.hash, digest), head.checkpoint)
    return head


def _bytes(value: Any) -> bytes:
    """A damaged row must not keep the gateway from starting; checking the log finds it."""
    return value if isinstance(value, bytes) else repr(value).encode()

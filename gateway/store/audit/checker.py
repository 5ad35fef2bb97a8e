"""The checking end of the log: fed one row after another, it says what first does not hold.

Pure and of constant memory. What is checked depends on what the reader has: each row's HMAC with
the vault's key, the checkpoints' signatures with the public key, anchors where there are any.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.store.audit.anchors import Anchor, BadAnchor, in_order
from gateway.store.audit.checkpoint import CHECKPOINT, RETENTION, Checkpoint, read_checkpoint
from gateway.store.audit.hashes import GENESIS, SIZE, digest_of, head_of, mac_of, next_hash
from gateway.store.audit.rows import FoundRow
from gateway.store.audit.verdict import Fault, Verdict


class Place(msgspec.Struct, frozen=True):
    """A point in the log to go on from: a row, its mac, its hash, and the checkpoint before it."""

    seq: int = 0
    mac: bytes = GENESIS
    hash: bytes = GENESIS
    checkpoint: int | None = 0


class Checker:
    """Feed it rows, then `finish`; `verdict` fills meanwhile. Stop at the first `False`.

    `after`: the place before the first row; None where the log may begin with a checkpoint, as
    one does whose oldest rows were removed in their time. `key`: the vault's HMAC key.
    """

    def __init__(
        self,
        *,
        key: bytes | None,
        public_key: Ed25519PublicKey | None,
        anchors: Iterable[Anchor] = (),
        after: Place | None = None,
    ) -> None:
        self.verdict = Verdict(sealed=key is not None)
        self.place = after or Place()
        self._begun = after is not None
        self._key = key
        self._public_key = public_key
        self._anchors = in_order(anchors)
        self._anchor: Anchor | None = None
        self._least = 0
        self._removed: int | None = None
        self._proven = self.place.checkpoint or 0
        self._next_anchor()

    def feed(self, row: FoundRow) -> bool:
        """Check one row; False where it, or one before it, does not hold."""
        verdict, seq = self.verdict, row.seq
        if not self._begun:
            self._begin(row)
        expected = self.place.seq + 1
        if seq != expected:
            fault = Fault.MISSING if seq > expected else Fault.REORDERED
            return self._fail(fault, expected, _gap(expected, seq))
        head, problem = self._head(row)
        if head is None:
            return self._fail(Fault.CHANGED, seq, problem)
        digest = digest_of(head, row.body, row.mac)
        after = next_hash(self.place.hash, digest)
        if row.hash is not None and row.hash != after:
            return self._fail(Fault.CHANGED, seq, f"row {seq} is not what its hash says")
        checkpoint = self.place.checkpoint
        if row.kind == CHECKPOINT:
            if not self._checkpoint(row):
                return False
            checkpoint = seq
        if row.kind == RETENTION:
            self._removed = _removed(row.body) or self._removed
        self.place = Place(seq, row.mac, after, checkpoint)
        verdict.rows += 1
        verdict.checked_to = seq
        if verdict.first_seq is None:
            verdict.first_seq = seq
        return self._meet_anchors()

    def pass_digest(self, seq: int, digest: bytes) -> bool:
        """Go over a row of which only the digest is shown."""
        if not self._begun:
            return self._fail(Fault.MISSING, seq, "an export begins with a row, not with a digest")
        if seq != self.place.seq + 1:
            expected = self.place.seq + 1
            fault = Fault.MISSING if seq > expected else Fault.REORDERED
            return self._fail(fault, expected, _gap(expected, seq))
        after = next_hash(self.place.hash, digest)
        # Its mac is not shown; the next checkpoint tells it again.
        self.place = Place(seq, b"", after, self.place.checkpoint)
        self.verdict.hidden += 1
        self.verdict.checked_to = seq
        return self._meet_anchors()

    def jump(self, first: int, last: int, checkpoint: Checkpoint) -> bool:
        """Go over rows of which nothing is shown, to the signed checkpoint that follows them."""
        if not self._begun or first != self.place.seq + 1 or last < first:
            expected = self.place.seq + 1
            return self._fail(Fault.MISSING, expected, _gap(expected, first))
        if checkpoint.through != last:
            return self._fail(
                Fault.MISSING, first, f"rows {first} to {last} are skipped to no checkpoint"
            )
        place = place_before(checkpoint)
        self.place = msgspec.structs.replace(place, checkpoint=self.place.checkpoint)
        self.verdict.hidden += last - first + 1
        self.verdict.checked_to = last
        return self._meet_anchors()

    def finish(self, *, whole: bool = True) -> Verdict:
        """Say what was found. `whole`: the end of the log was reached, so anchors must be met."""
        verdict = self.verdict
        verdict.head = max(verdict.head, self.place.seq)
        verdict.unsigned = self.place.seq - (self.place.checkpoint or 0)
        if not whole or not verdict.ok:
            return verdict
        if self._anchor is not None:
            self._least = max(self._least, self._anchor.least)
        last, wanted = self.place.seq, self._least
        if last < wanted:
            self._fail(
                Fault.TRUNCATED,
                last + 1,
                f"the log ends with row {last}, an anchor tells of row {wanted}:"
                " what follows was cut off",
            )
        return verdict

    def assert_begin(self) -> None:
        """Hold a log that begins late to the row in it that tells of the removal."""
        first = self.verdict.first_seq
        if self.verdict.ok and first is not None and first > 1 and self._removed != first - 1:
            self._fail(
                Fault.MISSING,
                1,
                f"rows 1 to {first - 1} are missing, and no row of the kind `retention` tells of"
                " their removal",
            )

    def _begin(self, row: FoundRow) -> None:
        self._begun = True
        if row.seq == 1 or row.kind != CHECKPOINT or not isinstance(row.body, bytes):
            return
        checkpoint = read_checkpoint(row.body)
        if checkpoint is not None and checkpoint.through == row.seq - 1:
            self.place = place_before(checkpoint)
            self._proven = checkpoint.through
            # Those of rows that were removed in their time.
            while self._anchor is not None and self._anchor.seq < checkpoint.through:
                self._next_anchor()

    def _head(self, row: FoundRow) -> tuple[bytes | None, str]:
        """The sealed bytes of a row, where its HMAC holds or none can be checked."""
        body, mac = row.body, row.mac
        whole = isinstance(body, bytes) and isinstance(mac, bytes) and len(mac) == SIZE
        if not whole:
            return None, f"row {row.seq} was changed: it is not stored as it was written"
        try:
            head = head_of(row.seq, row.at_us, row.kind, row.account, row.order_id)
        except (TypeError, ValueError, OverflowError):
            return None, f"row {row.seq} was changed: its columns hold what no row does"
        if self._key is None or not self.place.mac:
            return head, ""
        if not hmac.compare_digest(mac_of(self._key, self.place.mac, head, body), mac):
            return None, f"row {row.seq} was changed, or the row before it was"
        return head, ""

    def _checkpoint(self, row: FoundRow) -> bool:
        place, seq = self.place, row.seq
        found = read_checkpoint(row.body)
        if found is None or found.at_us != row.at_us:
            return self._fail(Fault.FORGED, seq, f"row {seq} is no checkpoint of the gateway's")
        if self._public_key is not None and not found.is_signed_by(self._public_key):
            return self._fail(
                Fault.FORGED, seq, f"the checkpoint in row {seq} is not signed by this log's key"
            )
        fits = found.through == place.seq and found.hash == place.hash.hex()
        if place.mac and found.mac != place.mac.hex():
            fits = False
        if not fits:
            return self._fail(
                Fault.REWRITTEN,
                self._proven + 1,
                f"rows {self._proven + 1} to {place.seq} fit each other, but are not those that"
                f" the checkpoint in row {seq} signs",
            )
        if place.checkpoint is not None and found.previous != place.checkpoint:
            return self._fail(
                Fault.REWRITTEN,
                seq,
                f"the checkpoint in row {seq} follows one in row {found.previous}, which is not"
                f" the one before it here ({place.checkpoint})",
            )
        self._proven = seq
        self.verdict.checkpoints += 1
        return True

    def _meet_anchors(self) -> bool:
        while self._anchor is not None and self._anchor.seq <= self.place.seq:
            anchor, place = self._anchor, self.place
            if anchor.seq == place.seq:
                if not anchor.fits(place.hash, place.mac):
                    return self._fail(
                        Fault.REWRITTEN,
                        self._proven + 1,
                        f"row {place.seq} is not the one that an anchor was made of: rows"
                        f" {self._proven + 1} to {place.seq} were written anew",
                    )
                self.verdict.anchors += 1
                self._proven = place.seq
            self._least = anchor.least
            self._next_anchor()
        return self.verdict.ok

    def _next_anchor(self) -> None:
        try:
            self._anchor = next(self._anchors, None)
        except BadAnchor as error:
            self._anchor = None
            self._fail(Fault.ANCHOR, None, str(error))

    def _fail(self, fault: Fault, seq: int | None, problem: str) -> bool:
        self.verdict.fail(fault, seq, problem)
        return False


def feed_all(checker: Checker, rows: Iterator[FoundRow]) -> bool:
    """Feed rows until one does not hold; False then."""
    return all(checker.feed(row) for row in rows)


def place_before(checkpoint: Checkpoint) -> Place:
    """Where the log stood when a checkpoint was made; which one came before it is not known."""
    return Place(
        checkpoint.through,
        bytes.fromhex(checkpoint.mac),
        bytes.fromhex(checkpoint.hash),
        None,
    )


def _gap(expected: int, found: int) -> str:
    if found > expected:
        rows = f"row {expected} is" if found == expected + 1 else f"rows {expected} to {found - 1}"
        return f"{rows} {'missing' if rows.endswith('is') else 'are missing'}"
    return f"row {found} stands where row {expected} belongs"


def _removed(body: bytes) -> int | None:
    try:
        found = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return None
    through = found.get("through") if isinstance(found, dict) else None
    return through if isinstance(through, int) else None

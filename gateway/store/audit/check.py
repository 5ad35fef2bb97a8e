"""Checks the log of a journal: streaming, on any connection that can read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.store.audit.anchors import Anchor
from gateway.store.audit.checker import Checker, Place
from gateway.store.audit.checker import place_before as _before
from gateway.store.audit.checkpoint import read_checkpoint
from gateway.store.audit.hashes import GENESIS, digest_of, head_of, mac_of, next_hash
from gateway.store.audit.rows import FoundRow, read_rows
from gateway.store.audit.verdict import Fault, Verdict

_BATCH = 500
_NEAR = 32
_TELL_EVERY = 10_000

Rest = Callable[[float], bool]
"""Called every few hundred rows with the seconds that they took; False breaks the check off."""


class CheckStopped(RuntimeError):
    """A check was broken off, since the journal is being closed."""


def check_log(
    connection: apsw.Connection,
    key: bytes | None,
    public_key: Ed25519PublicKey | None,
    *,
    anchors: Iterable[Anchor] = (),
    after: int = 0,
    most: int | None = None,
    rest: Rest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Walk the log and say what first does not hold.

    `after` and `most` check a part; the row `after` itself is trusted then. `rest` lets a gateway
    that checks itself go on with its work. `progress` is told how far it is, and how far it goes.

    Raises: `CheckStopped`.
    """
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").get
    if after and not connection.execute("SELECT 1 FROM audit WHERE seq=?", (after,)).fetchone():
        problem = f"row {after}, after which the check was to begin, is missing"
        return Verdict(ok=False, fault=Fault.MISSING, first_bad_seq=after, problem=problem)
    place = _place_after(connection, after) if after else None
    until = last if most is None else min(after + most, last)
    checker = Checker(
        key=key, public_key=public_key, anchors=anchors, after=place or _genesis(connection)
    )
    verdict = checker.verdict
    verdict.head = last
    verdict.checked_to = after
    rows = _rows(connection, after, until, rest)
    try:
        for row in rows:
            if not checker.feed(row):
                _diagnose(connection, checker, row, key)
                break
            if progress is not None and row.seq % _TELL_EVERY == 0:
                progress(row.seq, until)
    except apsw.Error as error:
        seq = checker.place.seq + 1
        verdict.fail(
            Fault.UNREADABLE, seq, f"row {seq} cannot be read: the file is damaged ({error})"
        )
    if verdict.ok and checker.place.seq < until:
        seq = checker.place.seq + 1
        verdict.fail(Fault.MISSING, seq, f"rows {seq} to {until} are missing")
    checker.finish(whole=until == last)
    if until == last and not after:
        checker.assert_begin()
    return verdict


def _rows(
    connection: apsw.Connection, after: int, until: int, rest: Rest | None
) -> Iterator[FoundRow]:
    """In batches: one long read would keep the write-ahead log from being folded in."""
    while after < until:
        begun = time.monotonic()
        rows = read_rows(connection, after, until, _BATCH)
        if not rows:
            return
        yield from rows
        after = rows[-1].seq
        if rest is not None and after < until and not rest(time.monotonic() - begun):
            raise CheckStopped


def _genesis(connection: apsw.Connection) -> Place | None:
    """FoundRow 1 begins the log; one that begins later begins with a checkpoint, if it is whole."""
    row: Any = connection.execute("SELECT seq, kind FROM audit ORDER BY seq LIMIT 1").fetchone()
    return None if row is not None and row[0] > 1 and row[1] == "checkpoint" else Place()


def place_at_checkpoint(connection: apsw.Connection, seq: int) -> Place:
    """Where to begin so that the first row proves itself: at a checkpoint up to row `seq` + 1.

    Where there is none, at the first row that is left.
    """
    found: Any = connection.execute(
        "SELECT body FROM audit WHERE kind='checkpoint' AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (seq + 1,),
    ).fetchone()
    if found is None:
        found = connection.execute(
            "SELECT body FROM audit WHERE seq = (SELECT min(seq) FROM audit)"
            " AND kind='checkpoint' AND seq > 1"
        ).fetchone()
    checkpoint = read_checkpoint(found[0]) if found and isinstance(found[0], bytes) else None
    return Place() if checkpoint is None else _before(checkpoint)


def _place_after(connection: apsw.Connection, seq: int) -> Place | None:
    """Work out the place at row `seq`, from the checkpoint before it. None: begin at the start."""
    found: Any = connection.execute(
        "SELECT seq, body FROM audit WHERE kind='checkpoint' AND seq <= ?"
        " ORDER BY seq DESC LIMIT 1",
        (seq,),
    ).fetchone()
    place = Place()
    if found is not None:
        checkpoint = read_checkpoint(found[1]) if isinstance(found[1], bytes) else None
        if checkpoint is None:
            return None
        place = msgspec.structs.replace(_before(checkpoint), checkpoint=found[0])
    at, mac, chain = place.seq, place.mac, place.hash
    for row in _rows(connection, at, seq, None):
        head = head_of(row.seq, row.at_us, row.kind, row.account, row.order_id)
        at, mac, chain = row.seq, row.mac, next_hash(chain, digest_of(head, row.body, row.mac))
    return Place(at, mac, chain, place.checkpoint)


def _diagnose(
    connection: apsw.Connection, checker: Checker, bad: FoundRow, key: bytes | None
) -> None:
    """Look around a row that does not hold: was it moved, or something before it taken out?"""
    verdict = checker.verdict
    if verdict.fault is not Fault.CHANGED or key is None:
        return
    near = read_rows(connection, max(bad.seq - _NEAR, 0), bad.seq + _NEAR, 2 * _NEAR)
    macs = [row.mac for row in near if isinstance(row.mac, bytes)] + [GENESIS]
    came_from = _written_at(key, bad, macs)
    if came_from is not None and came_from != bad.seq:
        verdict.fault = Fault.REORDERED
        verdict.problem = f"row {bad.seq} was written as row {came_from}: rows were reordered"
        return
    following = next((row for row in near if row.seq == bad.seq + 1), None)
    if following is None or not isinstance(bad.mac, bytes):
        return
    was = _written_at(key, following, [bad.mac])
    if was is not None and was > following.seq:
        verdict.fault = Fault.MISSING
        verdict.problem = (
            f"{was - following.seq} rows before row {bad.seq} are missing, and those after them"
            " were numbered anew"
        )
    elif was is not None and was < following.seq:
        verdict.fault = Fault.ADDED
        verdict.problem = f"rows before row {following.seq} were added, or written twice"


def _written_at(key: bytes, row: FoundRow, macs: list[bytes]) -> int | None:
    """The number under which the gateway wrote this row, if it stood near."""
    if not (isinstance(row.body, bytes) and isinstance(row.mac, bytes)):
        return None
    for seq in range(max(row.seq - _NEAR, 1), row.seq + _NEAR + 1):
        head = head_of(seq, row.at_us, row.kind, row.account, row.order_id)
        if any(mac_of(key, mac, head, row.body) == row.mac for mac in macs):
            return seq
    return None

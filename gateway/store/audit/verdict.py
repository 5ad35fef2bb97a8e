"""What a check of the log finds."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Fault(StrEnum):
    """What is wrong with the first row that does not hold.

    CHANGED: its content is not what was written. MISSING: rows before it are gone. REORDERED: it
    is whole, but was written elsewhere. ADDED: it was never written by the gateway. FORGED: a
    checkpoint without a good signature. REWRITTEN: the rows fit each other, but not a signed
    checkpoint or an anchor. TRUNCATED: an anchor, or the export's own end, tells of more rows.
    UNREADABLE: the file itself is damaged. ANCHOR: the anchor cannot be used.
    """

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    ADDED = "added"
    FORGED = "forged"
    REWRITTEN = "rewritten"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    ANCHOR = "anchor"


class Verdict(msgspec.Struct, kw_only=True):
    """What was checked, and the first thing found wrong. `ok`: nothing was.

    `first_seq` to `checked_to` are the rows that were looked at and hold, `rows` how many; `head`
    is the newest there is, further on where only a part was asked for. `unsigned` is
    the number of rows at the end that no checkpoint covers yet. `sealed`: each row's HMAC was
    checked, which takes the vault; without it, changes show by the signatures only. `hidden` rows
    of an export are there as digests or not at all. `done` is false where only a part was asked
    for. `notes` are what a reader should know although nothing is wrong.
    """

    ok: bool = True
    fault: Fault | None = None
    first_bad_seq: int | None = None
    problem: str | None = None
    first_seq: int | None = None
    checked_to: int = 0
    head: int = 0
    rows: int = 0
    hidden: int = 0
    checkpoints: int = 0
    anchors: int = 0
    unsigned: int = 0
    sealed: bool = False
    public_key: str | None = None
    notes: list[str] = []

    def fail(self, fault: Fault, seq: int | None, problem: str) -> None:
        """Note the first thing that is wrong; what comes after it is not told."""
        if self.ok:
            self.ok, self.fault, self.first_bad_seq, self.problem = False, fault, seq, problem

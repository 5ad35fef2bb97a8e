"""What keeps the practice broker's books over a crash: one append-only file, synced per change.

A line is the day that the book is of, or an order as it was after a change; of one order the
last line counts. A line without its end was never answered to anybody, so it is cut off. A
file that is damaged anywhere else is left as it is and refused: orders may not vanish.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from adapters.paper.account import Day
from adapters.sdk.simulator import SimOrder


class Entry(msgspec.Struct, frozen=True, tag="order"):
    """An order after a change."""

    order: SimOrder


class LedgerDamaged(Exception):
    """The file holds what was never written to it."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Day | Entry).decode


class Ledger:
    """The file. Every method blocks: call it on a thread, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Day | None, list[SimOrder]]:
        """Read the day and its orders, oldest first; None where nothing was kept yet.

        Raises: `LedgerDamaged`, `OSError`.
        """
        if not self._path.exists():
            return None, []
        day: Day | None = None
        orders: dict[str, SimOrder] = {}
        good = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = _decode(line)
                except msgspec.MsgspecError as error:
                    raise LedgerDamaged(f"{self._path} line {number}: {error}") from error
                good += len(line)
                if isinstance(entry, Day):
                    day = entry
                else:
                    orders[entry.order.broker_order_id] = entry.order
        if good < self._path.stat().st_size:
            os.truncate(self._path, good)
        if day is None and orders:
            raise LedgerDamaged(f"{self._path} does not say of which day it is")
        return day, sorted(orders.values(), key=lambda order: order.number)

    def append(self, lines: bytes) -> None:
        """Add lines of `lines_of`, durably."""
        with self._path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, lines: bytes) -> None:
        """Replace the whole file, durably: the old one stays until the new one is on disk."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def lines_of(orders: Iterable[SimOrder], day: Day | None = None) -> bytes:
    """Write orders as lines, after the day where one is given. Quick: it may run anywhere."""
    first = [_encode(day) + b"\n"] if day is not None else []
    return b"".join([*first, *(_encode(Entry(order)) + b"\n" for order in orders)])

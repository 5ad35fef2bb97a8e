"""How many calls of each class one account may have under way at once.

Each class has places of its own, so placements that hang never take those of a cancel or of a
book read, and one account's calls never those of another.
"""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """The class of a call; the smaller goes first where calls wait for the same thing."""

    CANCEL = 0
    RECONCILE = 1
    PLACE = 2
    READ = 3


# Together no more than `OrderTransport` opens connections, so nothing waits below this line.
CAPACITY = {Priority.CANCEL: 4, Priority.RECONCILE: 2, Priority.PLACE: 8, Priority.READ: 3}


class Lanes:
    """Counts the calls under way, by class."""

    __slots__ = ("_capacity", "_used")

    def __init__(self, capacity: dict[Priority, int] | None = None) -> None:
        wanted = capacity or CAPACITY
        self._capacity = [wanted[priority] for priority in Priority]
        self._used = [0] * len(Priority)

    def has_room(self, priority: Priority) -> bool:
        return self._used[priority] < self._capacity[priority]

    def take(self, priority: Priority) -> None:
        self._used[priority] += 1

    def give_back(self, priority: Priority) -> None:
        self._used[priority] -= 1

    def used(self, priority: Priority) -> int:
        return self._used[priority]

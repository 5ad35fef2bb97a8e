"""How far the switch is thrown, for what, by whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from gateway.orders.times import rfc3339


class Level(StrEnum):
    """From the mildest to the hardest; each includes what the ones before it forbid.

    REDUCE_ONLY: nothing that could open or turn a position. HALT_NEW: nothing new. CANCEL_ALL:
    and every open order is cancelled. SQUARE_OFF: and positions are closed.
    """

    REDUCE_ONLY = "REDUCE_ONLY"
    HALT_NEW = "HALT_NEW"
    CANCEL_ALL = "CANCEL_ALL"
    SQUARE_OFF = "SQUARE_OFF"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level, 1)}


class Scope(StrEnum):
    GLOBAL = "global"
    BROKER = "broker"
    ACCOUNT = "account"
    STRATEGY = "strategy"
    KEY = "key"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch is asked about: where a leg goes, and whose it is."""

    account: str
    broker: str
    strategy: str | None = None
    keys: tuple[str, ...] = ()

    def is_in(self, scope: Scope, target: str | None) -> bool:
        match scope:
            case Scope.GLOBAL:
                return True
            case Scope.BROKER:
                return self.broker == target
            case Scope.ACCOUNT:
                return self.account == target
            case Scope.STRATEGY:
                return self.strategy is not None and self.strategy == target
            case Scope.KEY:
                return target in self.keys


class Progress(StrEnum):
    """Of what a level does beyond refusing: cancelling, and closing positions."""

    NONE = "none"
    RUNNING = "running"
    DONE = "done"


class Engagement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One throw of the switch. `target` is None for the global scope.

    `source`: `api`, `signal`, `duplicate`, `restore` and others; `kill_file`, `journal` and
    `unreadable` live in memory only. `progress` is RUNNING until the cancels
    and closing orders that its level asks for have been seen through, so that a restart can go on.
    """

    id: str
    scope: Scope
    target: str | None
    level: Level
    reason: str
    source: str
    engaged_us: int
    actor: dict[str, Any] = {}
    progress: Progress = Progress.NONE

    def covers(self, subject: Subject) -> bool:
        return subject.is_in(self.scope, self.target)

    @property
    def place(self) -> tuple[Scope, str | None]:
        return (self.scope, self.target)

    def words(self) -> str:
        where = self.scope if self.target is None else f"{self.scope} {self.target}"
        return (
            f"{self.level} is engaged for {where} since {rfc3339(self.engaged_us)}: {self.reason}"
        )

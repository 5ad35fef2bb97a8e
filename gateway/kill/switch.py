"""The switch itself, in memory: what every sender looks at just before its first byte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.sdk.errors import Denied, ReasonCode
from gateway.kill.levels import Engagement, Level, Scope, Subject
from gateway.orders.records import Reason
from gateway.orders.times import now_us, rfc3339

JOURNAL = "journal"
KILL_FILE_SOURCE = "kill_file"
UNREADABLE = "unreadable"
RESTORED = "restore"


class KillSwitchEngaged(Denied):
    """The switch refuses this write; nothing was sent. `details` says how it stands."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message, reason=ReasonCode.KILL_SWITCH)
        self.details = details

    def as_reason(self) -> Reason:
        return Reason(code=self.reason, message=self.message, details=self.details, retryable=True)


class KillSwitch:
    """Who is stopped, and how far. `epoch` changes with every change, so a sender can compare.

    Everything here is one assignment after another with nothing awaited: once a method returns,
    no sender of this process that looks again can miss the change. Conditions are what engages by
    itself (an unwritable journal, the KILL file, a row that cannot be read): global, HALT_NEW, in
    memory, and gone when their cause is.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._engaged: dict[tuple[Scope, str | None], Engagement] = {}
        self._conditions: dict[str, Engagement] = {}

    def restore(self, engagements: Iterable[Engagement]) -> None:
        """Take over what an earlier run kept; what was engaged meanwhile stays where higher."""
        for engagement in engagements:
            known = self._engaged.get(engagement.place)
            if known is None or known.level.rank < engagement.level.rank:
                self._engaged[engagement.place] = engagement
        self.epoch += 1

    def engage(self, engagement: Engagement) -> None:
        """Throw the switch. The caller has made sure that this lowers nothing."""
        self._engaged[engagement.place] = engagement
        self.epoch += 1

    def release(self, scope: Scope, target: str | None) -> None:
        self._engaged.pop((scope, target), None)
        self.epoch += 1

    def at(self, scope: Scope, target: str | None) -> Engagement | None:
        return self._engaged.get((scope, target))

    def update(self, engagement: Engagement) -> None:
        """Note progress of an engagement that is still the one in force there."""
        known = self._engaged.get(engagement.place)
        if known is not None and known.id == engagement.id:
            self._engaged[engagement.place] = engagement

    def set_condition(self, source: str, reason: str) -> None:
        """Engage HALT_NEW globally for a cause that this process sees. Safe on any thread."""
        if source in self._conditions:
            return
        condition = Engagement(
            id=source,
            scope=Scope.GLOBAL,
            target=None,
            level=Level.HALT_NEW,
            reason=reason,
            source=source,
            engaged_us=now_us(),
        )
        # A new dict, since another thread may be walking over the old one; and before the epoch,
        # so that whoever reads the new epoch finds the condition.
        self._conditions = {**self._conditions, source: condition}
        self.epoch += 1

    def clear_condition(self, source: str) -> None:
        if source in self._conditions:
            kept = self._conditions.items()
            self._conditions = {name: cause for name, cause in kept if name != source}
            self.epoch += 1

    def condition(self, source: str) -> Engagement | None:
        return self._conditions.get(source)

    @property
    def journal_broken(self) -> bool:
        return JOURNAL in self._conditions

    def all(self) -> list[Engagement]:
        """Everything in force, oldest first."""
        found = [*self._conditions.values(), *self._engaged.values()]
        return sorted(found, key=lambda engagement: engagement.engaged_us)

    def on(self, subject: Subject) -> Engagement | None:
        """Return the highest engagement that applies to the subject, or None."""
        if not self._engaged and not self._conditions:
            return None
        applying = [
            engagement
            for engagement in (*self._conditions.values(), *self._engaged.values())
            if engagement.covers(subject)
        ]
        return max(applying, key=lambda engagement: engagement.level.rank, default=None)


def refusal(engagement: Engagement, why: str = "", **details: Any) -> KillSwitchEngaged:
    """The refusal that an engagement means; `why` adds what this write lacks."""
    words = engagement.words()
    return KillSwitchEngaged(
        f"{words}; {why}" if why else words,
        {
            "scope": engagement.scope,
            "target": engagement.target,
            "level": engagement.level,
            "engaged_at": rfc3339(engagement.engaged_us),
            **details,
        },
    )

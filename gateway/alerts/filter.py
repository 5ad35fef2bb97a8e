"""Holds back alerts that say the same again, and floods of one rule."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.alerts.alert import Alert, Rule, Severity, make_alert
from gateway.store.alerts import Told

_HOUR_US = 3600 * 1_000_000


class Repeats:
    """What was told and when. `most_per_hour`: of one rule, whatever it is about."""

    def __init__(self, *, repeat_after_us: int, most_per_hour: int) -> None:
        self.repeat_after_us = repeat_after_us
        self._most_per_hour = most_per_hour
        self._told: dict[str, Told] = {}
        self._changed: set[str] = set()
        self._hours: dict[Rule, tuple[int, int]] = {}

    def restore(self, told: Iterable[Told]) -> None:
        """Take over what an earlier run told."""
        self._told.update((each.subject, each) for each in told)

    def changed(self) -> list[Told]:
        """Return what changed since this was last asked."""
        changed = [self._told[subject] for subject in self._changed if subject in self._told]
        self._changed.clear()
        return changed

    def pass_on(self, alert: Alert, now_us: int) -> list[Alert]:
        """Return what is to be told of an alert: itself, nothing, or that more are held back."""
        key = f"{alert.rule} {alert.subject}"
        known = self._told.get(key)
        if known is not None and 0 <= now_us - known.at_us < self.repeat_after_us:
            self._note(Told(key, known.at_us, known.held + 1))
            return []
        begun, count = self._hours.get(alert.rule, (now_us, 0))
        if now_us - begun >= _HOUR_US:
            begun, count = now_us, 0
        self._hours[alert.rule] = (begun, count + 1)
        if count > self._most_per_hour:
            return []
        if count == self._most_per_hour:
            left_min = (begun + _HOUR_US - now_us) // 60_000_000 + 1
            text = (
                f"more than {count} alerts of the rule {alert.rule} within an hour: more of them"
                f" are held back for {left_min} minutes; look at the log and the console"
            )
            return [make_alert(alert.rule, Severity.CRITICAL, text, "flood", at_us=now_us)]
        self._prune(now_us)
        self._note(Told(key, now_us, 0))
        held = known.held if known is not None else 0
        return [msgspec.structs.replace(alert, repeated=held)]

    def _note(self, told: Told) -> None:
        self._told[told.subject] = told
        self._changed.add(told.subject)

    def _prune(self, now_us: int) -> None:
        if len(self._told) < 10_000:
            return
        old = [s for s, told in self._told.items() if now_us - told.at_us > self.repeat_after_us]
        for subject in old:
            del self._told[subject]

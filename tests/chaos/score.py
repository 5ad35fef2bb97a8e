"""What a run amounts to in figures: the one line, and the shares by whether the tag comes back."""

from __future__ import annotations

from collections import Counter

import msgspec

from gateway.orders.records import Leg
from gateway.orders.states import LegState, Outcome, outcome_of
from tests.chaos.checker import Violation, operated
from tests.chaos.evidence import Did, Evidence
from tests.chaos.faults import NOT_TRANSIENT

_LOST = frozenset(
    {
        "every_broker_order_is_known",
        "accepted_was_placed",
        "every_id_survives",
        "failed_means_nothing_live",
        "found_when_it_is_there",
    }
)
_UNDECLARED = frozenset({"settled_after_faults", "unproven_is_declared"})


class Share(msgspec.Struct, kw_only=True):
    """`good` of `of`."""

    good: int = 0
    of: int = 0

    def count(self, good: bool) -> None:
        self.of += 1
        self.good += good

    def __str__(self) -> str:
        percent = f"{100 * self.good / self.of:.2f} %" if self.of else "-"
        return f"{percent} ({self.good}/{self.of})"


class Score(msgspec.Struct, kw_only=True):
    """`recovered`: legs whose place met a fault that passes, or a kill on its way, and that ended
    in the truth by themselves. `succeeded`: what a client meant for an account and the broker
    would have taken, and that ended accepted. Both by whether the broker echoes the tag.
    """

    orders: int
    legs: int
    faults: int
    kills: int
    duplicates: int
    lost: int
    undeclared: int
    other_violations: int
    recovered: dict[str, Share]
    succeeded: dict[str, Share]
    states: dict[str, int]
    faults_by_action: dict[str, int]
    kills_by_point: dict[str, int]

    def line(self) -> str:
        return (
            f"orders {self.orders}, legs {self.legs}, faults {self.faults}, kills {self.kills},"
            f" duplicates {self.duplicates}, lost {self.lost},"
            f" unproven left undeclared {self.undeclared},"
            f" other violations {self.other_violations};"
            f" recovered: echo {self.recovered['echo']}, no echo {self.recovered['no echo']};"
            f" succeeded: echo {self.succeeded['echo']}, no echo {self.succeeded['no echo']}"
        )


def score(evidence: Evidence, violations: list[Violation]) -> Score:
    broken = Counter(violation.invariant for violation in violations)
    duplicates = broken["at_most_one_order_per_tag"]
    lost = sum(count for name, count in broken.items() if name in _LOST)
    undeclared = sum(count for name, count in broken.items() if name in _UNDECLARED)
    return Score(
        orders=len(evidence.journal.orders),
        legs=len(evidence.journal.legs),
        faults=len(evidence.struck),
        kills=len(evidence.crashes),
        duplicates=duplicates,
        lost=lost,
        undeclared=undeclared,
        other_violations=len(violations) - duplicates - lost - undeclared,
        recovered=_recovered(evidence),
        succeeded=_succeeded(evidence),
        states=dict(Counter(leg.state.value for leg in evidence.journal.legs)),
        faults_by_action=dict(Counter(f"{s.kind} {s.action}" for s in evidence.struck)),
        kills_by_point=dict(Counter(crash.point for crash in evidence.crashes)),
    )


def is_true(evidence: Evidence, leg: Leg) -> bool:
    """Whether what the gateway says of a leg is what happened, with nobody's help."""
    if operated(evidence, leg):
        return False
    rows = [row for row in evidence.at_broker(leg) if row.status != "REJECTED"]
    outcome = outcome_of(leg.state)
    if outcome is Outcome.ACCEPTED:
        return any(row.broker_order_id == leg.broker_order_id for row in rows)
    if outcome in (Outcome.REJECTED, Outcome.NOT_SENT, Outcome.ABSENT):
        return not rows
    # Looked for in vain, and watched until the day's end: true when nothing is there.
    return leg.state is LegState.NOT_FOUND and not rows


def _recovered(evidence: Evidence) -> dict[str, Share]:
    struck = {s.tag for s in evidence.struck if s.kind == "place" and s.action not in NOT_TRANSIENT}
    killed = {
        row.leg_id
        for row in evidence.journal.audit
        if row.event == "restart" and row.to is LegState.UNKNOWN
    }
    shares = {"echo": Share(), "no echo": Share()}
    for leg in evidence.journal.legs:
        if f"{leg.broker_tag:015d}" in struck or leg.leg_id in killed:
            shares[_echo(evidence, leg.account)].count(is_true(evidence, leg))
    return shares


def _succeeded(evidence: Evidence) -> dict[str, Share]:
    """Per intent and account: accepted under any of its keys, where the broker would have it.

    Left out are those that the broker refused or lost on its side of the wire after it had (or
    may have had) the whole request: nothing may repeat these, so nobody can make them succeed.
    """
    wanted: dict[tuple[str, str], list[Leg]] = {}
    legs = {(leg.order_id, leg.account): leg for leg in evidence.journal.legs}
    for event in evidence.history:
        if event.did is not Did.ANSWERED or event.order is None or event.intent is None:
            continue
        for view in event.order["legs"]:
            leg = legs.get((event.order["order_id"], view["account"]))
            if leg is not None:
                wanted.setdefault((event.intent, leg.account), []).append(leg)
    shares = {"echo": Share(), "no echo": Share()}
    for (_, account), tries in wanted.items():
        accepted = any(outcome_of(leg.state) is Outcome.ACCEPTED for leg in tries)
        if accepted or not any(_broker_would_not(evidence, leg) for leg in tries):
            shares[_echo(evidence, account)].count(accepted)
    return shares


def _broker_would_not(evidence: Evidence, leg: Leg) -> bool:
    rows = evidence.at_broker(leg)
    if outcome_of(leg.state) is Outcome.REJECTED:
        return not (leg.reason and leg.reason.retryable)
    return outcome_of(leg.state) is Outcome.UNKNOWN and not rows


def _echo(evidence: Evidence, account: str) -> str:
    echoes = {info.id for info in evidence.accounts if info.echoes}
    return "echo" if account in echoes else "no echo"

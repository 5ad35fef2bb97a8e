"""The breaker's table of states, on a clock of its own."""

from __future__ import annotations

import pytest

from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    LoginRefused,
    NotSent,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
    Refused,
)
from gateway.calls.breaker import (
    Breaker,
    BreakerSettings,
    BreakerState,
    CallClass,
    Change,
    Verdict,
)
from gateway.calls.health import verdict_of
from tests.calls.clock import Clock

CLOSED, OPEN = BreakerState.CLOSED, BreakerState.OPEN
HALF_OPEN, ISOLATED = BreakerState.HALF_OPEN, BreakerState.ISOLATED


class Rig:
    def __init__(self, call_class: CallClass = CallClass.PLACE) -> None:
        self.clock = Clock()
        self.changes: list[Change] = []
        settings = BreakerSettings(probed_by_reads=call_class is CallClass.PLACE)
        self.breaker = Breaker(call_class, settings, self.changes.append, self.clock)

    def feed(self, *verdicts: Verdict, every_s: float = 1.0) -> BreakerState:
        for verdict in verdicts:
            self.breaker.record(verdict, "boom")
            self.clock.advance(every_s)
        return self.breaker.state

    def opened(self) -> Rig:
        self.feed(*[Verdict.FAILED] * 3)
        assert self.breaker.state is OPEN
        return self

    def half_opened(self) -> Rig:
        self.opened()
        self.clock.advance(5)
        self.breaker.read_result(good=True)
        assert self.breaker.state is HALF_OPEN
        return self


G, A, S = Verdict.GOOD, Verdict.ANSWERED, Verdict.SLOW
F, U, N = Verdict.FAILED, Verdict.UNKNOWN, Verdict.NOTHING


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([F, F], CLOSED),
        ([F, F, F], OPEN),
        ([U, U, U], OPEN),
        ([F, F, G, F, F], OPEN),
        ([G, G, G, F, F], CLOSED),
        ([G, G, G, F, F, G, F], CLOSED),
        ([G, G, G, U, U], OPEN),
        ([G, G, U, U, G], CLOSED),
        ([G, G, U, U, G, F], OPEN),
        ([G, G, G, G, U, G, U], CLOSED),
        ([F, F, A, F, F], CLOSED),
        ([A] * 50, CLOSED),
        ([N, N, N, N, N, F, F], CLOSED),
        ([S, S, S, S], CLOSED),
        ([S, S, S, S, S], OPEN),
    ],
    ids=lambda value: "-".join(v[0] for v in value) if isinstance(value, list) else None,
)
def test_what_opens_a_breaker(verdicts, state):
    assert state is Rig().feed(*verdicts)


def test_failures_in_one_burst_count_once_unless_the_outcome_is_unknown():
    assert CLOSED is Rig().feed(*[F] * 20, every_s=0.02)
    assert OPEN is Rig().feed(*[U] * 3, every_s=0.02)


def test_old_calls_are_forgotten():
    rig = Rig()
    rig.feed(F, F, G, every_s=1)
    rig.clock.advance(31)
    assert CLOSED is rig.feed(F, G, F)
    assert (3, 2) == rig.breaker.counted()


def test_an_open_breaker_lets_nothing_in_however_long_it_waits_for_a_read():
    rig = Rig().opened()
    rig.clock.advance(3600)
    assert rig.breaker.enter() is None
    assert OPEN is rig.breaker.state


def test_a_read_before_the_open_time_is_over_changes_nothing():
    rig = Rig().opened()
    rig.clock.advance(1)
    rig.breaker.read_result(good=True)
    assert OPEN is rig.breaker.state


def test_half_open_lets_one_call_in_and_its_answer_closes():
    for verdict in (G, A):
        rig = Rig().half_opened()
        assert rig.breaker.enter() is True
        assert rig.breaker.enter() is None
        rig.breaker.record(verdict, trial=True)
        assert CLOSED is rig.breaker.state
        assert rig.breaker.enter() is False


def test_a_failed_trial_opens_for_twice_as_long_up_to_a_cap():
    rig = Rig().half_opened()
    open_s = []
    for _ in range(6):
        assert rig.breaker.enter() is True
        rig.breaker.record(U, trial=True)
        open_s.append(rig.breaker.retry_in_s())
        rig.clock.advance(open_s[-1])
        rig.breaker.read_result(good=True)
    assert [10, 20, 40, 60, 60, 60] == open_s


def test_a_failed_probe_read_opens_for_longer_without_a_change_of_state():
    rig = Rig().opened()
    changes = len(rig.changes)
    rig.clock.advance(5)
    rig.breaker.read_result(good=False, why="no answer")
    assert 10 == rig.breaker.retry_in_s()
    assert changes == len(rig.changes)


def test_closing_makes_the_next_open_time_short_again():
    rig = Rig().half_opened()
    rig.breaker.enter()
    rig.breaker.record(F, trial=True)
    rig.clock.advance(10)
    rig.breaker.read_result(good=True)
    rig.breaker.enter()
    rig.breaker.record(G, trial=True)
    rig.feed(F, F, F, every_s=1)
    assert 4 == rig.breaker.retry_in_s()


def test_a_trial_that_was_not_sent_is_free_for_another():
    rig = Rig().half_opened()
    assert rig.breaker.enter() is True
    rig.breaker.leave(trial=True)
    assert rig.breaker.enter() is True
    rig.breaker.record(N, trial=True)
    assert HALF_OPEN is rig.breaker.state
    assert rig.breaker.enter() is True


def test_a_late_answer_from_before_it_opened_does_not_close_a_place_breaker():
    rig = Rig().half_opened()
    rig.breaker.record(G)
    assert HALF_OPEN is rig.breaker.state


def test_other_breakers_half_open_by_their_own_next_call():
    rig = Rig(CallClass.READ).opened()
    assert rig.breaker.enter() is None
    rig.clock.advance(5)
    assert rig.breaker.enter() is True
    rig.breaker.record(G, trial=True)
    assert CLOSED is rig.breaker.state


def test_an_admission_ends_when_the_breaker_opens():
    rig = Rig()
    epoch = rig.breaker.epoch
    assert rig.breaker.admits(epoch)
    rig.opened()
    assert not rig.breaker.admits(epoch)


def test_the_operator_holds_and_lets_go():
    rig = Rig()
    rig.breaker.hold("maintenance", {"client": "ops"})
    rig.clock.advance(3600)
    rig.feed(G, F, F, F)
    rig.breaker.read_result(good=True)
    assert ISOLATED is rig.breaker.state
    assert rig.breaker.enter() is None
    rig.breaker.reset("over", {"client": "ops"})
    assert CLOSED is rig.breaker.state
    assert [(CLOSED, ISOLATED), (ISOLATED, CLOSED)] == [(c.old, c.new) for c in rig.changes]
    assert {"client": "ops"} == rig.changes[0].actor


UNKNOWN = OutcomeUnknown("x", progress=Progress.MAYBE_SENT, phase=Phase.WAIT)


@pytest.mark.parametrize(
    ("error", "on_write", "on_read"),
    [
        (None, G, G),
        (NotSent("x", phase=Phase.CONNECT), F, F),
        (NotSent("x", phase=Phase.TLS), F, F),
        (NotSent("x", phase=Phase.POOL), N, N),
        (UNKNOWN, U, F),
        (BadAnswer("x", status=502), U, F),
        (BadAnswer("x", status=429, reason=ReasonCode.RATE_LIMITED), A, A),
        (BadAnswer("x", reason=ReasonCode.IP_NOT_WHITELISTED), A, A),
        (Refused("x", reason=ReasonCode.MARGIN_SHORT), A, A),
        (Refused("x", reason=ReasonCode.BROKER_UNAVAILABLE), F, F),
        (LoginExpired("x", created_nothing=True), A, A),
        (LoginRefused("x", restart=True), A, A),
        (Denied("x", reason=ReasonCode.KILL_SWITCH), N, N),
        (RuntimeError("x"), N, N),
    ],
    ids=str,
)
def test_what_an_error_says_about_the_brokers_health(error, on_write, on_read):
    assert on_write is verdict_of(error, is_write=True)
    assert on_read is verdict_of(error, is_write=False)

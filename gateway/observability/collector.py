"""The figures of a gateway in Prometheus' shapes, read when somebody asks for them.

Labels are accounts, brokers, routes and words of fixed lists, so there are only so many series.
prometheus_client is loaded with this module, which nothing imports before the first scrape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gateway.calls.breaker import BreakerState
from gateway.kill import KillSwitch, Scope
from gateway.kill.levels import Subject
from gateway.observability.tally import Histogram, Tally
from gateway.orchestrator.account import Account
from gateway.orders.states import UNPROVEN
from gateway.store.audit import Checkpoint
from gateway.version import program_version

_ACCOUNT = ("account", "broker")
_BREAKER = {
    BreakerState.CLOSED: 0,
    BreakerState.HALF_OPEN: 1,
    BreakerState.OPEN: 2,
    BreakerState.ISOLATED: 3,
}


class GatewayCollector(Collector):
    """Made for one scrape. Accounts that `allows` refuses are left out, with all that is theirs.

    `audit_head` is the number of the newest row of the audit log, `checkpoint` the newest signed
    statement about it.
    """

    def __init__(
        self,
        tally: Tally,
        accounts: Mapping[str, Account],
        switch: KillSwitch,
        *,
        allows: Callable[[str], bool],
        audit_head: int,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._tally = tally
        self._switch = switch
        self._accounts = {name: item for name, item in accounts.items() if allows(name)}
        self._audit_head = audit_head
        self._checkpoint = checkpoint

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(
            "brokergate", "Which brokergate this is", value={"version": program_version()}
        )
        yield from self._legs()
        yield from self._calls()
        yield from self._limiters()
        yield from self._accounts_now()
        yield from self._kill()
        yield from self._journal()
        yield from self._requests()
        yield from ProcessCollector(registry=None).collect()

    def _legs(self) -> Iterator[Metric]:
        legs = CounterMetricFamily(
            "brokergate_legs", "Legs whose sending ended, by outcome", labels=(*_ACCOUNT, "outcome")
        )
        for (account, outcome), count in list(self._tally.legs.items()):
            if place := self._place(account):
                legs.add_metric((*place, outcome), count)
        yield legs
        states = CounterMetricFamily(
            "brokergate_leg_states", "States that legs entered", labels=(*_ACCOUNT, "state")
        )
        for (account, state), count in list(self._tally.states.items()):
            if place := self._place(account):
                states.add_metric((*place, state), count)
        yield states
        overhead = HistogramMetricFamily(
            "brokergate_leg_overhead_seconds",
            "From taking an order to its leg's answer, without the broker's share",
            labels=_ACCOUNT,
        )
        for account, histogram in self._tally.overhead.items():
            if place := self._place(account):
                _add(overhead, place, histogram)
        yield overhead

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "brokergate_broker_calls",
            "Calls to brokers, by what their end says of the broker's health",
            labels=(*_ACCOUNT, "class", "verdict"),
        )
        for (account, call_class, verdict), count in list(self._tally.calls.items()):
            if place := self._place(account):
                calls.add_metric((*place, call_class, verdict), count)
        yield calls
        seconds = HistogramMetricFamily(
            "brokergate_broker_call_seconds",
            "From the first byte of a call to its end",
            labels=(*_ACCOUNT, "class"),
        )
        for (account, call_class), histogram in self._tally.call_seconds.items():
            if place := self._place(account):
                _add(seconds, (*place, call_class), histogram)
        yield seconds

    def _limiters(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "brokergate_limiter_waiting",
            "Calls that wait for room in the rate limits",
            labels=(*_ACCOUNT, "priority"),
        )
        left = GaugeMetricFamily(
            "brokergate_limiter_left",
            "Messages that a rate window still has room for",
            labels=(*_ACCOUNT, "scope", "exchange", "window_s"),
        )
        paused = GaugeMetricFamily(
            "brokergate_limiter_paused_seconds",
            "How long the broker's own rate-limit answer still holds calls back",
            labels=_ACCOUNT,
        )
        for account in self._accounts.values():
            place = (account.id, account.broker)
            for priority, count in account.calls.waiting().items():
                waiting.add_metric((*place, priority.name.lower()), count)
            for view in account.calls.limits.views():
                labels = (*place, view.scope.value, view.exchange or "", f"{view.per_s:g}")
                left.add_metric(labels, view.left)
            paused.add_metric(place, account.calls.limits.pause.left_s(time.monotonic()))
        yield from (waiting, left, paused)

    def _accounts_now(self) -> Iterator[Metric]:
        unresolved = GaugeMetricFamily(
            "brokergate_unresolved_legs", "Legs whose fate is not proven", labels=_ACCOUNT
        )
        moving = GaugeMetricFamily(
            "brokergate_moving_legs", "Legs that are not over", labels=_ACCOUNT
        )
        session = GaugeMetricFamily(
            "brokergate_session_left_seconds",
            "How long the session still lasts; 0 without one",
            labels=_ACCOUNT,
        )
        ready = GaugeMetricFamily(
            "brokergate_account_ready", "1: the account takes new orders", labels=_ACCOUNT
        )
        breaker = GaugeMetricFamily(
            "brokergate_breaker_state",
            "0 closed, 1 half open, 2 open, 3 held open by the operator",
            labels=(*_ACCOUNT, "class"),
        )
        for account in self._accounts.values():
            place = (account.id, account.broker)
            legs = list(account.moving.values())
            unresolved.add_metric(place, sum(leg.state in UNPROVEN for leg in legs))
            moving.add_metric(place, len(legs))
            session.add_metric(place, _session_left_s(account))
            ready.add_metric(place, account.obstacle() is None and not self._level_of(account))
            for call_class, each in account.calls.health.breakers.items():
                breaker.add_metric((*place, call_class), _BREAKER[each.state])
        yield from (unresolved, moving, session, ready, breaker)

    def _kill(self) -> Iterator[Metric]:
        scopes = GaugeMetricFamily(
            "brokergate_kill_level",
            "The highest level engaged in a scope: 0 none, 1 REDUCE_ONLY, 2 HALT_NEW,"
            " 3 CANCEL_ALL, 4 SQUARE_OFF",
            labels=("scope",),
        )
        highest = dict.fromkeys(Scope, 0)
        for engagement in self._switch.all():
            highest[engagement.scope] = max(highest[engagement.scope], engagement.level.rank)
        for scope, rank in highest.items():
            scopes.add_metric((scope.value,), rank)
        effective = GaugeMetricFamily(
            "brokergate_account_kill_level",
            "The level in force for an account as a whole, numbered alike",
            labels=_ACCOUNT,
        )
        for account in self._accounts.values():
            effective.add_metric((account.id, account.broker), self._level_of(account))
        yield from (scopes, effective)

    def _journal(self) -> Iterator[Metric]:
        commits = HistogramMetricFamily(
            "brokergate_journal_commit_seconds", "Transactions of the journal, sync included"
        )
        _add(commits, (), self._tally.commits)
        yield commits
        yield CounterMetricFamily(
            "brokergate_journal_writes",
            "Writes to the journal; several may share a transaction",
            value=self._tally.writes,
        )
        yield GaugeMetricFamily(
            "brokergate_journal_broken",
            "1: the journal cannot be written, and nothing new is sent",
            value=self._switch.journal_broken,
        )
        yield GaugeMetricFamily(
            "brokergate_audit_head", "Number of the newest audit row", value=self._audit_head
        )
        checkpoint = self._checkpoint
        yield GaugeMetricFamily(
            "brokergate_audit_signed",
            "Number of the newest audit row that a checkpoint signs",
            value=checkpoint.through if checkpoint is not None else 0,
        )
        # 12 hexadecimal digits are 48 bits, which a float holds exactly.
        yield GaugeMetricFamily(
            "brokergate_audit_signed_hash",
            "The first 12 hexadecimal digits of that row's hash, as a number",
            value=int(checkpoint.hash[:12], 16) if checkpoint is not None else 0,
        )

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "brokergate_http_requests",
            "Answers of the API to known paths",
            labels=("method", "route", "status"),
        )
        for (method, route, status), count in self._tally.requests.items():
            requests.add_metric((method, route, str(status)), count)
        seconds = HistogramMetricFamily(
            "brokergate_http_request_seconds",
            "Time to an answer of the API, waits for brokers included",
            labels=("method", "route"),
        )
        for (method, route), histogram in self._tally.request_seconds.items():
            _add(seconds, (method, route), histogram)
        yield CounterMetricFamily(
            "brokergate_repeated_requests",
            "Requests answered with the order or basket that their key had already made",
            value=self._tally.repeats,
        )
        lag = HistogramMetricFamily(
            "brokergate_event_loop_lag_seconds",
            "How late the event loop comes to what is due, asked every second",
        )
        _add(lag, (), self._tally.lag)
        yield from (requests, seconds, lag)

    def _place(self, account_id: str) -> tuple[str, str] | None:
        account = self._accounts.get(account_id)
        return None if account is None else (account.id, account.broker)

    def _level_of(self, account: Account) -> int:
        engagement = self._switch.on(Subject(account=account.id, broker=account.broker))
        return 0 if engagement is None else engagement.level.rank


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", below))
    family.add_metric(labels, buckets, sum_value=histogram.total)


def _session_left_s(account: Account) -> float:
    if account.session is None:
        return 0.0
    return max((account.session.expires_at - datetime.now(UTC)).total_seconds(), 0.0)

"""One configured account at run time: its adapter, its session, its pacing, its moving legs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.interface import Adapter, AdapterPlugin, TagEcho
from adapters.sdk.models import BrokerOrder, Instrument, Session, Side
from gateway.calls.account_calls import AccountCalls
from gateway.orchestrator.book import final_state
from gateway.orchestrator.evidence import Echo, Evidence
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.pace import Pace, pace_for
from gateway.orders.records import Leg, Reason
from gateway.orders.states import AT_BROKER, BROKER_FINAL, UNPROVEN, LegState

Twin = tuple[str, Side]
_DAY_US = 86_400 * 1_000_000
# India has no summer time, so its midnights are a day apart.
_IST_AHEAD_US = (5 * 60 + 30) * 60 * 1_000_000
# A read may lack rows by a fault; a row that so many reads in turn lack is gone for good.
_MOST_MISSES = 8
# A fill may reach the broker's books after the word that ended its order: a trade book lags behind
# the order book, and an exchange matches while a cancel is on its way.
_ENDS_SHORT = frozenset({LegState.CANCELLED, LegState.EXPIRED})
# Books are of one day; two days cover every roll-over.
_BOOK_LIFE_US = 48 * 3600 * 1_000_000


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an account's configuration that orders are judged by."""

    orders_per_second: int = 8
    broker_windows: bool = True
    market_orders: str = "protect"
    market_hours: str = "enforce"
    protect_band: Mapping[str, Decimal] = {}
    exclusive: bool = False
    quotes_from: str | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a leg whose broker spoke its final word, to notice a contradiction."""

    order_id: str
    n: int
    state: LegState
    filled_quantity: int


class Account:
    """What the orchestrator knows of an account. `session` is set and cleared by the sessions.

    `calls` is the way to the broker; of the adapter itself only what needs no network is used.
    `leaving` is why it takes no more orders: it is being taken out of the configuration.
    `recovered` is False until the legs that a restart left in doubt were looked up once.
    `ended_short_at` is when (monotonic) an order last ended with something unfilled.
    `first_seen_us` maps broker order ids to the begin of the first good read that showed them.
    """

    def __init__(
        self, account_id: str, plugin: AdapterPlugin, adapter: Adapter, policy: AccountPolicy
    ) -> None:
        self.id = account_id
        self.plugin = plugin
        self.adapter = adapter
        self.policy = policy
        self.session: Session | None = None
        self.ended_short_at: float | None = None
        self.session_problem: Reason | None = None
        self.leaving: Reason | None = None
        self.calls = AccountCalls(
            account_id,
            adapter,
            plugin.capabilities,
            orders_per_second=policy.orders_per_second,
            broker_windows=policy.broker_windows,
            current_session=lambda: self.session,
        )
        self.moving: dict[str, LiveLeg] = {}
        self.finished: dict[str, Finished] = {}
        self.first_seen_us: dict[str, int] = {}
        self._pruned_us = 0
        self._missed: dict[str, int] = {}
        self.recovered = True
        self.finished_count = 0
        declared = plugin.capabilities.tag_echo
        self.echo = Echo.UNPROVEN if declared is TagEcho.UNPROVEN else Echo.BOOK
        self._evidence: dict[str, Evidence] = {}
        self._twins: dict[Twin, set[str]] = {}
        self._twin_waiters: set[asyncio.Event] = set()

    @property
    def broker(self) -> str:
        return self.plugin.broker

    @property
    def comparable_fields(self) -> tuple[str, ...]:
        return self.plugin.capabilities.comparable_fields

    def follow_policy(self, policy: AccountPolicy) -> None:
        """Judge by another policy from now on. `broker_windows` holds for an account's life."""
        self.policy = policy
        self.calls.limits.set_orders_per_second(policy.orders_per_second)

    def pace(self) -> Pace:
        """How often this account's book is read."""
        declared = self.plugin.capabilities
        return pace_for(declared.absence_horizon_s, declared.book_min_gap_s)

    def obstacle(self) -> Reason | None:
        """Why nothing new may go to this account now, or None."""
        if self.leaving is not None:
            return self.leaving
        if self.session is None:
            return self.session_problem or Reason(
                code=ReasonCode.SESSION_MISSING,
                message=f"{self.id} is not logged in; POST /v1/sessions/{self.id}/login",
                retryable=True,
            )
        if self.session.expires_at <= datetime.now(UTC):
            return Reason(
                code=ReasonCode.SESSION_EXPIRED,
                message=f"the session of {self.id} ended at its time; log in again:"
                f" POST /v1/sessions/{self.id}/login",
                retryable=True,
            )
        if not self.recovered:
            return Reason(
                code=ReasonCode.UNRESOLVED,
                message=f"orders of {self.id} from before the restart are still being looked up",
                retryable=True,
            )
        return self.calls.obstacle()

    def evidence_of(self, leg: LiveLeg) -> Evidence:
        return self._evidence.setdefault(leg.record.leg_id, Evidence())

    def forget_evidence(self, leg: LiveLeg) -> None:
        self._evidence.pop(leg.record.leg_id, None)

    def missing_from(self, rows: Iterable[BrokerOrder], begun_us: int) -> list[str]:
        """Orders of the day that this read should show and does not: it is not the whole book.

        Known are those that an earlier read showed, and those that the broker gave an id before
        this read began. One that is missing again and again is the broker's way, and no longer
        waited for.
        """
        shown = {row.broker_order_id for row in rows}
        midnight_us = begun_us - (begun_us + _IST_AHEAD_US) % _DAY_US
        missing = {
            key for key, at in self.first_seen_us.items() if key not in shown and at >= midnight_us
        }
        for leg in self.moving.values():
            record = leg.record
            order_id = record.broker_order_id if leg.state in AT_BROKER else None
            made_today = record.created_us >= midnight_us
            if order_id is None or order_id in shown:
                continue
            if made_today and record.updated_us < begun_us:
                missing.add(order_id)
        self._missed = {key: self._missed.get(key, 0) + 1 for key in missing}
        return sorted(key for key in missing if self._missed[key] <= _MOST_MISSES)

    def saw(self, rows: Iterable[BrokerOrder], begun_us: int) -> None:
        """Remember what a good read showed, and forget what is older than any book."""
        for row in rows:
            self.first_seen_us.setdefault(row.broker_order_id, begun_us)
        if begun_us - self._pruned_us < _BOOK_LIFE_US:
            return
        self._pruned_us = begun_us
        old = [key for key, at in self.first_seen_us.items() if begun_us - at > _BOOK_LIFE_US]
        for key in old:
            del self.first_seen_us[key]
            self.finished.pop(key, None)

    def claimed_ids(self) -> set[str]:
        """The broker's order ids that belong to legs of ours, moving or over."""
        return self._moving_ids() | self.finished.keys()

    def _moving_ids(self) -> set[str]:
        return {
            leg.record.broker_order_id
            for leg in self.moving.values()
            if leg.record.broker_order_id is not None
        }

    def leg_at(self, broker_order_id: str) -> LiveLeg | None:
        """The leg whose order at the broker this is, while it is not over."""
        return next(
            (
                leg
                for leg in self.moving.values()
                if leg.record.broker_order_id == broker_order_id and leg.state in AT_BROKER
            ),
            None,
        )

    def is_contract(self, codes: Mapping[str, str], instrument: Instrument) -> bool:
        """Whether a row of this broker is about that contract."""
        keys = self.plugin.capabilities.code_keys
        return bool(keys) and all(
            codes.get(key) is not None and codes.get(key) == instrument.codes.get(key)
            for key in keys
        )

    def unclaimed(self, rows: Iterable[BrokerOrder]) -> list[BrokerOrder]:
        """Rows of no leg of ours, or of one whose order the broker is said to have refused."""
        moving, finished = self._moving_ids(), self.finished
        return [
            row
            for row in rows
            if row.broker_order_id not in moving
            and (
                (known := finished.get(row.broker_order_id)) is None
                or known.state is LegState.REFUSED
            )
        ]

    def finish(self, leg: LiveLeg) -> None:
        """Take a leg that is over out of the moving ones."""
        record = leg.record
        self.moving.pop(record.leg_id, None)
        self.forget_evidence(leg)
        if record.broker_order_id is not None:
            self.finished_count += 1
            self.finished[record.broker_order_id] = Finished(
                record.order_id, record.n, record.state, record.filled_quantity
            )
            if record.state in _ENDS_SHORT and record.filled_quantity < record.quantity:
                self.ended_short_at = time.monotonic()

    def contradicted_by(self, row: BrokerOrder) -> bool:
        """Whether a book row says something else than the final word that was recorded."""
        known = self.finished.get(row.broker_order_id)
        if known is None or known.state not in BROKER_FINAL or row.state is None:
            return False
        return final_state(row) is not known.state or row.filled_quantity > known.filled_quantity

    def needs_twin_rule(self) -> bool:
        """Whether two legs alike could not be told apart: the tag is not known to come back."""
        return self.echo is Echo.UNPROVEN

    def try_claim_twin(self, leg: Leg) -> bool:
        """Claim the leg's instrument and side for sending; False while another leg's fate is open.

        Where the tag is known to come back, legs alike can be told apart and never wait.
        """
        holders = self._twins.setdefault((leg.instrument, leg.side), set())
        if holders - {leg.leg_id} and self.needs_twin_rule():
            return False
        holders.add(leg.leg_id)
        return True

    async def claim_twin(self, leg: Leg, timeout_s: float) -> bool:
        """As `try_claim_twin`, waiting at most `timeout_s`."""
        freed = asyncio.Event()
        self._twin_waiters.add(freed)
        try:
            async with asyncio.timeout(timeout_s):
                while not self.try_claim_twin(leg):
                    await freed.wait()
                    freed.clear()
        except TimeoutError:
            return False
        finally:
            self._twin_waiters.discard(freed)
        return True

    def release_twin(self, leg: Leg) -> None:
        """Free the leg's instrument and side once its fate is known."""
        key = (leg.instrument, leg.side)
        holders = self._twins.get(key, set())
        if leg.state in UNPROVEN or leg.leg_id not in holders:
            return
        holders.discard(leg.leg_id)
        if not holders:
            self._twins.pop(key, None)
        for waiter in self._twin_waiters:
            waiter.set()

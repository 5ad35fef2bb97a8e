"""Looks after every leg of one account that is not over: follows the live, finds the unproven.

One task per account. A read that fails, is partial, is not JSON or is from a dead session raises
in the adapter and proves nothing here: conclusions are only ever drawn from a whole, good book.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import date
from typing import Protocol

from adapters.sdk.errors import GatewayError, LoginExpired, NotSupported, ReasonCode
from adapters.sdk.models import BrokerOrder, BrokerOrderState, Instrument, OrderRef
from gateway.calendar import Calendar
from gateway.calls.bulkhead import Priority
from gateway.orchestrator.account import Account
from gateway.orchestrator.book import BookView, change_from_row
from gateway.orchestrator.evidence import Echo, Evidence, Finding, Verdict, judge, suspects_of
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.pace import Pace
from gateway.orchestrator.trading_day import is_closed, is_lost, is_rolled, trade_date
from gateway.orders.records import Leg, Reason
from gateway.orders.states import (
    AT_BROKER,
    BROKER_FINAL,
    TERMINAL,
    UNPROVEN,
    LegState,
)
from gateway.orders.times import IST, ist, now_us
from gateway.store import StoreBroken

log = logging.getLogger(__name__)

_MAX_DETAIL_READS = 5
# A broker whose order details never bring the tag back is not asked for ever.
_PROBES = 10

S = LegState


class Owner(Protocol):
    """What the order service does for its reconcilers."""

    calendar: Calendar

    def session_expired(self, account: Account, error: LoginExpired) -> None: ...

    def leg_found(self, leg: LiveLeg) -> None:
        """An unproven leg turned out to live at the broker: send a waiting cancel."""

    def leg_done(self, leg: LiveLeg) -> None: ...

    def duplicate(self, account: Account, leg: LiveLeg, ids: list[str]) -> None:
        """More than one order carries the leg's tag: stop new orders of this account."""

    def stray(self, account: Account, leg: LiveLeg, row: BrokerOrder) -> None:
        """An order lives whose leg was given up: stop new orders of this account."""

    def alarm(self, account: Account, event: str, leg: LiveLeg, text: str) -> None: ...

    def must_read(self, account: Account) -> bool:
        """Whether the account waits for its book although no leg of it moves."""

    async def whole_book(self, account: Account, rows: Sequence[BrokerOrder]) -> None:
        """Hear of a good read that lacks nothing, where `must_read` asked for one."""

    async def leg_tagged(self, broker_tag: int) -> LiveLeg | None:
        """Return the leg that was given this tag, if one of ours was."""

    async def instrument_of(self, account: Account, instrument: str) -> Instrument | None: ...

    async def save_echo(self, account: Account, echo: Echo) -> None: ...

    async def reopen(self, account: Account, row: BrokerOrder) -> LiveLeg | None:
        """Return the finished leg that the broker's book now contradicts."""


class Reconciler:
    """`wake` when a leg was sent, a session came up, or an operator acted."""

    def __init__(self, account: Account, owner: Owner, pace: Pace) -> None:
        self._account = account
        self._owner = owner
        self._pace = pace
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._reachable = True
        self._polls: deque[float] = deque(maxlen=max(pace.polls_per_minute, 1))
        self._probed: set[str] = set()
        self._doubled: set[str] = set()
        self._not_strays: set[str] = set()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Read books while there is something to learn. Ends only by cancellation."""
        account = self._account
        while True:
            self._wake.clear()
            if account.session is None or not self._interesting():
                await self._idle()
                continue
            try:
                if await self._poll():
                    await self._rest(self._until_next(), self._pace.book_min_gap_s)
                    continue
                await self._end_lost_days()
            except Exception:
                # One leg that cannot be followed must not leave the account's others unwatched.
                log.exception("%s: following the book failed; going on", account.id)
            await self._rest(self._pace.after_failure_s, self._pace.after_failure_s)

    async def _idle(self) -> None:
        """Wait to be woken; days end meanwhile, with and without a login."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._pace.unresolved_s[-1])
        if self._account.session is None:
            await self._end_lost_days()

    async def _end_lost_days(self) -> None:
        """Hand over to the operator what no read can settle any more: its book was cleared."""
        now = now_us()
        try:
            for leg in list(self._account.moving.values()):
                if leg.state in _ENDS_WITH_ITS_BOOK and is_lost(self._day_of(leg), now):
                    await self._book_gone(leg, _ENDS_WITH_ITS_BOOK)
        except StoreBroken:
            log.error("%s: the journal cannot be written", self._account.id)

    def _day_of(self, leg: LiveLeg) -> date:
        record = leg.record
        calendar = self._owner.calendar
        return trade_date(record.created_us, record.instrument, calendar, amo=record.amo)

    async def look_now(self) -> bool:
        """Read the book once for a caller that waits for it; False when it could not be read."""
        return self._account.session is not None and await self._poll()

    def _interesting(self) -> bool:
        if any(leg.state not in _BEFORE_ANSWER for leg in self._account.moving.values()):
            return True
        return self._in_aftermath() or self._owner.must_read(self._account)

    def _in_aftermath(self) -> bool:
        """Whether an order ended short so recently that a fill of it may still show."""
        ended_at = self._account.ended_short_at
        return ended_at is not None and time.monotonic() - ended_at < self._pace.aftermath_s

    def _until_next(self) -> float:
        """How long the book may be left alone: a second while orders live, longer for the lost."""
        waits = []
        now = now_us()
        for leg in self._account.moving.values():
            if leg.state is S.ACKED:
                waits.append(self._pace.book_min_gap_s)
            elif leg.state in AT_BROKER:
                waits.append(self._pace.book_s)
            elif leg.state in UNPROVEN:
                due = self._account.evidence_of(leg).next_look_us
                waits.append(max((due - now) / 1_000_000, self._pace.book_min_gap_s))
        if self._in_aftermath():
            waits.append(self._pace.aftermath_gap_s)
        # Nothing moves, and the book was read in vain: something else is in the way.
        idle = self._pace.unresolved_s[-1] if not self._account.moving else self._pace.book_s
        return min(waits, default=idle)

    async def _rest(self, most_s: float, least_s: float) -> None:
        """Wait `most_s`, or until woken but at least `least_s`, inside the read budget."""
        loop = asyncio.get_running_loop()
        if len(self._polls) == self._polls.maxlen:
            least_s = max(least_s, self._polls[0] + 60.0 - loop.time())
        if least_s > 0:
            await asyncio.sleep(least_s)
        left = most_s - least_s
        if left > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)

    async def read(self) -> BookView | None:
        """Read the book and apply it; None when it could not be read.

        What could be read is returned even where the journal could not take it.
        """
        async with self._reading:
            view = await self._read()
            if view is not None:
                await self._take(view)
            return view

    async def _poll(self) -> bool:
        """Read the book once and apply it; False when it could not be read or written.

        One at a time: what an older read shows must never overwrite a newer one.
        """
        async with self._reading:
            if self._account.session is None:
                return True
            view = await self._read()
            return view is not None and await self._take(view)

    async def _read(self) -> BookView | None:
        account, session = self._account, self._account.session
        if session is None:
            return None
        self._polls.append(asyncio.get_running_loop().time())
        begun_us = now_us()
        try:
            rows = await account.calls.order_book(session, Priority.RECONCILE)
        except LoginExpired as error:
            self._owner.session_expired(account, error)
            return None
        except GatewayError as error:
            self._note_failure(begun_us, error)
            return None
        if not self._reachable:
            log.warning("%s: the order book can be read again", account.id)
            self._reachable = True
        return BookView(rows, begun_us, account.missing_from(rows, begun_us))

    async def _take(self, view: BookView) -> bool:
        account = self._account
        try:
            await self._apply(view)
        except StoreBroken:
            log.error("%s: the journal cannot be written", account.id)
            return False
        account.saw(view.rows, view.begun_us)
        account.recovered = True
        if self._owner.must_read(account) and not view.missing:
            await self._owner.whole_book(account, view.rows)
        return True

    async def _apply(self, view: BookView) -> None:
        for leg in list(self._account.moving.values()):
            if leg.state in UNPROVEN:
                await self._look_for(leg, view)
            if leg.state in AT_BROKER:
                await self._follow(leg, view)
            if leg.state in TERMINAL:
                self._owner.leg_done(leg)
        for row in view.rows:
            if self._account.contradicted_by(row):
                await self._correct(row, view)
        await self._notice_strays(view)

    async def _notice_strays(self, view: BookView) -> None:
        """An order that lives although its leg was given up as never sent, refused or absent.

        It must not happen, whatever a broker's answer seemed to prove: the account stops.
        """
        for row in self._account.unclaimed(view.rows):
            tag = row.broker_tag
            if tag is None or row.state in (None, BrokerOrderState.REJECTED):
                continue
            if row.broker_order_id in self._not_strays:
                continue
            leg = await self._owner.leg_tagged(tag)
            if leg is not None and leg.state not in _GIVEN_UP:
                continue
            self._not_strays.add(row.broker_order_id)
            if leg is not None:
                self._owner.stray(self._account, leg, row)

    async def _follow(self, leg: LiveLeg, view: BookView) -> None:
        """Bring an acknowledged leg up to what its row in the book says."""
        row = view.order(leg.record.broker_order_id)
        if row is None:
            await self._follow_missing(leg, view)
            return
        await self._learn_echo(leg, row)
        self._notice_duplicate(leg, view)
        was = leg.state
        change = change_from_row(leg.record, row, view.begun_us)
        if change is None:
            return
        await leg.change(
            change.state,
            change.event,
            only_from=frozenset({was}),
            broker_code=row.raw_state,
            broker_message=row.message,
            **change.fields,
        )

    def _notice_duplicate(self, leg: LiveLeg, view: BookView) -> None:
        """A second order with an acknowledged leg's tag: the leg keeps its own, the alarm goes."""
        ids = [row.broker_order_id for row in view.tagged(leg.record.broker_tag)]
        if len(ids) > 1 and leg.record.leg_id not in self._doubled:
            self._doubled.add(leg.record.leg_id)
            self._owner.duplicate(self._account, leg, ids)

    async def _follow_missing(self, leg: LiveLeg, view: BookView) -> None:
        """An acknowledged order that is not in the book: wait, until its book is gone."""
        if is_rolled(self._day_of(leg), view.begun_us):
            await self._book_gone(leg, AT_BROKER)

    async def _book_gone(self, leg: LiveLeg, only_from: frozenset[LegState]) -> None:
        reason = Reason(
            code=ReasonCode.BOOK_GONE,
            message="its trading day is over and no good read of that day's book settled it;"
            " look at the broker's own records, then resolve it",
        )
        if await leg.change(S.NEEDS_OPERATOR, "book_gone", only_from=only_from, reason=reason):
            self._owner.alarm(self._account, "book_gone", leg, reason.message)

    async def _look_for(self, leg: LiveLeg, view: BookView) -> None:
        """Take one more good read into account for a leg that nobody knows the fate of."""
        account, record = self._account, leg.record
        evidence = account.evidence_of(leg)
        evidence.looks += 1
        waits = self._pace.unresolved_s
        wait_s = waits[min(evidence.looks, len(waits)) - 1]
        evidence.next_look_us = now_us() + int(wait_s * 1_000_000)
        day = self._day_of(leg)
        tagged, suspects = await self._candidates(leg, view)
        if is_rolled(day, view.begun_us):
            await self._look_past_the_day(leg, tagged, evidence)
            return
        finding = judge(
            record,
            view,
            tagged,
            suspects,
            evidence,
            echo=account.echo,
            exclusive=account.policy.exclusive,
            horizon_s=self._pace.horizon_s,
            day_over=is_closed(day, record.instrument, view.begun_us),
        )
        if finding.verdict in (Verdict.NOT_FOUND, Verdict.ABSENT):
            finding = await self._ask_again(leg, finding)
        await self._act(leg, finding, evidence)

    async def _look_past_the_day(
        self, leg: LiveLeg, tagged: list[BrokerOrder], evidence: Evidence
    ) -> None:
        """In the book of another day absence proves nothing any more; presence still does."""
        if tagged:
            verdict = Verdict.ADOPT if len(tagged) == 1 else Verdict.DUPLICATE
            await self._act(leg, Finding(verdict, tuple(tagged)), evidence)
        else:
            await self._book_gone(leg, frozenset({S.UNKNOWN, S.NOT_FOUND}))

    async def _candidates(
        self, leg: LiveLeg, view: BookView
    ) -> tuple[list[BrokerOrder], list[BrokerOrder]]:
        """Return the rows that carry the leg's tag, and those that could be it by their look."""
        account, record = self._account, leg.record
        tagged = view.tagged(record.broker_tag)
        own = view.order(record.broker_order_id)
        if not tagged and own is not None and _is_still(own, record):
            tagged = [own]
        if tagged:
            return tagged, []
        instrument = await self._owner.instrument_of(account, record.instrument)
        suspects = suspects_of(
            record,
            instrument.codes if instrument else None,
            view,
            claimed=account.claimed_ids(),
            seen_before=account.first_seen_us,
            fields=account.comparable_fields,
        )
        if account.echo is Echo.BOOK or not suspects:
            return [], suspects
        tagged, left = [], []
        for row in suspects[:_MAX_DETAIL_READS]:
            details = await self._details(row.broker_order_id, instrument, row)
            if details is None or details.broker_tag is None:
                left.append(row)
            elif details.broker_tag == record.broker_tag:
                tagged.append(row)
        return tagged, left + suspects[_MAX_DETAIL_READS:]

    async def _ask_again(self, leg: LiveLeg, finding: Finding) -> Finding:
        """Before absence is concluded, ask by tag where the broker offers it, and the fills."""
        account, session, tag = self._account, self._account.session, leg.record.broker_tag
        if session is None:
            return Finding(Verdict.WAIT)
        try:
            with contextlib.suppress(NotSupported):
                rows = await account.calls.find_by_tag(session, tag, Priority.RECONCILE)
                if rows:
                    verdict = Verdict.ADOPT if len(rows) == 1 else Verdict.DUPLICATE
                    return Finding(verdict, tuple(rows))
            with contextlib.suppress(NotSupported):
                trades = await account.calls.trade_book(session, Priority.RECONCILE)
                claimed = account.claimed_ids()
                if any(t.broker_tag == tag and t.broker_order_id not in claimed for t in trades):
                    # A fill without its order in the book: the book is not whole after all.
                    return Finding(Verdict.WAIT)
        except LoginExpired as error:
            self._owner.session_expired(account, error)
            return Finding(Verdict.WAIT)
        except GatewayError:
            return Finding(Verdict.WAIT)
        return finding

    async def _act(self, leg: LiveLeg, finding: Finding, evidence: Evidence) -> None:
        ids = [row.broker_order_id for row in finding.rows]
        match finding.verdict:
            case Verdict.ADOPT | Verdict.ADOPT_BY_LOOK:
                await self._adopt(leg, finding)
            case Verdict.DUPLICATE if leg.state in (S.UNKNOWN, S.NOT_FOUND):
                reason = Reason(
                    code=ReasonCode.UNRESOLVED,
                    message="more than one order at the broker carries this leg's tag",
                    details={"broker_order_ids": ids},
                )
                await leg.change(S.DUPLICATE_DETECTED, "duplicate_detected", reason=reason)
                self._owner.duplicate(self._account, leg, ids)
            case Verdict.NOT_FOUND:
                await leg.change(
                    S.NOT_FOUND,
                    "not_found",
                    only_from=frozenset({S.UNKNOWN}),
                    details={"good_reads": evidence.good_reads},
                )
            case Verdict.NEEDS_OPERATOR:
                reason = Reason(
                    code=ReasonCode.UNRESOLVED,
                    message="orders at the broker look like this leg, and nothing proves which is"
                    " it; resolve it by hand",
                    details={"suspects": ids},
                )
                await leg.change(
                    S.NEEDS_OPERATOR,
                    "needs_operator",
                    only_from=frozenset({S.UNKNOWN, S.NOT_FOUND}),
                    reason=reason,
                )
                self._owner.alarm(self._account, "needs_operator", leg, reason.message)
            case Verdict.ABSENT:
                await leg.change(S.ABSENT, "absent", only_from=frozenset({S.NOT_FOUND}))
            case _:
                pass

    async def _adopt(self, leg: LiveLeg, finding: Finding) -> None:
        """Take the one order found as the leg's. A NOT_FOUND leg that turns up is an alarm."""
        row, was = finding.rows[0], leg.state
        own = leg.record.broker_order_id
        if row.broker_order_id in self._account.claimed_ids() - {own}:
            return
        by_look = finding.verdict is Verdict.ADOPT_BY_LOOK
        adopted = await leg.change(
            S.ACKED,
            "adopted_by_look" if by_look else "found",
            only_from=frozenset({S.UNKNOWN, S.NOT_FOUND, S.NEEDS_OPERATOR}),
            broker_order_id=row.broker_order_id,
            reason=None,
        )
        if not adopted:
            return
        self._account.forget_evidence(leg)
        if was is not S.UNKNOWN:
            self._owner.alarm(
                self._account, "late_found", leg, f"an order believed {was} is at the broker"
            )
        self._owner.leg_found(leg)

    async def _correct(self, row: BrokerOrder, view: BookView) -> None:
        """The broker contradicts its own final word: correct the leg, and alarm."""
        leg = await self._owner.reopen(self._account, row)
        if leg is None or leg.state not in BROKER_FINAL:
            return
        change = change_from_row(leg.record, row, view.begun_us)
        if change is None:
            return
        was = f"{leg.state}, {leg.record.filled_quantity} filled"
        await leg.change(
            change.state,
            "corrected",
            only_from=BROKER_FINAL,
            broker_code=row.raw_state,
            broker_message=row.message,
            **change.fields,
        )
        now = f"{row.raw_state}, {row.filled_quantity} filled"
        self._owner.alarm(self._account, "corrected", leg, f"the broker said {was}, and now {now}")
        if leg.state in TERMINAL:
            self._owner.leg_done(leg)
        else:
            self._account.moving[leg.record.leg_id] = leg

    async def _learn_echo(self, leg: LiveLeg, row: BrokerOrder) -> None:
        """Every acknowledged leg tells whether this account's broker gives the tag back."""
        account, tag = self._account, leg.record.broker_tag
        if row.broker_order_id in self._probed:
            return
        self._probed.add(row.broker_order_id)
        if row.broker_tag == tag:
            await self._set_echo(leg, Echo.BOOK)
        elif row.broker_tag is not None or account.echo is Echo.BOOK:
            await self._set_echo(leg, Echo.UNPROVEN)
        elif account.echo is Echo.UNPROVEN and len(self._probed) <= _PROBES:
            instrument = await self._owner.instrument_of(account, leg.record.instrument)
            details = await self._details(row.broker_order_id, instrument, row)
            if details is not None and details.broker_tag == tag:
                await self._set_echo(leg, Echo.DETAILS)

    async def _set_echo(self, leg: LiveLeg, echo: Echo) -> None:
        account = self._account
        if echo is account.echo:
            return
        worse = echo is Echo.UNPROVEN
        account.echo = echo
        await self._owner.save_echo(account, echo)
        if worse:
            text = "an order came back without its tag: the echo is no longer trusted here"
            self._owner.alarm(account, "echo_contradicted", leg, text)

    async def _details(
        self, broker_order_id: str, instrument: Instrument | None, row: BrokerOrder
    ) -> BrokerOrder | None:
        session = self._account.session
        if session is None:
            return None
        ref = OrderRef(
            broker_order_id=broker_order_id, instrument=instrument, order_type=row.order_type
        )
        reading = self._account.calls.get_order(session, ref, Priority.RECONCILE)
        return await _or_none(reading)

    def _note_failure(self, at_us: int, error: GatewayError) -> None:
        if self._reachable:
            log.warning("%s: the order book cannot be read: %s", self._account.id, error.message)
        self._reachable = False
        for leg in self._account.moving.values():
            if leg.state in UNPROVEN:
                self._account.evidence_of(leg).note(at_us, "read_failed", why=error.message)


_GIVEN_UP = frozenset({S.DENIED, S.LAPSED, S.REFUSED, S.ABSENT})
_ENDS_WITH_ITS_BOOK = AT_BROKER | {S.UNKNOWN, S.NOT_FOUND}
_BEFORE_ANSWER = frozenset({S.READY, S.SENDING, S.RETRY_WAIT})


def _is_still(row: BrokerOrder, record: Leg) -> bool:
    """Whether a later book's row of that number is the leg's order: brokers may count anew."""
    if row.broker_tag is not None:
        return row.broker_tag == record.broker_tag
    return row.placed_at is not None and (
        row.placed_at.astimezone(IST).date() == ist(record.created_us).date()
    )


async def _or_none(work: Awaitable[BrokerOrder | None]) -> BrokerOrder | None:
    try:
        return await work
    except GatewayError:
        return None

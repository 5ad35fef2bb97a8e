"""Every check of a leg, and the entry that it leaves behind so that nobody else uses its room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerMargin, BrokerQuote, MarginOrder
from gateway.calendar import Calendar
from gateway.orchestrator.account import Account
from gateway.orders.checks import Check, Verdict
from gateway.orders.records import Leg, Reason
from gateway.orders.request import Precheck
from gateway.orders.states import TERMINAL, UNPROVEN
from gateway.orders.times import IST, ist
from gateway.prechecks.book import LimitBook
from gateway.prechecks.contract import Draft, check_contract
from gateway.prechecks.funds import Funds, FundsBook, left
from gateway.prechecks.hours import check_hours
from gateway.prechecks.ledger import Entry, Ledger
from gateway.prechecks.margin import estimate_margin
from gateway.prechecks.risk import Candidate, check_risk
from gateway.prechecks.verdict import failed, first_failure, passed, skipped

_ZERO = Decimal(0)

# One fresh price at an account, or why there is none.
ReadQuote = Callable[[Account, str], Awaitable[BrokerQuote | Reason]]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """`margin` and `left` are rupees, None where they are not known; `left` is before the order.

    `entry` is what the order counts for; `entered` says that it is in the ledgers.
    """

    checks: Sequence[Check]
    entry: Entry | None = None
    entered: bool = False
    margin: Decimal | None = None
    margin_source: str | None = None
    left: Decimal | None = None


class PrecheckDesk:
    """One per process. `judge` enters what it lets pass; `strike` and `settle` take it back."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        limits: LimitBook,
        funds: FundsBook,
        calendar: Calendar,
        read_quote: ReadQuote,
        *,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(IST),
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._funds = funds
        self._calendar = calendar
        self._read_quote = read_quote
        self._budget_s = budget_s
        self._clock = clock
        self._now = now
        self._ledgers = {account: Ledger() for account in accounts}
        self._all = Ledger()

    def deadline(self) -> float:
        """Until when an order that begins now may wait for figures."""
        return self._clock() + self._budget_s

    def ledger_of(self, target: str | None) -> Ledger:
        """What an account's day has used, and with None what all have."""
        ledger = self._all if target is None else self._ledgers[target]
        ledger.turn_to(self._now().date())
        return ledger

    async def judge(
        self,
        account: Account,
        draft: Draft,
        tag: int,
        precheck: Precheck,
        deadline: float,
        *,
        amo: bool = False,
        may_slice: bool = False,
        closing: bool = False,
        enter: bool = True,
    ) -> Judged:
        """Judge one leg. `closing`: the gateway's own order that closes a position; no limits.

        Where nothing failed the leg is entered under its tag, unless `enter` is False.
        """
        now = self._now()
        checks = list(check_contract(draft, now.date(), may_slice=may_slice))
        if account.policy.market_hours == "enforce":
            offers = account.plugin.capabilities.has(Feature.AMO)
            exchange = draft.instrument.exchange
            checks.append(check_hours(self._calendar, exchange, now, amo=amo, offers_amo=offers))
        if first_failure(checks) is not None or closing:
            return Judged(checks=checks)
        price = draft.price if draft.price is not None else draft.trigger_price
        last = None
        if price is None or self._has_collar(account, draft):
            last = await self._last_price(account, draft.instrument.instrument, deadline)
        price = price if price is not None else last
        margin, source = estimate_margin(draft, price), "estimate"
        funds = None
        if precheck is not Precheck.OFF:
            funds = await self._funds.get(account, self.seconds_left(deadline))
            if self._is_short(account, funds, margin):
                asked = await self._ask_broker(account, draft, deadline)
                if asked is not None:
                    margin, source = asked.required, "broker"
        # From here on nothing is awaited: what is checked is what is entered.
        at_s = self._clock()
        candidate = Candidate(
            draft=draft,
            value=price * draft.quantity if price is not None else None,
            last_price=last,
            open_orders=len(account.moving),
            now_s=at_s,
        )
        everywhere = msgspec.structs.replace(
            candidate, open_orders=sum(len(each.moving) for each in self._accounts.values())
        )
        checks += check_risk(
            self._limits.of(account.id), self.ledger_of(account.id), candidate, scope="account"
        )
        checks += check_risk(
            self._limits.of(None), self.ledger_of(None), everywhere, scope="global"
        )
        remaining = self._left(account, funds) if funds is not None else None
        checks.append(_affordable(precheck, margin, source, remaining))
        if precheck is Precheck.STRICT:
            checks = [_strict(check) for check in checks]
        entry = Entry(
            tag=tag,
            day=now.date(),
            instrument=draft.instrument.instrument,
            quantity=draft.quantity,
            value=candidate.value,
            margin=margin,
            at_s=at_s,
            look=candidate.look,
        )
        enters = enter and first_failure(checks) is None
        if enters:
            self._enter(account, entry)
        return Judged(
            checks=checks,
            entry=entry,
            entered=enters,
            margin=margin,
            margin_source=source if margin is not None else None,
            left=remaining,
        )

    def contract(self, draft: Draft, may_slice: bool) -> list[Check]:
        """Judge nothing but the contract."""
        return list(check_contract(draft, self._now().date(), may_slice=may_slice))

    def enter_part(self, account: Account, whole: Entry, tag: int, quantity: int) -> None:
        """Enter one slice of an order that was judged whole."""
        share = Decimal(quantity) / whole.quantity
        part = msgspec.structs.replace(
            whole,
            tag=tag,
            quantity=quantity,
            value=whole.value * share if whole.value is not None else None,
            margin=whole.margin * share if whole.margin is not None else None,
        )
        self._enter(account, part)

    def strike(self, account_id: str, tag: int) -> None:
        """Take back the entry of a leg that never came to be, as if it had not been asked for."""
        for ledger in (self._ledgers[account_id], self._all):
            ledger.forget(tag)

    def name_order(self, account_id: str, tag: int, order_id: str) -> None:
        """Say which order an entry became, for who is told of a look-alike."""
        for ledger in (self._ledgers[account_id], self._all):
            ledger.name_order(tag, order_id)

    def settle(self, leg: Leg) -> None:
        """Count of a leg that is over only what it did."""
        ledger = self._ledgers.get(leg.account)
        if ledger is not None:
            ledger.settle(leg)
            self._all.settle(leg)

    def restore(self, legs: Iterable[Leg]) -> None:
        """Enter what earlier runs placed today. Nobody's margin: the funds are read anew."""
        today = self._now().date()
        for leg in legs:
            if ist(leg.created_us).date() != today or leg.account not in self._ledgers:
                continue
            price = leg.average_price or leg.price or leg.trigger_price
            entry = Entry(
                tag=leg.broker_tag,
                day=today,
                instrument=leg.instrument,
                quantity=leg.quantity,
                value=price * leg.quantity if price is not None else None,
                margin=None,
                at_s=self._clock() - max(self._now().timestamp() - leg.created_us / 1e6, 0.0),
                order_id=leg.order_id,
            )
            self._enter(self._accounts[leg.account], entry)
            if leg.state in TERMINAL:
                self.settle(leg)

    def _enter(self, account: Account, entry: Entry) -> None:
        self._ledgers[account.id].enter(entry)
        self._all.enter(entry)

    def _has_collar(self, account: Account, draft: Draft) -> bool:
        kind = draft.instrument.type
        return any(
            kind in self._limits.of(target).price_collar_percent for target in (account.id, None)
        )

    def _is_short(self, account: Account, funds: Funds | None, margin: Decimal | None) -> bool:
        """Whether the estimate does not settle it, so that the broker's word is worth a call."""
        if funds is None or not account.plugin.capabilities.has(Feature.MARGINS):
            return False
        remaining = self._left(account, funds)
        return margin is None or (remaining is not None and margin > remaining)

    def _left(self, account: Account, funds: Funds) -> Decimal | None:
        """What the broker said, less what our orders took since, less what may be on its way.

        An order whose fate is unknown counts even if it was sent before the funds were read:
        the broker may not have had it then.
        """
        ledger = self._ledgers[account.id]
        taken = ledger.margin_since(funds.begun_s)
        for leg in account.moving.values():
            if leg.state in UNPROVEN:
                taken += ledger.margin_of(leg.record.broker_tag, before_s=funds.begun_s)
        return left(funds, taken)

    async def _ask_broker(
        self, account: Account, draft: Draft, deadline: float
    ) -> BrokerMargin | None:
        session, within_s = account.session, self.seconds_left(deadline)
        if session is None or within_s <= 0:
            return None
        order = MarginOrder(
            instrument=draft.instrument,
            side=draft.side,
            order_type=draft.order_type,
            product=draft.product,
            quantity=draft.quantity,
            price=draft.price,
            trigger_price=draft.trigger_price,
        )
        try:
            return await self._funds.margin(account, session, order, within_s)
        except (GatewayError, LoginExpired):
            return None

    async def _last_price(
        self, account: Account, instrument: str, deadline: float
    ) -> Decimal | None:
        """The last price at the account's `quotes_from`, else at itself, if it comes in time."""
        other = self._accounts.get(account.policy.quotes_from or "")
        for source in (other, account):
            if source is None or not source.plugin.capabilities.has(Feature.QUOTES):
                continue
            try:
                async with asyncio.timeout(self.seconds_left(deadline)):
                    quote = await self._read_quote(source, instrument)
            except TimeoutError:
                return None
            if isinstance(quote, BrokerQuote):
                return quote.last_price
        return None

    def seconds_left(self, deadline: float) -> float:
        """How long an order may still wait for figures."""
        return max(deadline - self._clock(), 0.0)


def _affordable(
    precheck: Precheck, margin: Decimal | None, source: str, remaining: Decimal | None
) -> Check:
    if precheck is Precheck.OFF:
        return skipped("margin", "precheck is off")
    if remaining is None:
        return skipped("margin", "the account's funds are not known in time")
    if margin is None:
        return skipped("margin", "no fresh price says what the order needs", left=remaining)
    numbers = {"required": margin, "left": remaining, "source": source}
    if margin <= remaining:
        return passed("margin", **numbers)
    short = f"it needs {margin} and {remaining} is left"
    if source == "broker":
        return failed(
            "margin", ReasonCode.MARGIN_SHORT, "quantity", f"{short}, by the broker", **numbers
        )
    return skipped("margin", f"{short}, by an estimate that is meant to be high", **numbers)


def _strict(check: Check) -> Check:
    """With `precheck: strict` what could not be told is refused."""
    if check.verdict is not Verdict.SKIPPED:
        return check
    code = ReasonCode.MARGIN_SHORT if check.check == "margin" else ReasonCode.PRICE_UNAVAILABLE
    return failed(
        check.check,
        code,
        "precheck",
        f"not proven, and precheck is strict: {check.message}",
        **check.details,
    )

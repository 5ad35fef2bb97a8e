"""Every check of a leg, and the entry that it leaves behind so that nobody else uses its room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerMargin, BrokerQuote, MarginOrder, ModifyOrder
from gateway.calendar import Calendar
from gateway.orchestrator.account import Account
from gateway.orders.checks import Check, Verdict
from gateway.orders.records import Leg, Reason
from gateway.orders.request import Precheck
from gateway.orders.states import TERMINAL
from gateway.orders.times import IST, to_us
from gateway.prechecks.book import LimitBook
from gateway.prechecks.contract import Draft, check_contract
from gateway.prechecks.funds import Funds, FundsBook, left
from gateway.prechecks.hours import check_hours
from gateway.prechecks.ledger import Entry, Ledger
from gateway.prechecks.limits import NO_LIMITS
from gateway.prechecks.margin import estimate_margin
from gateway.prechecks.restore import Now, Restoring, value_of
from gateway.prechecks.risk import Candidate, check_change, check_risk
from gateway.prechecks.verdict import failed, first_failure, passed, skipped

_ZERO = Decimal(0)
# A price that is older says nothing about now.
_OLDEST_PRICE_S = 5.0

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
        # Funds are an account's.
        self._all = Ledger(keeps_margin=False)

    def take_in(self, account_id: str) -> bool:
        """Keep count of one more account; False where its day is counted already."""
        if account_id in self._ledgers:
            return False
        self._ledgers[account_id] = Ledger()
        return True

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
        request: int = 0,
        orders: int = 1,
    ) -> Judged:
        """Judge one leg. `closing`: the gateway's own order that closes a position; no limits.

        Where nothing failed the leg is entered under its tag, unless `enter` is False. Legs of
        one `request` are no look-alikes; `orders` is in how many slices the leg is to go.
        """
        now = self._now()
        checks = list(check_contract(draft, now.date(), may_slice=may_slice))
        checks += self._hours(account, draft, now, amo=amo)
        if first_failure(checks) is not None or closing:
            return Judged(checks=checks)
        price = draft.price if draft.price is not None else draft.trigger_price
        last = None
        if price is None or self._has_collar(account, draft):
            last = await self._last_price(account, draft.instrument.instrument, deadline)
        price = price if price is not None else last
        margin, source = estimate_margin(draft, price), "estimate"
        at_least: Decimal | None = None
        funds = None
        if precheck is not Precheck.OFF:
            funds = await self._funds.get(account, self.seconds_left(deadline))
            if self._is_short(account, funds, margin):
                asked = await self._ask_broker(account, draft, deadline)
                if asked is not None:
                    margin, source = asked.required, "broker"
                    at_least = asked.at_least
        # From here on nothing is awaited: what is checked is what is entered.
        funds = self._funds.known(account) if funds is not None else None
        at_s = self._clock()
        candidate = Candidate(
            draft=draft,
            value=price * draft.quantity if price is not None else None,
            last_price=last,
            open_orders=self._open_orders(account.id),
            now_s=at_s,
            orders=orders,
            request=request,
        )
        own, everywhere = self._limits.of(account.id), self._limits.of(None)
        if own is not NO_LIMITS:
            checks += check_risk(own, self.ledger_of(account.id), candidate, scope="account")
        if everywhere is not NO_LIMITS:
            of_all = msgspec.structs.replace(candidate, open_orders=self._open_orders(None))
            checks += check_risk(everywhere, self.ledger_of(None), of_all, scope="global")
        remaining = self._left(account, funds) if funds is not None else None
        checks.append(_affordable(precheck, margin, at_least, source, remaining))
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
            request=request,
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
        value, margin = whole.value, whole.margin
        part = msgspec.structs.replace(
            whole,
            tag=tag,
            quantity=quantity,
            value=value * quantity / whole.quantity if value is not None else None,
            margin=margin * quantity / whole.quantity if margin is not None else None,
        )
        self._enter(account, part)

    async def judge_change(
        self, account: Account, leg: Leg, wanted: ModifyOrder, precheck: Precheck
    ) -> list[Check]:
        """Judge an order at the broker as it is to become, and count it as that if all is well.

        `follow` says what it came to. The prices and funds may be waited for as when placing.
        The money is judged by the estimate of what it needs beyond what it had: brokers'
        calculators know of whole orders only.
        """
        deadline = self.deadline()
        entry = self.ledger_of(account.id).entry(leg.broker_tag)
        draft = Draft(
            instrument=wanted.instrument,
            side=wanted.side,
            order_type=wanted.order_type,
            product=wanted.product,
            quantity=wanted.quantity,
            price=wanted.price,
            trigger_price=wanted.trigger_price,
            disclosed_quantity=wanted.disclosed_quantity,
        )
        now = self._now()
        checks = list(check_contract(draft, now.date(), may_slice=False))
        checks += self._hours(account, draft, now, amo=leg.amo)
        if first_failure(checks) is not None:
            return checks
        price = draft.price if draft.price is not None else draft.trigger_price
        last = None
        if price is None or self._has_collar(account, draft):
            last = await self._last_price(account, draft.instrument.instrument, deadline)
        price = price if price is not None else last
        margin = estimate_margin(draft, price)
        funds = None
        if precheck is not Precheck.OFF:
            funds = await self._funds.get(account, self.seconds_left(deadline))
        value = price * draft.quantity if price is not None else None
        old_value = entry.value if entry is not None else value_of(leg, leg.quantity)
        candidate = Candidate(
            draft=draft, value=value, last_price=last, open_orders=0, now_s=self._clock()
        )
        more_value = value is None or old_value is None or value > old_value
        for target, scope in ((account.id, "account"), (None, "global")):
            ledger = self.ledger_of(target)
            before = ledger.entry(leg.broker_tag)
            if before is not None:
                ledger.drop(leg.broker_tag)
            checks += check_change(
                self._limits.of(target),
                ledger,
                candidate,
                more_quantity=wanted.quantity > leg.quantity,
                more_value=more_value,
                scope=scope,
            )
            if before is not None:
                ledger.add(before)
        funds = self._funds.known(account) if funds is not None else None
        remaining = self._left(account, funds) if funds is not None else None
        more = margin
        if margin is not None:
            had = entry.margin if entry is not None else None
            more = max(margin - (had or _margin_of(leg, wanted) or _ZERO), _ZERO)
        checks.append(_affordable(precheck, more, None, "estimate", remaining))
        if precheck is Precheck.STRICT:
            checks = [_strict(check) for check in checks]
        if entry is not None and first_failure(checks) is None:
            # Until it is answered, the funds may know of the order as it was or as it is to be.
            self._replace(
                account.id,
                msgspec.structs.replace(
                    entry,
                    quantity=max(wanted.quantity, entry.quantity),
                    value=max(value or _ZERO, entry.value or _ZERO),
                    margin=max(margin or _ZERO, entry.margin or _ZERO),
                    known_s=None,
                ),
            )
        return checks

    def follow(self, leg: Leg) -> None:
        """Count an order at the broker for what it is now."""
        ledger = self._ledgers.get(leg.account)
        entry = ledger.entry(leg.broker_tag) if ledger is not None else None
        if entry is None or leg.state in TERMINAL:
            return
        margin = entry.margin
        if margin is not None:
            margin = margin * leg.quantity / entry.quantity
        now_s = self._clock()
        value = value_of(leg, leg.quantity)
        self._replace(
            leg.account,
            msgspec.structs.replace(
                entry,
                quantity=leg.quantity,
                value=value if value is not None else entry.value,
                margin=margin,
                known_s=now_s,
            ),
        )

    def answered(self, leg: Leg) -> None:
        """Say that the leg's broker has its order."""
        ledger = self._ledgers.get(leg.account)
        entry = ledger.answered(leg.broker_tag, self._clock()) if ledger is not None else None
        if entry is not None:
            self._all.replace(entry)

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
            self._all.take_over(leg.broker_tag, ledger.settle(leg, self._clock()))

    def restoring(self) -> Restoring:
        """Begin to enter what earlier runs placed today."""
        now = self._now()
        begun = now.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = Now(now.date(), to_us(begun), to_us(now), self._clock())
        return Restoring(self._ledgers, self._all, moment)

    def _hours(self, account: Account, draft: Draft, now: datetime, *, amo: bool) -> list[Check]:
        if account.policy.market_hours != "enforce":
            return []
        offers = account.plugin.capabilities.has(Feature.AMO)
        exchange = draft.instrument.exchange
        return [check_hours(self._calendar, exchange, now, amo=amo, offers_amo=offers)]

    def _enter(self, account: Account, entry: Entry) -> None:
        self._ledgers[account.id].enter(entry)
        self._all.enter(entry)

    def _replace(self, account_id: str, entry: Entry) -> None:
        self._ledgers[account_id].replace(entry)
        self._all.replace(entry)

    def _open_orders(self, target: str | None) -> int:
        """How many orders are not over, where a limit asks; those on their way are among them."""
        if self._limits.of(target).max_open_orders is None:
            return 0
        accounts = self._accounts.values() if target is None else [self._accounts[target]]
        entered = self.ledger_of(target).open
        others = (
            leg.record.broker_tag not in entered
            for account in accounts
            for leg in account.moving.values()
        )
        return len(entered) + sum(others)

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
        """What the broker said, less what it may not have known of our orders by then."""
        return left(funds, self._ledgers[account.id].margin_since(funds.begun_s))

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
            if isinstance(quote, BrokerQuote) and self._is_fresh(quote):
                return quote.last_price
        return None

    def _is_fresh(self, quote: BrokerQuote) -> bool:
        age_s = (datetime.now(IST) - quote.as_of).total_seconds()
        return quote.last_price > 0 and age_s <= _OLDEST_PRICE_S

    def seconds_left(self, deadline: float) -> float:
        """How long an order may still wait for figures."""
        return max(deadline - self._clock(), 0.0)


def _margin_of(leg: Leg, wanted: ModifyOrder) -> Decimal | None:
    """Estimate what an order needed as it was."""
    sent = leg.sent
    draft = Draft(
        instrument=wanted.instrument,
        side=leg.side,
        order_type=sent.order_type if sent else leg.order_type,
        product=leg.product,
        quantity=leg.quantity,
        price=sent.price if sent else leg.price,
        trigger_price=sent.trigger_price if sent else leg.trigger_price,
    )
    price = draft.price if draft.price is not None else draft.trigger_price
    return estimate_margin(draft, price)


def _affordable(
    precheck: Precheck,
    margin: Decimal | None,
    at_least: Decimal | None,
    source: str,
    remaining: Decimal | None,
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
    if source == "broker" and at_least is not None and at_least <= remaining:
        return skipped("margin", f"{short}, by one reading of the broker's figures", **numbers)
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

"""From the order asked for to the legs it means, each priced, judged and, where asked, sliced.

Nothing here sends or writes. What is wrong for the order as a whole raises `Problem`; what is
wrong at one account becomes that leg's reason.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.models import Instrument, PlaceOrder
from gateway.calls.permit import Permit
from gateway.kill import Subject
from gateway.orchestrator.account import Account
from gateway.orchestrator.audience import Audience
from gateway.orchestrator.pricing import UNPRICED, Pricer
from gateway.orchestrator.sizing import MOST_SLICES, quantity_for, slices_of
from gateway.orchestrator.stops import Stops
from gateway.orders.checks import Check, Verdict
from gateway.orders.records import Purpose, Reason, Sent
from gateway.orders.request import OrderRequest, Require
from gateway.prechecks.contract import Draft
from gateway.prechecks.desk import Judged, PrecheckDesk
from gateway.prechecks.verdict import first_failure, is_worth_keeping, reason_of, summary

FindInstrument = Callable[[str, str], Awaitable[Instrument | None]]
# Canonical ids that may have been meant by one that no master has.
Suggest = Callable[[str], Awaitable[Sequence[str]]]


class PlannedLeg(msgspec.Struct, kw_only=True):
    """One leg before it is journalled. `denial` set: it will be DENIED, not sent.

    `sent` is what goes to the broker where policy changed what was asked for. `checks` are
    worth keeping: those that failed or could not be told, and those with numbers. `margin` and
    `left` are rupees. `entered`: its room is counted, and has to be given back if it is not sent.
    `must_reduce`: the kill switch lets it through only while it is proven to reduce.
    `permit`: its admission, where nothing had to be waited for.
    """

    account: Account
    broker_tag: int
    quantity: int = 0
    instrument: Instrument | None = None
    denial: Reason | None = None
    sent: Sent | None = None
    precheck: str = "skipped"
    checks: Sequence[Check] = ()
    judged: Judged | None = None
    slice: dict[str, int] | None = None
    entered: bool = False
    must_reduce: bool = False
    permit: Permit | None = None

    def place_order(self, request: OrderRequest) -> PlaceOrder:
        """The order as the adapter gets it. Only for a leg without a denial."""
        assert self.instrument is not None  # noqa: S101
        sent = self.sent
        return PlaceOrder(
            broker_tag=self.broker_tag,
            instrument=self.instrument,
            side=request.side,
            order_type=sent.order_type if sent else request.order_type,
            product=request.product,
            validity=request.validity,
            quantity=self.quantity,
            price=sent.price if sent else request.price,
            trigger_price=sent.trigger_price if sent else request.trigger_price,
            disclosed_quantity=min(request.disclosed_quantity, self.quantity),
            amo=request.amo,
        )


class _Asked(msgspec.Struct, kw_only=True):
    """One request while its legs are made; `entered` are those whose room is counted."""

    request: OrderRequest
    number: int
    key_id: str | None
    purpose: Purpose
    deadline: float
    trial: bool
    entered: list[PlannedLeg] = []


class Planner:
    """Where a request becomes legs. One per process."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        audience: Audience,
        find_instrument: FindInstrument,
        mint_tag: Callable[[], int],
        stops: Stops,
        desk: PrecheckDesk,
        pricer: Pricer,
        suggest: Suggest | None = None,
    ) -> None:
        self._accounts = accounts
        self._audience = audience
        self._find_instrument = find_instrument
        self._mint_tag = mint_tag
        self._stops = stops
        self._desk = desk
        self._pricer = pricer
        self._suggest = suggest
        self._requests = itertools.count(1)

    async def plan(
        self,
        request: OrderRequest,
        allowed: Callable[[str], bool],
        key_id: str | None = None,
        purpose: Purpose = Purpose.CLIENT,
        *,
        trial: bool = False,
    ) -> list[PlannedLeg]:
        """Resolve the request into legs, each with every check.

        The kill switch does not stop legs that it sends itself (`purpose`). `trial`: nothing is
        to be sent, so a leg that failed is judged to the end, and no room is taken.

        Raises: `Problem` for what is wrong with the request as a whole.
        """
        multipliers = self._audience.resolve(request, allowed)
        asked = _Asked(
            request=request,
            number=next(self._requests),
            key_id=key_id,
            purpose=purpose,
            deadline=self._desk.deadline(),
            trial=trial,
        )
        work = [
            self._legs(asked, self._accounts[account_id], multiplier)
            for account_id, multiplier in multipliers.items()
        ]
        try:
            # One account's broker is not to make another's leg wait; alone, nobody waits.
            found = [await work[0]] if len(work) == 1 else await asyncio.gather(*work)
        except BaseException:
            # The client hung up while some account was asked: nothing of it will be placed.
            for leg in asked.entered:
                self.give_back(leg)
            raise
        legs = [leg for each in found for leg in each]
        if request.require is Require.ALL:
            _deny_the_rest(legs)
        for leg in legs:
            if leg.denial is not None:
                self.give_back(leg)
        return legs

    def assert_whole(self, request: OrderRequest, allowed: Callable[[str], bool]) -> None:
        """Raise the `Problem` that `plan` would raise; judge no leg."""
        self._audience.resolve(request, allowed)

    def became(self, order_id: str, legs: Sequence[PlannedLeg]) -> None:
        """Say which order the legs became."""
        for leg in legs:
            if leg.entered:
                self._desk.name_order(leg.account.id, leg.broker_tag, order_id)

    def give_back(self, leg: PlannedLeg) -> None:
        """Take back what a leg was entered with: it is not sent after all."""
        if leg.entered:
            leg.entered = False
            self._desk.strike(leg.account.id, leg.broker_tag)

    async def size(self, request: OrderRequest, allowed: Callable[[str], bool]) -> list[PlannedLeg]:
        """Resolve accounts, groups and units as `plan` does, for what is only asked about.

        Judged is nothing but the contract: neither sessions nor the kill switch, nor how the
        order would be sent. The legs have no tag.

        Raises: `Problem` as `plan`.
        """
        legs = []
        for account_id, multiplier in self._audience.resolve(request, allowed).items():
            leg = PlannedLeg(account=self._accounts[account_id], broker_tag=0)
            await self._measure(leg, request, multiplier)
            if leg.denial is None:
                failure = first_failure(self._desk.contract(_draft(request, leg), request.slice))
                leg.denial = reason_of(failure) if failure else None
            legs.append(leg)
        return legs

    async def _legs(self, asked: _Asked, account: Account, multiplier: Decimal) -> list[PlannedLeg]:
        """One account's leg, or its slices."""
        request, trial = asked.request, asked.trial
        leg = PlannedLeg(account=account, broker_tag=self._mint_tag())
        subject = None
        if asked.purpose is Purpose.CLIENT:
            subject = Subject(
                account=account.id,
                broker=account.broker,
                strategy=request.strategy,
                keys=(asked.key_id,) if asked.key_id else (),
            )
        await self._measure(leg, request, multiplier)
        if leg.instrument is None or leg.denial is not None:
            leg.precheck = str(Verdict.FAILED)
            return [leg]
        if subject is not None:
            leg.denial = self._stops.judge_any(subject)
        leg.denial = leg.denial or account.obstacle()
        if leg.denial is None or trial:
            refusal = await self._protect(leg, request)
            leg.denial = leg.denial or refusal
        quantities = slices_of(leg.instrument, leg.quantity) if request.slice else [leg.quantity]
        leg.denial = leg.denial or _too_many(leg, quantities)
        if leg.denial is None or trial:
            await self._judge(asked, leg, len(quantities))
        legs = self._sliced(asked, leg, quantities) if leg.denial is None else [leg]
        denial = leg.denial
        for each in legs:
            denial = denial or _refused_here(account, each, request)
        must_reduce = subject is not None and self._stops.reduces_only(subject)
        if denial is None and subject is not None:
            denial = await self._stops.judge_new(
                account, subject, leg.instrument, request.side, request.product, leg.quantity
            )
        for each in legs:
            each.must_reduce = must_reduce
            # What stops one slice stops them all: a part of an order is not what was asked for.
            each.denial = denial
            if denial is not None:
                each.precheck = str(Verdict.FAILED)
        return legs

    async def _protect(self, leg: PlannedLeg, request: OrderRequest) -> Reason | None:
        """Give a leg without a limit one where its account wants that, or say why it has none."""
        account, policy = leg.account, leg.account.policy.market_orders
        if request.order_type not in UNPRICED or policy == "pass":
            return None
        if policy == "reject":
            return _reason(
                ReasonCode.ORDER_TYPE_NOT_ALLOWED,
                f"{account.id} takes no {request.order_type} orders (market_orders: reject);"
                " send LIMIT or SL",
                "order_type",
            )
        assert leg.instrument is not None  # noqa: S101
        try:
            leg.sent = await self._pricer.protect(account, leg.instrument, request)
        except Denied as error:
            retryable = error.reason is ReasonCode.PRICE_UNAVAILABLE
            field = "price" if error.reason is ReasonCode.PRICE_BAND else "order_type"
            return Reason(
                code=error.reason,
                message=error.message,
                details={"field": field},
                retryable=retryable,
            )
        return None

    async def _judge(self, asked: _Asked, leg: PlannedLeg, orders: int) -> None:
        judged = await self._desk.judge(
            leg.account,
            _draft(asked.request, leg),
            leg.broker_tag,
            asked.request.precheck,
            asked.deadline,
            amo=asked.request.amo,
            may_slice=asked.request.slice,
            closing=asked.purpose is not Purpose.CLIENT,
            enter=not asked.trial and leg.denial is None,
            request=asked.number,
            orders=orders,
        )
        leg.judged = judged
        leg.checks = [check for check in judged.checks if is_worth_keeping(check)]
        leg.precheck = summary(judged.checks)
        leg.entered = judged.entered
        if leg.entered:
            asked.entered.append(leg)
        failure = first_failure(judged.checks)
        if failure is not None:
            leg.denial = leg.denial or reason_of(failure)

    def _sliced(
        self, asked: _Asked, leg: PlannedLeg, quantities: Sequence[int]
    ) -> list[PlannedLeg]:
        """Part a leg by the freeze quantity, each slice with a tag of its own."""
        if len(quantities) < 2:
            return [leg]
        entry = leg.judged.entry if leg.judged is not None and leg.entered else None
        self.give_back(leg)
        legs = []
        for n, quantity in enumerate(quantities, 1):
            part = msgspec.structs.replace(
                leg,
                broker_tag=leg.broker_tag if n == 1 else self._mint_tag(),
                quantity=quantity,
                slice={"n": n, "of": len(quantities)},
            )
            if entry is not None:
                self._desk.enter_part(leg.account, entry, part.broker_tag, quantity)
                part.entered = True
                asked.entered.append(part)
            legs.append(part)
        return legs

    async def _measure(self, leg: PlannedLeg, request: OrderRequest, multiplier: Decimal) -> None:
        account = leg.account
        try:
            leg.instrument = await self._find_instrument(account.broker, request.instrument)
        except LookupError as error:
            leg.denial = _reason(ReasonCode.INSTRUMENT_UNKNOWN, str(error), "instrument")
        leg.quantity = quantity_for(request, account.id, multiplier, leg.instrument)
        if leg.denial is not None:
            return
        if leg.instrument is None:
            leg.denial = await self._unknown(account, request.instrument)
        elif leg.quantity == 0:
            leg.denial = _reason(
                ReasonCode.LOT_SIZE,
                f"the quantity for {account.id} rounds down to zero lots of"
                f" {leg.instrument.lot_size}",
                "quantity",
            )

    async def _unknown(self, account: Account, instrument: str) -> Reason:
        near = list(await self._suggest(instrument)) if self._suggest is not None else []
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return Reason(
            code=ReasonCode.INSTRUMENT_UNKNOWN,
            message=f"{instrument} is not in the instrument master of {account.broker}{hint}",
            details={"field": "instrument", "did_you_mean": near},
        )


def _draft(request: OrderRequest, leg: PlannedLeg) -> Draft:
    assert leg.instrument is not None  # noqa: S101
    sent = leg.sent
    return Draft(
        instrument=leg.instrument,
        side=request.side,
        order_type=sent.order_type if sent else request.order_type,
        product=request.product,
        quantity=leg.quantity,
        price=sent.price if sent else request.price,
        trigger_price=sent.trigger_price if sent else request.trigger_price,
        disclosed_quantity=request.disclosed_quantity,
    )


def _too_many(leg: PlannedLeg, quantities: Sequence[int]) -> Reason | None:
    if len(quantities) <= MOST_SLICES:
        return None
    return Reason(
        code=ReasonCode.FREEZE_QUANTITY,
        message=f"quantity {leg.quantity} would need {len(quantities)} slices of"
        f" {quantities[0]}, and {MOST_SLICES} is the most; send less",
        details={"field": "quantity"},
    )


def _refused_here(account: Account, leg: PlannedLeg, request: OrderRequest) -> Reason | None:
    """What the adapter itself says of the order; nothing is sent."""
    try:
        account.adapter.check_order(leg.place_order(request))
    except Denied as error:
        return _reason(error.reason, error.message)
    return None


def _deny_the_rest(legs: list[PlannedLeg]) -> None:
    """With `require: all`, one leg that fails its checks keeps every other one here."""
    failed = next((leg for leg in legs if leg.denial is not None), None)
    if failed is None or failed.denial is None:
        return
    for leg in legs:
        if leg.denial is None:
            leg.denial = Reason(
                code=failed.denial.code,
                message=f"not sent because {failed.account.id} failed its checks (require: all):"
                f" {failed.denial.message}",
                details={"account": failed.account.id},
                retryable=True,
            )


def _reason(code: ReasonCode, message: str, field: str | None = None) -> Reason:
    details = {"field": field} if field else {}
    return Reason(code=code, message=message, details=details, retryable=False)

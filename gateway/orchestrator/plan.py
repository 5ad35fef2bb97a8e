"""From the order asked for to the legs it means: accounts and groups, units, first checks.

Nothing here sends or writes. What is wrong for the order as a whole raises `Problem`; what is
wrong at one account becomes that leg's reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import ROUND_DOWN, Decimal

import msgspec

from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.models import Instrument, InstrumentType, PlaceOrder
from gateway.calls.permit import Permit
from gateway.kill import Subject
from gateway.orchestrator.account import Account
from gateway.orchestrator.pricing import UNPRICED, Pricer
from gateway.orchestrator.stops import Stops
from gateway.orders.problems import Problem
from gateway.orders.records import Purpose, Reason, Sent
from gateway.orders.request import FieldError, OrderRequest, Require, problems_of

FindInstrument = Callable[[str, str], Awaitable[Instrument | None]]


class PlannedLeg(msgspec.Struct, kw_only=True):
    """One leg before it is journalled. `denial` set: it will be DENIED, not sent.

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
    must_reduce: bool = False
    permit: Permit | None = None

    def place_order(self, request: OrderRequest) -> PlaceOrder:
        """The order as the adapter gets it. Only for a leg without a denial."""
        assert self.instrument is not None  # noqa: S101
        sent = self.sent or request
        return PlaceOrder(
            broker_tag=self.broker_tag,
            instrument=self.instrument,
            side=request.side,
            order_type=sent.order_type,
            product=request.product,
            validity=request.validity,
            quantity=self.quantity,
            price=sent.price,
            trigger_price=sent.trigger_price,
            disclosed_quantity=request.disclosed_quantity,
            amo=request.amo,
        )


class Planner:
    """Knows the accounts and groups, and where instruments are looked up."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Decimal]],
        find_instrument: FindInstrument,
        mint_tag: Callable[[], int],
        stops: Stops,
        pricer: Pricer | None = None,
    ) -> None:
        self._pricer = pricer
        self._stops = stops
        self._mint_tag = mint_tag
        self._accounts = accounts
        self._groups = groups
        self._find_instrument = find_instrument

    async def plan(
        self,
        request: OrderRequest,
        allowed: Callable[[str], bool],
        key_id: str | None = None,
        purpose: Purpose = Purpose.CLIENT,
    ) -> list[PlannedLeg]:
        """Resolve the request into legs, each checked as far as nothing need be asked.

        Only what has no limit and is to be protected is priced, every leg at the same time.

        `allowed` says which accounts the caller's key may use; others are unknown to it. The kill
        switch does not stop legs that it sends itself (`purpose`).

        Raises: `Problem` for what is wrong with the request as a whole.
        """
        multipliers = self._multipliers(request, allowed)
        legs: list[PlannedLeg] = []
        unpriced = []
        for account_id, multiplier in multipliers.items():
            account = self._accounts[account_id]
            subject = None
            if purpose is Purpose.CLIENT:
                subject = Subject(
                    account=account.id,
                    broker=account.broker,
                    strategy=request.strategy,
                    keys=(key_id,) if key_id else (),
                )
            leg = PlannedLeg(account=account, broker_tag=self._mint_tag())
            legs.append(leg)
            work = self._judge(leg, request, multiplier, subject)
            if request.order_type in UNPRICED:
                unpriced.append(work)
            else:
                await work
        await asyncio.gather(*unpriced)
        if request.require is Require.ALL:
            _deny_the_rest(legs)
        return legs

    async def size(self, request: OrderRequest, allowed: Callable[[str], bool]) -> list[PlannedLeg]:
        """Resolve accounts, groups and units as `plan` does, for what is only asked about.

        Judged is nothing but the contract, the lot and the tick: neither sessions nor the kill
        switch, nor how the order would be sent. The legs have no tag.

        Raises: `Problem` as `plan`.
        """
        legs = []
        for account_id, multiplier in self._multipliers(request, allowed).items():
            leg = PlannedLeg(account=self._accounts[account_id], broker_tag=0)
            await self._measure(leg, request, multiplier)
            leg.denial = leg.denial or _judge_contract(request, leg)
            legs.append(leg)
        return legs

    def _multipliers(
        self, request: OrderRequest, allowed: Callable[[str], bool]
    ) -> dict[str, Decimal]:
        """The accounts meant. Raises `Problem` for what is wrong with the request as a whole."""
        errors = problems_of(request)
        multipliers = self._resolve(request, allowed, errors)
        for account_id in request.quantities:
            if account_id not in multipliers:
                errors.append(
                    FieldError(f"quantities.{account_id}", "is not among the order's accounts")
                )
        if request.slice:
            errors.append(FieldError("slice", "slicing is not available yet; send smaller orders"))
        if errors:
            raise Problem(
                422,
                "invalid_order",
                "; ".join(f"{error.field} {error.message}" for error in errors),
                errors=errors,
            )
        return multipliers

    def _resolve(
        self, request: OrderRequest, allowed: Callable[[str], bool], errors: list[FieldError]
    ) -> dict[str, Decimal]:
        """Expand groups; list unknown and doubled accounts in `errors`."""
        found: dict[str, Decimal] = {}
        for index, name in enumerate(request.accounts):
            field = f"accounts[{index}]"
            members = self._members(name, allowed)
            if members is None:
                known = sorted(
                    [account for account in self._accounts if allowed(account)]
                    + [f"@{group}" for group in self._groups]
                )
                errors.append(
                    FieldError(field, f"{name!r} is not known; known are {', '.join(known)}")
                )
                continue
            for account_id, multiplier in members.items():
                if account_id in found:
                    errors.append(
                        FieldError(field, f"{account_id} is named twice, here through {name}")
                    )
                found[account_id] = multiplier
        return found

    def _members(self, name: str, allowed: Callable[[str], bool]) -> dict[str, Decimal] | None:
        if not name.startswith("@"):
            known = name in self._accounts and allowed(name)
            return {name: Decimal(1)} if known else None
        group = self._groups.get(name[1:])
        if group is None or not all(map(allowed, group)):
            return None
        return dict(group)

    async def _judge(
        self,
        leg: PlannedLeg,
        request: OrderRequest,
        multiplier: Decimal,
        subject: Subject | None,
    ) -> None:
        account = leg.account
        await self._measure(leg, request, multiplier)
        if leg.denial is None and subject is not None:
            leg.denial = self._stops.judge_any(subject)
        if leg.denial is None:
            leg.denial = (
                account.obstacle() or _judge_contract(request, leg) or _judge_market(request, leg)
            )
        if leg.denial is None:
            try:
                await self._protect(leg, request)
                account.adapter.check_order(leg.place_order(request))
            except Denied as error:
                retryable = error.reason is ReasonCode.PRICE_UNAVAILABLE
                leg.denial = Reason(code=error.reason, message=error.message, retryable=retryable)
        leg.must_reduce = subject is not None and self._stops.reduces_only(subject)
        if leg.denial is None and subject is not None and leg.instrument is not None:
            leg.denial = await self._stops.judge_new(
                account, subject, leg.instrument, request.side, request.product, leg.quantity
            )
        leg.precheck = "passed" if leg.denial is None else "failed"

    async def _protect(self, leg: PlannedLeg, request: OrderRequest) -> None:
        """Give a leg without a limit one, where its account wants that. Raises `Denied`."""
        if request.order_type not in UNPRICED or leg.account.policy.market_orders == "pass":
            return
        if self._pricer is None or leg.instrument is None:
            raise Denied("no price source is connected", reason=ReasonCode.PRICE_UNAVAILABLE)
        leg.sent = await self._pricer.protect(leg.account, leg.instrument, request)

    async def _measure(self, leg: PlannedLeg, request: OrderRequest, multiplier: Decimal) -> None:
        try:
            leg.instrument = await self._find_instrument(leg.account.broker, request.instrument)
        except LookupError as error:
            leg.denial = _reason(ReasonCode.INSTRUMENT_UNKNOWN, str(error))
        leg.quantity = _quantity(request, leg.account.id, multiplier, leg.instrument)


def _quantity(
    request: OrderRequest, account_id: str, multiplier: Decimal, instrument: Instrument | None
) -> int:
    """Units for one account, rounded down to the lot; a quantity named for it is taken as it is."""
    if account_id in request.quantities:
        return request.quantities[account_id]
    lot = instrument.lot_size if instrument else 1
    if request.lots is not None:
        lots = (request.lots * multiplier).to_integral_value(ROUND_DOWN)
        return int(lots) * lot
    units = int((request.quantity or 0) * multiplier)
    if multiplier == 1:
        return units
    return units - units % lot


def _judge_contract(request: OrderRequest, leg: PlannedLeg) -> Reason | None:
    """The checks against the instrument itself, in the order in which a trader would mend them."""
    instrument = leg.instrument
    if instrument is None:
        return _reason(
            ReasonCode.INSTRUMENT_UNKNOWN,
            f"{request.instrument} is not in the instrument master of {leg.account.broker}",
        )
    if instrument.type is InstrumentType.INDEX:
        return _reason(
            ReasonCode.INSTRUMENT_BLOCKED, f"{request.instrument} is an index: quoted, not traded"
        )
    if leg.quantity == 0:
        return _reason(
            ReasonCode.LOT_SIZE,
            f"the quantity for {leg.account.id} rounds down to zero lots of {instrument.lot_size}",
        )
    if leg.quantity % instrument.lot_size:
        return _reason(
            ReasonCode.LOT_SIZE,
            f"quantity {leg.quantity} is not a multiple of the lot size {instrument.lot_size}",
        )
    for field, price in (("price", request.price), ("trigger_price", request.trigger_price)):
        if price is not None and price % instrument.tick_size:
            return _reason(
                ReasonCode.TICK_SIZE,
                f"{field} {price} is not a multiple of the tick size {instrument.tick_size}",
            )
    return None


def _judge_market(request: OrderRequest, leg: PlannedLeg) -> Reason | None:
    """What the account's policy says of orders without a limit price."""
    if request.order_type not in UNPRICED:
        return None
    if leg.account.policy.market_orders != "reject":
        return None
    return _reason(
        ReasonCode.ORDER_TYPE_NOT_ALLOWED,
        f"{leg.account.id} takes no {request.order_type} orders (market_orders: reject);"
        " send LIMIT or SL",
    )


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


def _reason(code: ReasonCode, message: str) -> Reason:
    return Reason(code=code, message=message, retryable=False)

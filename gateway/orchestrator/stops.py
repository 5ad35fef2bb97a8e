"""What the kill switch says to one write: asked when it is planned, and again just before it goes.

A new order opens unless it is proven to reduce; a modify opens unless it only takes quantity
away; cancels are never asked about.
"""

from __future__ import annotations

from adapters.sdk.errors import GatewayError
from adapters.sdk.models import Instrument, PlaceOrder, Product, Side
from gateway.kill import Engagement, KillSwitch, KillSwitchEngaged, Level, Subject, refusal
from gateway.kill.switch import JOURNAL
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.reducing import NotReducing, Reducer
from gateway.orders.records import Purpose, Reason


class Stops:
    """Every method that refuses raises `KillSwitchEngaged`; nothing was sent then."""

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch
        self._reducers: dict[str, Reducer] = {}

    @property
    def epoch(self) -> int:
        return self._switch.epoch

    @property
    def journal_broken(self) -> bool:
        return self._switch.journal_broken

    def journal_broke(self, why: str) -> None:
        self._switch.set_condition(JOURNAL, f"the journal cannot be written ({why})")

    def reduces_only(self, subject: Subject) -> bool:
        """Whether orders of the subject must be proven to reduce before they may go."""
        engaged = self._switch.on(subject)
        return engaged is not None and engaged.level is Level.REDUCE_ONLY

    def judge_any(self, subject: Subject) -> Reason | None:
        """Why no new order of the subject is taken, whatever it does; or None."""
        engaged = self._switch.on(subject)
        if engaged is None or engaged.level is Level.REDUCE_ONLY:
            return None
        return refusal(engaged).as_reason()

    async def judge_new(
        self,
        account: Account,
        subject: Subject,
        instrument: Instrument,
        side: Side,
        product: Product,
        quantity: int,
    ) -> Reason | None:
        """Why an order that is only planned would be refused for what it does, or None."""
        engaged = self._switch.on(subject)
        if engaged is None or engaged.level is not Level.REDUCE_ONLY:
            return None
        try:
            reducer = self._reducer(account)
            await reducer.look()
            reducer.judge(instrument, side, product, quantity, "")
        except (GatewayError, NotReducing) as error:
            return _unproven(engaged, error).as_reason()
        return None

    async def look(self, leg: LiveLeg, account: Account) -> None:
        """Read what `assert_may_place` will need, where it will need anything."""
        engaged = self._engaged(leg)
        if engaged is None or engaged.level is not Level.REDUCE_ONLY:
            return
        try:
            await self._reducer(account).look()
        except (GatewayError, NotReducing) as error:
            raise _unproven(engaged, error) from error

    def assert_may_place(self, leg: LiveLeg, account: Account, place: PlaceOrder) -> None:
        """Let a leg through, or raise. One that passes as reducing has its quantity reserved."""
        engaged = self._engaged(leg)
        if engaged is None:
            return
        if engaged.level is not Level.REDUCE_ONLY:
            raise refusal(engaged)
        try:
            self._reducer(account).judge(
                place.instrument, place.side, place.product, place.quantity, leg.record.leg_id
            )
        except NotReducing as error:
            raise _unproven(engaged, error) from error
        leg.cleared = True

    def assert_may_modify(self, leg: LiveLeg, key_id: str | None, *, decreases: bool) -> None:
        """`key_id` is who modifies: a stopped key may not change the orders of another either."""
        subject = leg.subject
        keys = (*subject.keys, key_id) if key_id else subject.keys
        whose = Subject(
            account=subject.account, broker=subject.broker, strategy=subject.strategy, keys=keys
        )
        self.assert_may_modify_for(whose, decreases=decreases)

    def assert_may_modify_for(self, subject: Subject, *, decreases: bool) -> None:
        """As `assert_may_modify`, for an order that has no leg here."""
        engaged = self._switch.on(subject)
        if engaged is not None and not decreases:
            raise refusal(
                engaged, "only a modify that does nothing but lower the quantity may pass"
            )

    def _engaged(self, leg: LiveLeg) -> Engagement | None:
        engaged = self._switch.on(leg.subject)
        if leg.order.order.purpose is Purpose.SQUARE_OFF and not self._switch.journal_broken:
            return None
        return engaged

    def _reducer(self, account: Account) -> Reducer:
        return self._reducers.setdefault(account.id, Reducer(account))


def _unproven(engaged: Engagement, error: GatewayError | NotReducing) -> KillSwitchEngaged:
    if isinstance(error, NotReducing):
        return refusal(engaged, error.why, **error.details)
    return refusal(engaged, f"the positions could not be read: {error.message}")

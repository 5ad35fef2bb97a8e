"""The operator's side: legs whose fate is not proven, and his word on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from adapters.sdk.models import BrokerOrder, Instrument
from gateway.orchestrator.account import Account
from gateway.orchestrator.book import BookView
from gateway.orchestrator.evidence import Evidence
from gateway.orchestrator.live import LiveLeg
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.orders.states import UNPROVEN, LegState
from gateway.orders.times import now_us
from gateway.store import Store
from gateway.store.owners import find_owners

Heard = Callable[[LiveLeg], None]
ReadBook = Callable[[Account], Awaitable[BookView | None]]
FindInstrument = Callable[[Account, str], Awaitable[Instrument | None]]


class Resolving:
    """`on_found` and `on_done` hear of legs that the operator adopted, and declared absent."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        read_book: ReadBook,
        instrument_of: FindInstrument,
        *,
        on_found: Heard,
        on_done: Heard,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._read_book = read_book
        self._instrument_of = instrument_of
        self._on_found = on_found
        self._on_done = on_done

    def unresolved(self) -> list[tuple[LiveLeg, Account, Evidence]]:
        """Every leg whose fate is not proven, oldest first, with what was seen of it."""
        found = [
            (leg, account, account.evidence_of(leg))
            for account in self._accounts.values()
            for leg in account.moving.values()
            if leg.state in UNPROVEN
        ]
        return sorted(found, key=lambda item: item[0].record.created_us)

    async def adopt(
        self, leg: LiveLeg, broker_order_id: str, actor: dict[str, Any], reason: str
    ) -> None:
        """Take an order at the broker for the leg, on the operator's word and the book's.

        Raises: `Problem` when the leg is proven already, when the order belongs to another leg,
        also of an earlier run, is another order than the leg's, or is not in the book at all.
        """
        account = self._accounts[leg.record.account]
        view = await self._read_book(account)
        if leg.state not in UNPROVEN:
            if leg.record.broker_order_id == broker_order_id:
                return  # the book has just said so itself
            raise Problem(409, "not_unresolved", f"the leg is {leg.state}: nothing to resolve")
        if view is None:
            raise Problem(
                503,
                "broker_unavailable",
                f"the order book of {account.id} cannot be read now, and only it can show that"
                f" {broker_order_id} exists; nothing was changed",
            )
        row = view.order(broker_order_id)
        if row is None:
            message = f"{broker_order_id} is not in the order book of {account.id}; check the id"
            raise Problem(
                422, "invalid_request", message, errors=[FieldError("broker_order_id", message)]
            )
        await self._assert_unclaimed(leg, account, broker_order_id)
        await self._assert_same_order(leg, account, row)
        adopted = await leg.change(
            LegState.ACKED,
            "adopted_by_operator",
            only_from=UNPROVEN,
            broker_order_id=broker_order_id,
            reason=None,
            details={"actor": actor, "reason": reason},
        )
        if not adopted:
            raise Problem(409, "not_unresolved", f"the leg is {leg.state}: nothing to resolve")
        account.forget_evidence(leg)
        self._on_found(leg)

    async def _assert_unclaimed(self, leg: LiveLeg, account: Account, order_id: str) -> None:
        owners = await self._store.read(
            lambda c: find_owners(c, account.id, (), (order_id,), now_us())
        )
        owner = owners.by_broker_order_id.get(order_id)
        taken = owner is not None and owner.leg.leg_id != leg.record.leg_id
        if taken or order_id in account.claimed_ids():
            raise Problem(409, "order_claimed", f"{order_id} already belongs to another leg")

    async def _assert_same_order(self, leg: LiveLeg, account: Account, row: BrokerOrder) -> None:
        record = leg.record
        contract = await self._instrument_of(account, record.instrument)
        differs = []
        if row.broker_tag is not None and row.broker_tag != record.broker_tag:
            differs.append("it carries another tag")
        if contract is not None and not account.is_contract(row.codes, contract):
            differs.append(f"it is not for {record.instrument}")
        if row.side is not None and row.side is not record.side:
            differs.append(f"it is a {row.side}")
        if row.quantity != record.quantity:
            differs.append(f"its quantity is {row.quantity}, not {record.quantity}")
        if differs:
            raise Problem(
                409,
                "order_differs",
                f"{row.broker_order_id} is another order than this leg's: {'; '.join(differs)}",
            )

    async def declare_absent(self, leg: LiveLeg, actor: dict[str, Any], reason: str) -> None:
        """End a leg as absent on the operator's word.

        Raises: `Problem` when the leg is proven already, or more than one order carries its tag.
        """
        details = {"actor": actor, "reason": reason}
        if leg.state is LegState.UNKNOWN:
            await leg.change(LegState.NEEDS_OPERATOR, "needs_operator", details=details)
        allowed = frozenset({LegState.NEEDS_OPERATOR, LegState.NOT_FOUND})
        if not await leg.change(
            LegState.ABSENT, "declared_absent", only_from=allowed, details=details
        ):
            raise Problem(
                409, "not_unresolved", f"the leg is {leg.state}: it cannot be declared absent"
            )
        self._on_done(leg)

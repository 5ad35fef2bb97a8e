"""The operator's side: legs whose fate is not proven, and his word on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.orchestrator.account import Account
from gateway.orchestrator.evidence import Evidence
from gateway.orchestrator.live import LiveLeg
from gateway.orders.problems import Problem
from gateway.orders.states import UNPROVEN, LegState

Heard = Callable[[LiveLeg], None]


class Resolving:
    """`on_found` and `on_done` hear of legs that the operator adopted, and declared absent."""

    def __init__(self, accounts: Mapping[str, Account], *, on_found: Heard, on_done: Heard) -> None:
        self._accounts = accounts
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
        """Take an order at the broker for the leg, on the operator's word.

        Raises: `Problem` when the leg is proven already, or the order belongs to another leg.
        """
        account = self._accounts[leg.record.account]
        if broker_order_id in account.claimed_ids():
            raise Problem(409, "order_claimed", f"{broker_order_id} already belongs to another leg")
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

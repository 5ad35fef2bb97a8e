"""One configured account at run time: its adapter, its session, its pacing, its moving legs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from adapters.sdk.errors import ReasonCode
from adapters.sdk.interface import Adapter, AdapterPlugin
from adapters.sdk.models import Session
from gateway.orchestrator.limiter import OrderLimiter
from gateway.orchestrator.live import LiveLeg
from gateway.orders.records import Reason


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an account's configuration that orders are judged by."""

    orders_per_second: int = 8
    market_orders: str = "protect"
    protect_band: Mapping[str, Decimal] = {}
    exclusive: bool = False
    quotes_from: str | None = None


class Account:
    """What the orchestrator knows of an account. `session` is set and cleared by the sessions.

    `recovered` is False until the legs that a restart left in doubt were looked up once.
    """

    def __init__(
        self, account_id: str, plugin: AdapterPlugin, adapter: Adapter, policy: AccountPolicy
    ) -> None:
        self.id = account_id
        self.plugin = plugin
        self.adapter = adapter
        self.policy = policy
        self.session: Session | None = None
        self.session_problem: Reason | None = None
        self.limiter = OrderLimiter(policy.orders_per_second)
        self.moving: dict[str, LiveLeg] = {}
        self.recovered = True

    @property
    def broker(self) -> str:
        return self.plugin.broker

    def obstacle(self) -> Reason | None:
        """Why nothing new may go to this account now, or None."""
        if self.session is None:
            return self.session_problem or Reason(
                code=ReasonCode.SESSION_MISSING,
                message=f"{self.id} is not logged in; POST /v1/sessions/{self.id}/login",
                retryable=True,
            )
        if not self.recovered:
            return Reason(
                code=ReasonCode.UNRESOLVED,
                message=f"orders of {self.id} from before the restart are still being looked up",
                retryable=True,
            )
        return None

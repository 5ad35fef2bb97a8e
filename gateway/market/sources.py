"""Which account answers for the market: the one named, or the best that the key may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.sdk.errors import ReasonCode
from adapters.sdk.interface import Feature, Support
from gateway.books.reader import NotRead, session_of
from gateway.orchestrator.account import Account
from gateway.orders.records import Reason
from gateway.orders.times import now_us

_MARKET = (Feature.QUOTES, Feature.DEPTH, Feature.CANDLES)


class Sources:
    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    def get(self, account_id: str) -> Account | None:
        return self._accounts.get(account_id)

    def named(self, account: Account, feature: Feature) -> list[Account]:
        """The account alone. Raises `NotRead`: `not_supported`, or why it has no session."""
        declared = account.plugin.capabilities.features.get(feature, Support.NOT_OFFERED)
        if declared is not Support.SUPPORTED:
            why = (
                f"{account.plugin.title} offers no {feature}"
                if declared is Support.NOT_OFFERED
                else f"how {account.plugin.title} offers {feature} is not proven"
            )
            raise NotRead(
                Reason(
                    code=ReasonCode.NOT_SUPPORTED,
                    message=f"{why}; leave account out, or name another",
                ),
                supported=False,
            )
        session_of(account, now_us())
        return [account]

    def best(self, feature: Feature, allowed: Callable[[str], bool]) -> list[Account]:
        """Every account that could answer, the best first: real, healthy, with the most to offer.

        Raises `NotRead` where there is none.
        """
        able = [
            account
            for account in self._accounts.values()
            if allowed(account.id) and account.plugin.capabilities.has(feature)
        ]
        if not able:
            raise NotRead(
                Reason(
                    code=ReasonCode.NOT_SUPPORTED,
                    message=f"no account that this key may see offers {feature}",
                ),
                supported=False,
            )
        active = [account for account in able if _is_active(account)]
        if not active:
            names = ", ".join(account.id for account in able)
            raise NotRead(
                Reason(
                    code=ReasonCode.SESSION_MISSING,
                    message=f"none of {names} is logged in; POST /v1/sessions/ACCOUNT/login",
                    retryable=True,
                )
            )
        return sorted(active, key=_rank)


def _rank(account: Account) -> tuple[bool, bool, int]:
    able = account.plugin.capabilities
    rests = not account.calls.health.data.would_admit()
    return able.practice, rests, -sum(able.has(feature) for feature in _MARKET)


def _is_active(account: Account) -> bool:
    try:
        session_of(account, now_us())
    except NotRead:
        return False
    return True

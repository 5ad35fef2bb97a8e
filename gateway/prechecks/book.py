"""Which risk limits stand: the configuration's, or those put in their place at run time."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from gateway.prechecks.limits import NO_LIMITS, RiskLimits
from gateway.store import Store

_META = "limits"


class LimitScope(StrEnum):
    GLOBAL = "global"
    ACCOUNT = "account"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`from_config` False: set at run time, and it stands until it is taken back."""

    scope: LimitScope
    target: str | None
    limits: RiskLimits
    from_config: bool


class LimitBook:
    """One per process. Global limits apply to all accounts together, beside each one's own."""

    def __init__(
        self, store: Store, everywhere: RiskLimits, accounts: Mapping[str, RiskLimits]
    ) -> None:
        self._store = store
        self._configured: dict[str | None, RiskLimits] = {}
        self._set: dict[str | None, RiskLimits] = {}
        self.configure(everywhere, accounts)

    def configure(self, everywhere: RiskLimits, accounts: Mapping[str, RiskLimits]) -> None:
        """Take over the configuration's limits. What was set at run time stands over them."""
        given: dict[str | None, RiskLimits] = {None: everywhere}
        given.update(accounts)
        # One object for "none", so that whoever asks sees at once that there is no limit.
        self._configured = {
            target: NO_LIMITS if limits == NO_LIMITS else limits for target, limits in given.items()
        }

    async def load(self) -> None:
        """Take up what was set in earlier runs. Raises: `msgspec.ValidationError`."""
        for target in self._configured:
            await self.load_one(target)

    async def load_one(self, target: str | None) -> None:
        """As `load`, for one account. Raises: `msgspec.ValidationError`."""
        kept = await self._store.load_meta(_name(target))
        if kept and kept != "null":
            self._set[target] = msgspec.json.decode(kept, type=RiskLimits)

    def of(self, target: str | None) -> RiskLimits:
        """The limits of an account, or with None the global ones."""
        return self._set.get(target) or self._configured.get(target, NO_LIMITS)

    def all(self) -> list[Standing]:
        return [
            Standing(
                scope=LimitScope.GLOBAL if target is None else LimitScope.ACCOUNT,
                target=target,
                limits=self.of(target),
                from_config=target not in self._set,
            )
            for target in self._configured
        ]

    async def put(
        self, target: str | None, limits: RiskLimits | None, actor: dict[str, Any], reason: str
    ) -> None:
        """Put limits in the place of those that stand; None: the configuration's again.

        Raises: `StoreBroken`; then nothing changes.
        """
        before = self.of(target)
        body = {
            "event": "limits_set" if limits is not None else "limits_restored",
            "actor": actor,
            "target": target,
            "reason": reason,
            "before": _plain(before),
            "after": _plain(limits or self._configured[target]),
        }
        text = msgspec.json.encode(limits).decode()
        await self._store.save_meta(_name(target), text, body, account=target)
        if limits is None:
            self._set.pop(target, None)
        else:
            self._set[target] = limits


def _name(target: str | None) -> str:
    return f"{_META}:{target or ''}"


def _plain(limits: RiskLimits) -> dict[str, Any]:
    """Only what is set, as JSON shows it."""
    whole: dict[str, Any] = msgspec.to_builtins(limits)
    return {field: value for field, value in whole.items() if value not in (None, (), [], {})}

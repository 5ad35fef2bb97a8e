"""Which accounts an order means: ids and groups, each with its multiplier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError, OrderRequest, problems_of


class Audience:
    def __init__(
        self,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Mapping[str, Decimal]],
    ) -> None:
        self._accounts = accounts
        self._groups = groups

    def resolve(self, request: OrderRequest, allowed: Callable[[str], bool]) -> dict[str, Decimal]:
        """Return each account meant with its multiplier.

        `allowed` says which accounts the caller's key may use; others are unknown to it.

        Raises: `Problem` for everything that is wrong with the request as a whole.
        """
        errors = problems_of(request)
        multipliers = self._expand(request, allowed, errors)
        for account_id in request.quantities:
            if account_id not in multipliers:
                errors.append(
                    FieldError(f"quantities.{account_id}", "is not among the order's accounts")
                )
        if errors:
            raise Problem(
                422,
                "invalid_order",
                "; ".join(f"{error.field} {error.message}" for error in errors),
                errors=errors,
            )
        return multipliers

    def _expand(
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
                    + [f"@{group}" for group, of in self._groups.items() if all(map(allowed, of))]
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

"""Reads that go to several accounts at once: which accounts, and one answer of all of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from gateway.api.routing import Call
from gateway.books.reader import NotRead
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import FieldError

ACCOUNTS = {"accounts": "ids and @groups, separated by commas; all that the key may see"}
Groups = Mapping[str, Mapping[str, Decimal]]


class ReadSummary(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class Result(msgspec.Struct, kw_only=True):
    """One account's part of a fan-out read: `as_of` and `data`, or the `reason` why not.

    `unlisted`: the broker's own codes of rows whose contract its master does not list, by the
    row's place in `data`.
    """

    account: str
    broker: str
    ok: bool
    as_of: str | UnsetType | None = UNSET
    reason: Reason | UnsetType = UNSET
    unlisted: dict[str, dict[str, str]] | UnsetType = UNSET


class AccountReads:
    """Asks accounts side by side; one that cannot be read is a result like the others."""

    def __init__(self, accounts: Mapping[str, Account], groups: Groups) -> None:
        self._accounts = accounts
        self._groups = groups

    async def fan_out(
        self, call: Call, one: Callable[[Account], Awaitable[Any]], failed: Callable[..., Any]
    ) -> list[Any]:
        """Ask every account that the query means; `failed` makes the result of one that raises."""
        return await self.ask(self.asked_for(call), one, failed)

    async def ask(
        self,
        accounts: Iterable[Account],
        one: Callable[[Account], Awaitable[Any]],
        failed: Callable[..., Any],
    ) -> list[Any]:
        async def bounded(account: Account) -> Any:
            try:
                return await one(account)
            except NotRead as error:
                return failed(
                    account=account.id, broker=account.broker, ok=False, reason=error.reason
                )

        return list(await asyncio.gather(*map(bounded, accounts)))

    def asked_for(self, call: Call) -> list[Account]:
        """Resolve `accounts`, groups too; raises `Problem` for one that the key does not know."""
        text = call.query.get("accounts")
        if text is None:
            return [item for item in self._accounts.values() if call.who.allows(item.id)]
        found: dict[str, Account] = {}
        for name in filter(None, (part.strip() for part in text.split(","))):
            for account_id in self._members(name, call):
                found[account_id] = self._accounts[account_id]
        if not found:
            raise invalid("accounts", "names no account")
        return list(found.values())

    def assert_known(self, call: Call, names: Iterable[str]) -> None:
        """Raise `Problem` for an account or @group that the key does not know."""
        for name in names:
            self._members(name, call)

    def _members(self, name: str, call: Call) -> Iterable[str]:
        group = self._groups.get(name[1:]) if name.startswith("@") else None
        members = list(group) if group is not None else [name]
        if all(item in self._accounts and call.who.allows(item) for item in members):
            return members
        known = sorted(filter(call.who.allows, self._accounts))
        known += [f"@{g}" for g, of in self._groups.items() if all(map(call.who.allows, of))]
        raise invalid("accounts", f"{name!r} is not known; known are {', '.join(known)}")


def summary_of(results: list[Any]) -> ReadSummary:
    good = sum(1 for result in results if result.ok)
    if good == len(results):
        return ReadSummary.COMPLETE
    return ReadSummary.PARTIAL if good else ReadSummary.FAILED


def invalid(field: str, message: str) -> Problem:
    errors = [FieldError(field, message)]
    return Problem(422, "invalid_request", f"{field} {message}", errors=errors)

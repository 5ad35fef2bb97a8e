"""Another configuration for a running gateway: all of it, or nothing.

What is compared and prepared first touches nothing that runs. Then the accounts that are to go take
no more orders, and only when none of theirs is open does everything change, in one step without an
await, after the journal has the row that tells of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.request import FieldError

if TYPE_CHECKING:
    from gateway.config.settings import Account as AccountSettings
    from gateway.config.settings import Settings

log = logging.getLogger(__name__)

# What makes another account of it: other hosts, another login, another place to call from.
_REPLACING = ("broker", "base_urls", "ca_file", "login", "source_address", "practice_cash")
_FIXED = ("data_dir", "server", "logging", "instruments", "prechecks", "alerts", "session", "audit")
_SETTLE_S = 10.0


class ChangedAccount(msgspec.Struct, frozen=True):
    """`fields`: the keys that changed, in the words of the configuration."""

    account: str
    fields: list[str]


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload did.

    `replaced` accounts have other hosts, another login or another address, and are logged out.
    `needs_restart`: keys whose change in the file has no effect before the gateway is restarted.
    """

    changed: bool
    added: list[str]
    removed: list[str]
    replaced: list[ChangedAccount]
    updated: list[ChangedAccount]
    groups: list[str]
    risk_changed: bool
    needs_restart: list[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done so that the gateway runs by `settings`."""

    settings: Any
    told: Reloaded

    @property
    def leaving(self) -> list[str]:
        return [*self.told.removed, *(each.account for each in self.told.replaced)]

    @property
    def coming(self) -> list[str]:
        return [*self.told.added, *(each.account for each in self.told.replaced)]


def compare(running: Settings, wanted: Settings, practice: Callable[[str], bool]) -> Difference:
    """Say what differs. `practice`: whether a broker is one to practise at."""
    old = {account.id: account for account in running.accounts}
    new = {account.id: account for account in wanted.accounts}
    replaced: list[ChangedAccount] = []
    updated: list[ChangedAccount] = []
    for name in (name for name in new if name in old):
        fields = _fields(old[name], new[name])
        if not fields:
            continue
        lent_anew = "quotes_from" in fields and practice(new[name].broker)
        windows = "limits.broker_windows" in fields
        anew = lent_anew or windows or any(field.split(".")[0] in _REPLACING for field in fields)
        (replaced if anew else updated).append(ChangedAccount(name, fields))
    groups = [
        name
        for name in sorted({*running.groups, *wanted.groups})
        if running.groups.get(name) != wanted.groups.get(name)
    ]
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    risk_changed = running.risk != wanted.risk
    told = Reloaded(
        changed=bool(added or removed or replaced or updated or groups or risk_changed),
        added=added,
        removed=removed,
        replaced=replaced,
        updated=updated,
        groups=groups,
        risk_changed=risk_changed,
        needs_restart=[key for name in _FIXED for key in _differing(name, running, wanted)],
    )
    fixed = {name: getattr(running, name) for name in _FIXED}
    return Difference(settings=wanted.model_copy(update=fixed), told=told)


class Reloader:
    """One per process; one reload at a time.

    `read` reads the configuration anew, in a thread, and raises `Problem` for what is wrong with
    it; None where there is nothing to read. `make` makes an account that nothing knows yet and
    `prepare` brings it up to date; `apply` puts a difference into effect without an
    await, and returns the writes that follow from it. `audit` writes a row, `record` one that also
    says what the new configuration changes.
    """

    def __init__(
        self,
        *,
        read: Callable[[], Settings] | None,
        running: Callable[[], Settings],
        accounts: Mapping[str, Account],
        practice: Callable[[str], bool],
        make: Callable[[AccountSettings], Account],
        prepare: Callable[[Account], Awaitable[None]],
        apply: Callable[[Difference, Mapping[str, Account]], Iterable[asyncio.Future[None]]],
        login_lock: Callable[[str], asyncio.Lock],
        settled: Callable[[], Awaitable[None]],
        busy: Callable[[str], bool],
        audit: Callable[[dict[str, Any]], Awaitable[object]],
        record: Callable[[Settings, dict[str, Any]], Awaitable[object]],
    ) -> None:
        self._read = read
        self._running = running
        self._accounts = accounts
        self._practice = practice
        self._make = make
        self._prepare = prepare
        self._apply = apply
        self._login_lock = login_lock
        self._settled = settled
        self._busy = busy
        self._audit = audit
        self._record = record
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, actor: dict[str, Any]) -> Reloaded:
        """Read the configuration and run by it.

        Raises: `Problem` 422 for a configuration that cannot be used, 409 for an account that
        cannot go now; `StoreBroken`. Then nothing has changed.
        """
        if self._read is None:
            raise Problem(
                409, "reload_unavailable", "this gateway was not started from a configuration"
            )
        async with self._one_at_a_time:
            try:
                wanted = await asyncio.to_thread(self._read)
                difference = compare(self._running(), wanted, self._practice)
                if difference.told.changed:
                    await self._change(difference, actor)
            except Problem as problem:
                body = {"event": "reload_refused", "actor": actor, "problem": problem.detail}
                await self._audit(body)
                raise
        return difference.told

    async def _change(self, difference: Difference, actor: dict[str, Any]) -> None:
        made: dict[str, Account] = {}
        leaving = [self._accounts[name] for name in difference.leaving]
        self._assert_idle(leaving)
        try:
            for name in difference.coming:
                made[name] = self._made(difference.settings.account(name))
            async with AsyncExitStack() as stack:
                for name in difference.leaving:
                    await stack.enter_async_context(self._no_login(name))
                for account in leaving:
                    account.leaving = _leaving(account)
                await self._let_settle()
                self._assert_idle(leaving)
                for account in made.values():
                    await self._prepare(account)
                self._assert_idle(leaving)
                told = msgspec.to_builtins(difference.told)
                row = {"event": "reloaded", "actor": actor, **told}
                await self._record(difference.settings, row)
                # An order that was given up may have shown at its broker after all, just now.
                self._assert_idle(leaving)
                written = self._apply(difference, made)
        except BaseException:
            for account in leaving:
                account.leaving = None
            for account in made.values():
                account.calls.close()
                await account.adapter.close()
            raise
        log.info("the configuration was reloaded: %s", told)
        # A journal that broke just now says so itself.
        await asyncio.gather(*written, return_exceptions=True)
        for account in leaving:
            account.calls.close()
            await account.adapter.close()

    def _made(self, settings: AccountSettings) -> Account:
        try:
            return self._make(settings)
        except (ValueError, OSError) as error:
            message = f"cannot be made: {error}"
            raise Problem(
                422,
                "config_invalid",
                f"account {settings.id} {message}",
                errors=[FieldError(f"accounts.{settings.id}", message)],
            ) from error

    async def _let_settle(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._settled()
        except TimeoutError:
            raise Problem(
                409, "account_busy", "orders are still on their way in; try again"
            ) from None

    def _no_login(self, name: str) -> asyncio.Lock:
        lock = self._login_lock(name)
        if lock.locked():
            raise Problem(409, "account_busy", f"a login of {name} is running; try again after it")
        return lock

    def _assert_idle(self, leaving: list[Account]) -> None:
        errors = [
            FieldError(
                f"accounts.{account.id}",
                f"has {len(account.moving)} legs that are open or not proven; let them end, cancel"
                " or resolve them first",
            )
            for account in leaving
            if account.moving
        ]
        errors += [
            FieldError(f"accounts.{account.id}", "has positions being closed; let that end first")
            for account in leaving
            if self._busy(account.id)
        ]
        if errors:
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(409, "account_busy", f"nothing was changed: {text}", errors=errors)


def _leaving(account: Account) -> Reason:
    return Reason(
        code=ReasonCode.SESSION_MISSING,
        message=f"{account.id} is being taken out of the configuration, or given another place",
        retryable=False,
    )


def _fields(old: AccountSettings, new: AccountSettings) -> list[str]:
    fields = []
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if name == "limits":
            fields += [
                f"limits.{key}"
                for key in type(before).model_fields
                if getattr(before, key) != getattr(after, key)
            ]
        else:
            fields.append(name)
    return fields


def _differing(name: str, running: Settings, wanted: Settings) -> list[str]:
    before, after = getattr(running, name), getattr(wanted, name)
    if before == after:
        return []
    if not hasattr(type(before), "model_fields"):
        return [name]
    return [
        f"{name}.{key}"
        for key in type(before).model_fields
        if getattr(before, key) != getattr(after, key)
    ]

"""Who is calling: API keys over TCP, the same user over the control socket."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.api.refusals import Refusals
from gateway.api.routing import Route
from gateway.orchestrator.caller import Caller
from gateway.orders.problems import Problem
from gateway.secrets.api_keys import ApiKey, ApiKeyError, Minted, Scope, mint, parse
from gateway.sessions.faults import Fault
from gateway.store import Store

CONTROL_CLIENT = "control"
_USE_KEPT_AFTER_S = 60.0
# Whoever reads a refusal must not look for its cause at the broker.
_KEY_AT_FAULT = {"at_fault": Fault.GATEWAY_KEY}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="brokergate"'}


class Keys:
    """The API keys in use, in memory; the store keeps their hashes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, datetime] = {}
        self._unkept: set[str] = set()
        self._keeping: asyncio.TimerHandle | None = None
        self._refusals = Refusals(self._report_refusals)

    async def load(self) -> None:
        self._keys = {key.id: key for key in await self._store.load_keys()}
        self._used = await self._store.load_key_use()

    async def close(self) -> None:
        """Keep what is not kept yet, before the store closes."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._refusals.flush()
        self._keep_use()

    def last_used(self, key_id: str) -> datetime | None:
        return self._used.get(key_id)

    def get(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    def all(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def create(
        self,
        name: str,
        scopes: list[str],
        accounts: list[str] | None,
        expires_at: datetime | None,
        actor: dict[str, Any],
        source_addresses: list[str] | None = None,
    ) -> Minted:
        """Make and store a key; the text in the answer is shown this once.

        Raises: `ApiKeyError`.
        """
        minted = mint(name, scopes, accounts, expires_at, source_addresses=source_addresses)
        await self._store.add_key(minted.record, actor)
        self._keys[minted.record.id] = minted.record
        return minted

    async def rotate(
        self,
        key_id: str,
        grace: timedelta,
        expires_at: datetime | None,
        actor: dict[str, Any],
    ) -> Minted | None:
        """Make a new key with all that the old one may do; None when there is no such key.

        The old key ends after `grace`, at once without one. Raises: `ApiKeyError`.
        """
        old = self._keys.get(key_id)
        if old is None:
            return None
        minted = mint(
            old.name,
            old.scopes,
            old.accounts,
            expires_at or old.expires_at,
            source_addresses=old.source_addresses,
        )
        ends = minted.record.created_at + grace
        ends = min(ends, old.expires_at) if old.expires_at is not None else ends
        ending = msgspec.structs.replace(old, expires_at=ends) if grace else None
        if not await self._store.rotate_key(key_id, minted.record, ending, actor):
            return None
        self._keys[minted.record.id] = minted.record
        if ending is None:
            self._keys.pop(key_id, None)
        elif key_id in self._keys:
            self._keys[key_id] = ending
        return minted

    async def revoke(self, key_id: str, actor: dict[str, Any]) -> bool:
        if not await self._store.revoke_key(key_id, actor):
            return False
        self._keys.pop(key_id, None)
        return True

    def authenticate(
        self, header: str | None, route: Route, request_id: str, source: str | None
    ) -> Caller:
        """Return the caller that an `Authorization` header stands for. `source`: its address.

        Raises: `Problem` 401 for a missing or wrong key, 429 for one wrong key of too many, 403
        for a key without the scope or from elsewhere than it may be used.
        """
        try:
            key = self._key_of(header)
        except Problem as problem:
            wait_s = self._refusals.count(source) if header else 0.0
            if not wait_s:
                raise
            detail = f"{problem.detail}; too many refused keys came from this address"
            after = {"Retry-After": str(math.ceil(wait_s))}
            raise Problem(
                429, "rate_limited", detail, headers=after, extra=_KEY_AT_FAULT
            ) from problem
        if not key.allows_source(source):
            raise Problem(
                403,
                "source_refused",
                f"the key {key.name!r} may not be used from {source or 'an unknown address'};"
                " its source_addresses do not list it",
                extra=_KEY_AT_FAULT,
            )
        self._note_use(key.id)
        if not route.allows(key.allows):
            held = ", ".join(sorted(key.scopes))
            raise Problem(
                403,
                "scope_missing",
                f"this call needs the scope {route.scope}; the key {key.name!r} has {held}",
                extra=_KEY_AT_FAULT,
            )
        return Caller(
            client=key.name,
            key_id=key.id,
            accounts=key.accounts,
            request_id=request_id,
            may_operate=key.allows(Scope.OPERATE),
        )

    def _key_of(self, header: str | None) -> ApiKey:
        if not header:
            raise _refused("send your API key as: Authorization: Bearer bg_live_...")
        kind, _, text = header.partition(" ")
        if kind.lower() != "bearer" or not text:
            raise _refused("the Authorization header must be: Bearer bg_live_...")
        try:
            presented = parse(text.strip())
        except ApiKeyError as error:
            raise _refused(str(error)) from error
        key = self._keys.get(presented.id)
        if key is None or not key.matches(presented):
            raise _refused("this API key is not known here; it may have been revoked")
        if key.is_expired(datetime.now(UTC)):
            raise _refused("this API key has expired; make a new one: brokergate keys create")
        return key

    def _note_use(self, key_id: str) -> None:
        self._used[key_id] = datetime.now(UTC)
        self._unkept.add(key_id)
        if self._keeping is None:
            loop = asyncio.get_running_loop()
            self._keeping = loop.call_later(_USE_KEPT_AFTER_S, self._keep_use)

    def _keep_use(self) -> None:
        self._keeping = None
        used = {key_id: self._used[key_id] for key_id in self._unkept}
        self._unkept.clear()
        if used:
            self._store.save_key_use(used).add_done_callback(_look_at)

    def _report_refusals(self, body: dict[str, Any]) -> None:
        self._store.audit("key", body).add_done_callback(_look_at)


def control_caller(request_id: str) -> Caller:
    """Whoever reached the control socket is the same user as the gateway: admin."""
    return Caller(
        client=CONTROL_CLIENT, key_id=CONTROL_CLIENT, request_id=request_id, may_operate=True
    )


def _refused(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers=_CHALLENGE, extra=_KEY_AT_FAULT)


def _look_at(done: asyncio.Future[Any]) -> None:
    """Take the error of a write that nobody waits for: a broken journal says so itself."""
    if not done.cancelled():
        done.exception()

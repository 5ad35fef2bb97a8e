"""Who is calling: API keys over TCP, the same user over the control socket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.api.routing import Route
from gateway.orchestrator.caller import Caller
from gateway.orders.problems import Problem
from gateway.secrets.api_keys import ApiKey, ApiKeyError, Minted, Scope, mint, parse
from gateway.store import Store

CONTROL_CLIENT = "control"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="brokergate"'}


class Keys:
    """The API keys in use, in memory; the store keeps their hashes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, ApiKey] = {}

    async def load(self) -> None:
        self._keys = {key.id: key for key in await self._store.load_keys()}

    def all(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def create(
        self,
        name: str,
        scopes: list[str],
        accounts: list[str] | None,
        expires_at: datetime | None,
        actor: dict[str, Any],
    ) -> Minted:
        """Make and store a key; the text in the answer is shown this once.

        Raises: `ApiKeyError`.
        """
        minted = mint(name, scopes, accounts, expires_at)
        await self._store.add_key(minted.record, actor)
        self._keys[minted.record.id] = minted.record
        return minted

    async def revoke(self, key_id: str, actor: dict[str, Any]) -> bool:
        if not await self._store.revoke_key(key_id, actor):
            return False
        self._keys.pop(key_id, None)
        return True

    def authenticate(self, header: str | None, route: Route, request_id: str) -> Caller:
        """Return the caller that an `Authorization` header stands for.

        Raises: `Problem` 401 for a missing or wrong key, 403 for one without the scope.
        """
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
        if not route.allows(key.allows):
            held = ", ".join(sorted(key.scopes))
            raise Problem(
                403,
                "scope_missing",
                f"this call needs the scope {route.scope}; the key {key.name!r} has {held}",
            )
        return Caller(
            client=key.name,
            key_id=key.id,
            accounts=key.accounts,
            request_id=request_id,
            may_operate=key.allows(Scope.OPERATE),
        )


def control_caller(request_id: str) -> Caller:
    """Whoever reached the control socket is the same user as the gateway: admin."""
    return Caller(
        client=CONTROL_CLIENT, key_id=CONTROL_CLIENT, request_id=request_id, may_operate=True
    )


def _refused(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers=_CHALLENGE)

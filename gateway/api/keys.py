"""API keys over the API: list, make, rotate, revoke."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from gateway.api.auth import Keys
from gateway.api.routing import Answer, Call, Route
from gateway.kill.levels import Scope as KillScope
from gateway.kill.switch import KillSwitch
from gateway.orchestrator.caller import Caller
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError
from gateway.secrets.api_keys import ApiKey, ApiKeyError, Scope


class KeyView(msgspec.Struct, kw_only=True):
    """`last_used_at` is exact to a minute across restarts; None: not yet."""

    id: str
    name: str
    scopes: list[str]
    accounts: list[str] | None
    source_addresses: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewKey(KeyView, kw_only=True):
    """The only answer that ever holds the key itself."""

    key: str


class KeyList(msgspec.Struct):
    keys: list[KeyView]


class KeyRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    scopes: list[str]
    accounts: list[str] | None = None
    expires_at: datetime | None = None
    source_addresses: list[str] | None = None


class RotateRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`grace_seconds`: how long the old key still works, at most 30 days; 0 revokes it at once.

    `expires_at`: when the new key ends; without it, when the old one would have.
    """

    grace_seconds: Annotated[int, msgspec.Meta(ge=0, le=30 * 86400)]
    expires_at: datetime | None = None


_decode_key = msgspec.json.Decoder(KeyRequest)
_decode_rotate = msgspec.json.Decoder(RotateRequest)


class KeyRoutes:
    def __init__(self, keys: Keys, accounts: Container[str], kill: KillSwitch) -> None:
        self._keys = keys
        self._accounts = accounts
        self._kill = kill

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/keys",
                scope=Scope.ADMIN,
                handler=self.list_keys,
                summary="API keys, never their secrets",
                tag="keys",
                response=KeyList,
            ),
            Route(
                method="POST",
                path="/v1/keys",
                scope=Scope.ADMIN,
                handler=self.create_key,
                summary="Make an API key; it is shown in this answer only",
                tag="keys",
                request=KeyRequest,
                response=NewKey,
                statuses=(201,),
            ),
            Route(
                method="POST",
                path="/v1/keys/{id}/rotate",
                scope=Scope.ADMIN,
                handler=self.rotate_key,
                summary="Make a new secret for the same client; the old key ends after the grace",
                tag="keys",
                request=RotateRequest,
                response=NewKey,
                statuses=(201,),
            ),
            Route(
                method="DELETE",
                path="/v1/keys/{id}",
                scope=Scope.ADMIN,
                handler=self.revoke_key,
                summary="Revoke an API key",
                tag="keys",
                statuses=(204,),
            ),
        ]

    async def list_keys(self, call: Call) -> Answer:
        seen = [key for key in self._keys.all() if _may_manage(call.who, key.accounts)]
        return Answer(body=KeyList([self._view(key) for key in seen]))

    async def create_key(self, call: Call) -> Answer:
        request: KeyRequest = call.decode(_decode_key)
        unknown = [name for name in request.accounts or () if name not in self._accounts]
        if unknown:
            detail = f"accounts names {', '.join(unknown)}, which is not configured"
            errors = [FieldError("accounts", "names an account that is not configured")]
            raise Problem(422, "invalid_request", detail, errors=errors)
        wanted = None if request.accounts is None else frozenset(request.accounts)
        if not _may_manage(call.who, wanted):
            raise Problem(
                403,
                "account_not_allowed",
                "a key with an account list makes keys for accounts of that list only; name them"
                " in accounts",
            )
        try:
            minted = await self._keys.create(
                request.name,
                request.scopes,
                request.accounts,
                request.expires_at,
                call.who.actor(),
                source_addresses=request.source_addresses,
            )
        except ApiKeyError as error:
            raise _unusable(error) from error
        view = msgspec.structs.asdict(self._view(minted.record))
        return Answer(201, NewKey(key=minted.text, **view))

    async def rotate_key(self, call: Call) -> Answer:
        request: RotateRequest = call.decode(_decode_rotate)
        self._assert_manages(call)
        stopped = self._kill.at(KillScope.KEY, call.params["id"])
        if stopped is not None:
            # The switch names the key by its id: its successor would trade on.
            raise Problem(409, "key_stopped", f"{stopped.words()}; release it before rotating")
        try:
            minted = await self._keys.rotate(
                call.params["id"],
                timedelta(seconds=request.grace_seconds),
                request.expires_at,
                call.who.actor(),
            )
        except ApiKeyError as error:
            raise _unusable(error) from error
        if minted is None:
            raise _unknown(call.params["id"])
        view = msgspec.structs.asdict(self._view(minted.record))
        return Answer(201, NewKey(key=minted.text, **view))

    async def revoke_key(self, call: Call) -> Answer:
        self._assert_manages(call)
        if not await self._keys.revoke(call.params["id"], call.who.actor()):
            raise _unknown(call.params["id"])
        return Answer(204, b"")

    def _assert_manages(self, call: Call) -> None:
        """Raise the `Problem` of an unknown key for one that may do more than the caller's."""
        key = self._keys.get(call.params["id"])
        if key is not None and not _may_manage(call.who, key.accounts):
            raise _unknown(call.params["id"])

    def _view(self, key: ApiKey) -> KeyView:
        return KeyView(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            accounts=_listed(key.accounts),
            source_addresses=_listed(key.source_addresses),
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=self._keys.last_used(key.id),
        )


def _may_manage(caller: Caller, accounts: frozenset[str] | None) -> bool:
    """Whether a caller may see, make and end keys for these accounts: only for its own."""
    if caller.accounts is None:
        return True
    return accounts is not None and accounts <= caller.accounts


def _listed(items: frozenset[str] | None) -> list[str] | None:
    return sorted(items) if items is not None else None


def _unusable(error: ApiKeyError) -> Problem:
    field, _, message = str(error).partition(": ")
    return Problem(422, "invalid_request", str(error), errors=[FieldError(field, message)])


def _unknown(key_id: str) -> Problem:
    return Problem(404, "key_unknown", f"there is no key {key_id!r} in use")

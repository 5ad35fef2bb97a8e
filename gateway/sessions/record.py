"""What the journal has of sessions: how each account stands, its token, and what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from adapters.sdk.models import Session
from gateway.orchestrator.account import Account
from gateway.orders.times import IST
from gateway.sessions.standing import Standing
from gateway.store import Store, StoreBroken

log = logging.getLogger(__name__)

Actor = dict[str, Any]


class SessionRecord:
    """How accounts stand, in memory and on disk. Every change is a row of the audit log too."""

    def __init__(self, store: Store, accounts: Iterable[str]) -> None:
        self._store = store
        self._standings = {account_id: Standing() for account_id in accounts}
        self.background: set[asyncio.Task[None]] = set()

    async def load(self) -> dict[str, Session | None]:
        """Read what an earlier run left, of accounts that there are; return the tokens."""
        found: dict[str, Session | None] = {}
        for stored in await self._store.load_sessions():
            if stored.account in self._standings:
                self._standings[stored.account] = _standing_of(stored.data)
                secret = stored.secret
                found[stored.account] = (
                    msgspec.json.decode(secret, type=Session) if secret is not None else None
                )
        return found

    def of(self, account: Account) -> Standing:
        return self._standings.setdefault(account.id, Standing())

    def save(
        self,
        account: Account,
        session: Session | None,
        event: str,
        *,
        actor: Actor | None = None,
        **more: Any,
    ) -> asyncio.Future[None]:
        """Write the token, or erase it, with what happened."""
        state, data, body = self._row(account, event, actor, more)
        secret = msgspec.json.encode(session) if session else None
        return self._store.put_session(account.id, state, data, secret, body)

    def note(
        self, account: Account, event: str, *, actor: Actor | None = None, **more: Any
    ) -> asyncio.Future[None]:
        """Write what happened, and leave the token as it is."""
        state, data, body = self._row(account, event, actor, more)
        return self._store.note_session(account.id, state, data, body)

    def later(self, written: asyncio.Future[None]) -> None:
        """Let a write end by itself: nobody can wait for it where it was begun."""
        task = asyncio.get_running_loop().create_task(_quietly(written))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    def _row(
        self, account: Account, event: str, actor: Actor | None, more: dict[str, Any]
    ) -> tuple[str, bytes, dict[str, Any]]:
        standing = self.of(account)
        expires_at = account.session.expires_at.astimezone(IST) if account.session else None
        body = {"event": event, "state": standing.state, "expires_at": expires_at, **more}
        if actor is not None:
            body["actor"] = actor
        return standing.state, msgspec.json.encode(standing), body

    async def login_call(self, account: Account, body: dict[str, Any]) -> None:
        """Write what was sent to a broker at a login, by name, and what was answered."""
        await _quietly(self._store.audit("login", body, account=account.id))


async def _quietly(written: asyncio.Future[Any]) -> None:
    try:
        await written
    except StoreBroken as error:
        log.error("a session's change could not be written: %s", error)


def _standing_of(data: bytes) -> Standing:
    try:
        return msgspec.json.decode(data, type=Standing)
    except msgspec.DecodeError:
        return Standing()

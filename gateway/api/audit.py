"""The audit log read, streamed and checked, and which credentials are sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any

import msgspec

from gateway.api import sse
from gateway.api.events import begin_at, streamed
from gateway.api.problems import wrong_field
from gateway.api.redaction import without
from gateway.api.routing import Answer, Call, Route
from gateway.events.feed import Feed
from gateway.orders.problems import Problem
from gateway.orders.times import ist, rfc3339
from gateway.secrets.api_keys import Scope
from gateway.store import Store, StoreBroken
from gateway.store.audit import AuditRow, RowFilter, Verdict

_PAGE = 200
_MOST = 1000
_MOST_CHECKED = 100_000
_NO_ROW = 2**63 - 1
# Half of a processor for a check, which otherwise keeps it from the orders.
_CHECK_IDLE = 1.0
_FILTERS = {
    "after": "rows after this number; Last-Event-ID does the same for a stream",
    "kind": "order, leg, session, kill, ...; several separated by commas",
    "account": "only rows about this account",
    "order_id": "only rows about this order",
}


class AuditEntry(msgspec.Struct, kw_only=True):
    """One row. `body` is what was written, parsed; `mac` seals it and every row before it."""

    seq: int
    at: str | None
    kind: str
    account: str | None
    order_id: str | None
    body: Any
    mac: str


class AuditPage(msgspec.Struct):
    """`next_after`: ask for rows after it to go on; there may be none yet."""

    rows: list[AuditEntry]
    next_after: int


class CheckpointView(msgspec.Struct, kw_only=True):
    """Row `row` signs everything up to row `through`, whose hash in the public chain is `hash`."""

    row: int
    through: int
    hash: str
    at: str | None
    cause: str
    signature: str
    public_key: str


class SealedCredentials(msgspec.Struct, kw_only=True):
    """The names of an account's credential fields, never a value."""

    account: str
    fields: list[str]
    updated_at: datetime


class VaultView(msgspec.Struct):
    credentials: list[SealedCredentials]


class AuditRoutes:
    def __init__(self, store: Store, feed: Feed, accounts: Collection[str]) -> None:
        self._store = store
        self._accounts = accounts
        self._feed = feed

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/audit",
                scope=Scope.READ,
                handler=self.page,
                summary="Rows of the audit log, oldest first",
                tag="audit",
                response=AuditPage,
                query={
                    **_FILTERS,
                    "before": "the newest rows before this number; `end`: the newest of all",
                    "limit": f"rows, 1 to {_MOST}; {_PAGE} by default",
                },
            ),
            Route(
                method="GET",
                path="/v1/audit/stream",
                scope=Scope.READ,
                handler=self.stream,
                summary="Rows of the audit log as they are written (SSE)",
                tag="audit",
                query=_FILTERS,
                is_stream=True,
            ),
            Route(
                method="GET",
                path="/v1/audit/verify",
                scope=Scope.ADMIN,
                handler=self.verify,
                summary="Check every row of the audit log, its signatures included",
                tag="audit",
                response=Verdict,
                query={
                    "after": "begin after this row, which an earlier part has found to hold",
                    "limit": f"rows, 1 to {_MOST_CHECKED}; without it all of them",
                },
            ),
            Route(
                method="POST",
                path="/v1/audit/checkpoint",
                scope=Scope.OPERATE,
                handler=self.checkpoint,
                summary="Sign the audit log as it stands; answers the newest checkpoint",
                tag="audit",
                response=CheckpointView,
            ),
            Route(
                method="GET",
                path="/v1/vault",
                scope=Scope.ADMIN,
                handler=self.vault,
                summary="Which credentials are sealed for which account, never a value",
                tag="accounts",
                response=VaultView,
            ),
        ]

    async def page(self, call: Call) -> Answer:
        wanted = _filter(call, _after(call), _limit(call, _MOST) or _PAGE, _before(call))
        rows, looked_to = await self._store.audit_rows(wanted)
        return Answer(body=AuditPage([_entry(row, self._hidden(call)) for row in rows], looked_to))

    async def stream(self, call: Call) -> Answer:
        wanted = _filter(call, await begin_at(call, self._feed), _PAGE)
        return streamed(self._feed, wanted.after, self._framed(wanted, call))

    async def _framed(self, wanted: RowFilter, call: Call) -> AsyncIterator[bytes]:
        async for rows in self._feed.follow(wanted):
            # Anew each time: a reload may bring accounts while somebody listens.
            hidden = self._hidden(call)
            yield sse.frames((row.seq, row.kind, _entry(row, hidden)) for row in rows)

    def _hidden(self, call: Call) -> list[str]:
        return [name for name in self._accounts if not call.who.allows(name)]

    async def verify(self, call: Call) -> Answer:
        limit = _limit(call, _MOST_CHECKED)
        return Answer(
            body=await self._store.verify_audit(after=_after(call), most=limit, idle=_CHECK_IDLE)
        )

    async def checkpoint(self, call: Call) -> Answer:
        try:
            await self._store.checkpoint("request")
        except StoreBroken as error:
            raise Problem(503, "journal_broken", f"nothing can be signed: {error}") from error
        found = await self._store.last_checkpoint()
        if found is None:
            raise Problem(409, "audit_empty", "the audit log has no rows yet")
        row, signed = found
        return Answer(
            body=CheckpointView(
                row=row,
                through=signed.through,
                hash=signed.hash,
                at=rfc3339(signed.at_us),
                cause=signed.cause,
                signature=signed.signature,
                public_key=self._store.audit_public_key,
            )
        )

    async def vault(self, call: Call) -> Answer:
        sealed: dict[str, SealedCredentials] = {}
        for account, field, updated_us in await self._store.list_credentials():
            if not call.who.allows(account):
                continue
            row = sealed.setdefault(
                account,
                SealedCredentials(account=account, fields=[], updated_at=ist(updated_us)),
            )
            row.fields.append(field)
        return Answer(body=VaultView(list(sealed.values())))


def _after(call: Call) -> int:
    try:
        return sse.place_of({}, call.query) or 0
    except sse.BadPlace as error:
        raise wrong_field("after", "must be the number (seq) of a row") from error


def _before(call: Call) -> int | None:
    text = call.query.get("before")
    if not text:
        return None
    if text == "end":
        return _NO_ROW
    if not (text.isdecimal() and int(text) <= _NO_ROW):
        raise wrong_field("before", "must be the number (seq) of a row, or end")
    return int(text)


def _limit(call: Call, most: int) -> int | None:
    text = call.query.get("limit")
    if not text:
        return None
    if not (text.isdecimal() and len(text) < 12 and 1 <= int(text) <= most):
        raise wrong_field("limit", f"must be a number from 1 to {most}")
    return int(text)


def _filter(call: Call, after: int, limit: int, before: int | None = None) -> RowFilter:
    """A key with an account list sees the rows of its accounts, and of nothing else."""
    account = call.query.get("account") or None
    if account is not None and not call.who.allows(account):
        raise wrong_field("account", f"{account!r} is not an account that this key may see")
    return RowFilter(
        after=after,
        before=before,
        limit=limit,
        kinds=frozenset(kind for kind in call.query.get("kind", "").split(",") if kind),
        accounts=call.who.accounts,
        account=account,
        order_id=call.query.get("order_id") or None,
    )


def _entry(row: AuditRow, hidden: list[str]) -> AuditEntry:
    return AuditEntry(
        seq=row.seq,
        at=rfc3339(row.at_us),
        kind=row.kind,
        account=row.account,
        order_id=row.order_id,
        body=without(msgspec.json.decode(row.body), hidden),
        mac=row.mac.hex(),
    )

"""What the same user checks on a gateway: the audit chain, and which credentials are sealed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.api.routing import Answer, Call, Route
from gateway.orders.times import ist
from gateway.secrets.api_keys import Scope
from gateway.store import Store


class AuditVerdict(msgspec.Struct, kw_only=True):
    """`first_bad_seq`: the first row that does not hold; everything from there is in doubt."""

    ok: bool
    first_bad_seq: int | None = None
    problem: str | None = None


class SealedCredentials(msgspec.Struct, kw_only=True):
    """The names of an account's credential fields, never a value."""

    account: str
    fields: list[str]
    updated_at: datetime


class VaultView(msgspec.Struct):
    credentials: list[SealedCredentials]


class AuditRoutes:
    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/audit/verify",
                scope=Scope.ADMIN,
                handler=self.verify,
                summary="Check every row of the audit log against the one before it",
                tag="audit",
                response=AuditVerdict,
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

    async def verify(self, call: Call) -> Answer:
        bad = await self._store.verify_audit()
        if bad is None:
            return Answer(body=AuditVerdict(ok=True))
        return Answer(body=AuditVerdict(ok=False, first_bad_seq=bad[0], problem=bad[1]))

    async def vault(self, call: Call) -> Answer:
        sealed: dict[str, SealedCredentials] = {}
        for account, field, updated_us in await self._store.list_credentials():
            row = sealed.setdefault(
                account,
                SealedCredentials(account=account, fields=[], updated_at=ist(updated_us)),
            )
            row.fields.append(field)
        return Answer(body=VaultView(list(sealed.values())))

"""Who asks, as the orchestrator needs to know it."""

from __future__ import annotations

from typing import Any

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the API client's name (idempotency belongs to it), and what it may touch."""

    client: str
    key_id: str
    accounts: frozenset[str] | None = None
    request_id: str | None = None
    may_operate: bool = False

    def allows(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts

    def actor(self) -> dict[str, Any]:
        return {"client": self.client, "key_id": self.key_id, "request_id": self.request_id}

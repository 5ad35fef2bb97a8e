"""What is wrong with a request as a whole: nothing of it went to any broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.orders.request import FieldError


class Problem(Exception):
    """A request that is refused as a whole (RFC 9457 at the edge).

    `sent`: False when nothing of this request went to any broker, None where that is not for
    this answer to say (a reused idempotency key). `extra` members join the problem document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        sent: bool | None = False,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.sent = sent
        self.extra = extra or {}
        self.headers = headers or {}

"""What a call raises. The class says what the program may do next.

```
GatewayError
+- RetryLater   nothing was placed or changed, proven: do it again later
+- FixRequest   nothing was placed or changed, and the same request never will be: mend it
+- LogIn        nothing was placed: log the accounts in first
+- LookFirst    it may have been done: look before anything else, never place it anew
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.client.models import Order


class GatewayError(Exception):
    """The text is the gateway's words, or what happened to the connection.

    `code`, `status`, `request_id` and `problem` are those of the problem answer, where one came.
    `order` is the order that this is about, as last seen. `idempotency_key` finds it again:
    `client.find_order(key)`.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        problem: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        order: Order | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.problem = problem or {}
        self.code: str | None = self.problem.get("code")
        self.request_id: str | None = self.problem.get("request_id")
        self.idempotency_key = idempotency_key
        self.order = order

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong, by the field of the request."""
        errors = self.problem.get("errors") or ()
        return {str(each["field"]): str(each["message"]) for each in errors}


class RetryLater(GatewayError):
    """Nothing was done, and the same may work later: no connection, busy, a breaker, a limit.

    `retry_after_s`: the gateway's advice, where it gave one. An order that has `order` set exists
    as not sent and keeps its key: a new try takes a new one.
    """

    def __init__(self, text: str, *, retry_after_s: float | None = None, **more: Any) -> None:
        super().__init__(text, **more)
        self.retry_after_s = retry_after_s


class FixRequest(GatewayError):
    """Nothing was done, and repeating cannot help: the request, the key or its rights are wrong."""


class LogIn(GatewayError):
    """Nothing was placed, since `accounts` have no session at their brokers."""

    def __init__(self, text: str, *, accounts: list[str], **more: Any) -> None:
        super().__init__(text, **more)
        self.accounts = accounts


class LookFirst(GatewayError):
    """It may have been done. What was to be placed counts as placed until looking shows otherwise.

    After an order, basket or close: `client.find_order(error.idempotency_key)`, or the same call
    with `key=error.idempotency_key`, which never places twice. After a modify or a login step:
    read the order, or the session.
    """

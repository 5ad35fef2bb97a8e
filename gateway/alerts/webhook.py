"""Alerts as signed HTTP POSTs.

Over https, or plain http on this machine; redirects are not followed, a proxy of the environment is
not used, and what the receiver answers beyond its status is thrown away.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from adapters.sdk.errors import GatewayError
from adapters.sdk.transport import HttpRequest, Timeouts, WebTransport
from gateway.alerts.alert import Rule
from gateway.alerts.receivers import DELIVERY_S, NotDelivered
from gateway.alerts.signing import HEADER, signature

_TIMEOUTS = Timeouts(connect_s=5.0, answer_s=10.0)


class Webhook:
    """`url` may hold a secret of the receiver's own: only its origin is ever shown."""

    kind = "webhook"
    needs_secret = True

    def __init__(
        self, name: str, url: str, *, rules: frozenset[Rule], ca_file: str | None, heads: bool
    ) -> None:
        parts = urlsplit(url)
        self.name = name
        self.address = f"{parts.scheme}://{parts.netloc}"
        self.rules = rules
        self._heads = heads
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._transport = WebTransport(self.address, timeouts=_TIMEOUTS, ca_file=ca_file)

    def takes_heads(self) -> bool:
        return self._heads

    async def deliver(self, alert: str, body: bytes, secret: str | None) -> None:
        assert secret is not None  # noqa: S101 - nothing goes out unsigned
        request = HttpRequest(
            "POST",
            self._target,
            (
                ("Content-Type", "application/json"),
                ("Brokergate-Delivery", alert),
                (HEADER, signature(secret, int(time.time()), body)),
            ),
            body,
        )
        try:
            answer = await self._transport.send(request, timeout_s=DELIVERY_S)
        except GatewayError as error:
            raise NotDelivered(error.message) from error
        except (OSError, ValueError) as error:
            raise NotDelivered(f"{self.address}: {type(error).__name__}") from error
        if 300 <= answer.status < 400:
            raise NotDelivered(
                f"{self.address} answered HTTP {answer.status}; redirects are not followed"
            )
        if not 200 <= answer.status < 300:
            is_down = answer.status >= 500 or answer.status in (401, 403, 404, 410, 429)
            raise NotDelivered(f"{self.address} answered HTTP {answer.status}", is_down=is_down)

    async def close(self) -> None:
        await self._transport.close()

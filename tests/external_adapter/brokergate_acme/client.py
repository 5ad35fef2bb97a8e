"""Acme's calls in Acme's words: each builds a request, sends it once and returns the answer.

Everything that touches orders goes over the order transport, which reports how far a request
got; logins, prices and the master go over the web transport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from adapters.sdk.interface import AdapterContext, SendGate
from adapters.sdk.transport import (
    HttpRequest,
    HttpResponse,
    OrderTransport,
    Timeouts,
    WebTransport,
)

_encoder = msgspec.json.Encoder(decimal_format="number")


class AcmeClient:
    """One method per endpoint. Knows nothing of the gateway's models."""

    def __init__(self, context: AdapterContext) -> None:
        base_url = context.base_urls["api"]
        timeouts = Timeouts(connect_s=context.connect_timeout_s, answer_s=context.answer_timeout_s)
        self._read_timeout_s = context.read_timeout_s
        self._orders = OrderTransport(
            base_url,
            timeouts=timeouts,
            source_address=context.source_address,
            ca_file=context.ca_file,
        )
        self._web = WebTransport(
            base_url,
            timeouts=timeouts,
            source_address=context.source_address,
            ca_file=context.ca_file,
        )

    async def close(self) -> None:
        await self._orders.close()
        await self._web.close()

    async def warm(self) -> None:
        await self._orders.warm()

    def is_warm(self) -> bool:
        return self._orders.is_warm()

    # Login and session

    async def post_login(self, *, api_key: str, username: str, password: str) -> HttpResponse:
        body = {"api_key": api_key, "username": username, "password": password}
        return await self._web.send(_request("POST", "/v1/login", body=body))

    async def post_login_otp(self, *, api_key: str, challenge: str, otp: str) -> HttpResponse:
        body = {"api_key": api_key, "challenge": challenge, "otp": otp}
        return await self._web.send(_request("POST", "/v1/login/otp", body=body))

    async def post_logout(self, token: str) -> HttpResponse:
        return await self._web.send(_request("POST", "/v1/logout", token))

    async def get_profile(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/profile", token)

    # Orders

    async def post_orders(
        self, token: str, fields: Mapping[str, Any], gate: SendGate
    ) -> HttpResponse:
        return await self._orders.send(
            _request("POST", "/v1/orders", token, body=fields), gate=gate
        )

    async def put_orders(
        self, token: str, order_id: str, fields: Mapping[str, Any], gate: SendGate | None
    ) -> HttpResponse:
        return await self._orders.send(
            _request("PUT", _order_path(order_id), token, body=fields), gate=gate
        )

    async def delete_orders(self, token: str, order_id: str, gate: SendGate | None) -> HttpResponse:
        return await self._orders.send(_request("DELETE", _order_path(order_id), token), gate=gate)

    async def get_orders(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/orders", token)

    async def get_order(self, token: str, order_id: str) -> HttpResponse:
        return await self._read("GET", _order_path(order_id), token)

    async def get_trades(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/trades", token)

    # The account and the market

    async def get_positions(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/positions", token)

    async def get_holdings(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/holdings", token)

    async def get_funds(self, token: str) -> HttpResponse:
        return await self._read("GET", "/v1/funds", token)

    async def post_quotes(self, token: str, keys: Sequence[str]) -> HttpResponse:
        request = _request("POST", "/v1/quotes", token, body={"keys": keys})
        return await self._web.send(request, timeout_s=self._read_timeout_s)

    async def download_master(self, path: Path, *, timeout_s: float, max_bytes: int) -> int:
        """Stream the master into a file; returns its size in bytes."""
        request = _request("GET", "/files/master.csv")
        return await self._web.download(request, path, timeout_s=timeout_s, max_bytes=max_bytes)

    async def _read(self, method: str, target: str, token: str) -> HttpResponse:
        request = _request(method, target, token)
        return await self._orders.send(request, answer_timeout_s=self._read_timeout_s)


def _order_path(order_id: str) -> str:
    return f"/v1/orders/{quote(order_id, safe='')}"


def _request(
    method: str, target: str, token: str | None = None, *, body: Mapping[str, Any] | None = None
) -> HttpRequest:
    headers = [("Accept", "application/json")]
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    if body is None:
        return HttpRequest(method, target, tuple(headers))
    headers.append(("Content-Type", "application/json"))
    return HttpRequest(method, target, tuple(headers), _encoder.encode(body))

"""InvestRight's HTTP calls in the broker's own words: one method per endpoint, nothing unified.

The API key travels in the query of every call, so every `Answer` carries the secrets of its
call and takes them out of whatever text it gives away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from adapters.hdfc.config import MASTER_MAX_BYTES, MASTER_TIMEOUT_S
from adapters.hdfc.constants import USER_AGENT
from adapters.hdfc.envelope import Answer, read_answer
from adapters.sdk.interface import SendGate
from adapters.sdk.transport import HttpRequest, OrderTransport, WebTransport

_HEADERS = (("User-Agent", USER_AGENT), ("Accept", "application/json"))
_JSON = ("Content-Type", "application/json")


class Key(msgspec.Struct, frozen=True):
    """The app's key and, once logged in, the access token."""

    api_key: str
    token: str = ""

    def __repr__(self) -> str:
        return "Key(...)"


class HdfcClient:
    """The raw client. Orders and order reads go through one transport, the rest through another."""

    def __init__(self, orders: OrderTransport, web: WebTransport, *, read_timeout_s: float) -> None:
        self._orders = orders
        self._web = web
        self._read_timeout_s = read_timeout_s

    async def get_login(self, key: Key) -> Answer:
        return await self._login("GET", "/login", key)

    async def post_login_validate(
        self, key: Key, token_id: str, username: str, password: str
    ) -> Answer:
        body = {"username": username, "password": password}
        return await self._login(
            "POST", "/login/validate", key, {"token_id": token_id}, body, (password,)
        )

    async def post_twofa_validate(self, key: Key, token_id: str, answer: str) -> Answer:
        return await self._login(
            "POST", "/twofa/validate", key, {"token_id": token_id}, {"answer": answer}, (answer,)
        )

    async def get_twofa_resend(self, key: Key, token_id: str) -> Answer:
        return await self._login("GET", "/twofa/resend", key, {"token_id": token_id})

    async def get_authorise(self, key: Key, token_id: str, request_token: str) -> Answer:
        query = {"token_id": token_id, "consent": "true", "request_token": request_token}
        return await self._login("GET", "/authorise", key, query)

    async def post_access_token(self, key: Key, request_token: str, api_secret: str) -> Answer:
        query = {"request_token": request_token}
        return await self._login(
            "POST", "/access-token", key, query, {"apiSecret": api_secret}, (api_secret,)
        )

    async def get_user_profile(self, key: Key) -> Answer:
        return await self._read("GET", "/oapi/v3/user/profile", key)

    async def post_user_profile(self, key: Key) -> Answer:
        return await self._read("POST", "/oapi/v3/user/profile", key)

    async def post_orders_regular(self, key: Key, body: bytes, gate: SendGate) -> Answer:
        return await self._order("POST", "/orders/regular", key, body, gate=gate)

    async def delete_orders_regular(self, key: Key, order_id: str, gate: SendGate | None) -> Answer:
        return await self._order("DELETE", f"/orders/regular/{_path(order_id)}", key, gate=gate)

    async def put_orders_regular(
        self, key: Key, order_id: str, body: bytes, gate: SendGate | None
    ) -> Answer:
        path = f"/orders/regular/{_path(order_id)}"
        return await self._order("PUT", path, key, body, gate=gate)

    async def get_orders(self, key: Key) -> Answer:
        return await self._order("GET", "/orders", key, timeout_s=self._read_timeout_s)

    async def get_order(self, key: Key, order_id: str) -> Answer:
        target = f"/orders/{_path(order_id)}"
        return await self._order("GET", target, key, timeout_s=self._read_timeout_s)

    async def get_trades(self, key: Key) -> Answer:
        return await self._order("GET", "/trades", key, timeout_s=self._read_timeout_s)

    async def get_portfolio_cumulative_positions(self, key: Key) -> Answer:
        path = "/portfolio/cumulative-positions"
        return await self._order("GET", path, key, timeout_s=self._read_timeout_s)

    async def get_portfolio_holdings(self, key: Key) -> Answer:
        return await self._read("GET", "/oapi/v1/portfolio/holdings", key)

    async def get_user_margins(self, key: Key) -> Answer:
        return await self._read("GET", "/oapi/v1/user/margins", key)

    async def put_fetch_ltp(self, key: Key, items: list[dict[str, str]]) -> Answer:
        body = msgspec.json.encode({"data": items})
        return await self._read("PUT", "/oapi/v1/fetch-ltp", key, body)

    async def download_security_master(self, path: Path) -> None:
        """Store the master, which needs neither key nor token."""
        request = HttpRequest("GET", "/oapi/v1/security-master", (("User-Agent", USER_AGENT),))
        await self._web.download(
            request, path, timeout_s=MASTER_TIMEOUT_S, max_bytes=MASTER_MAX_BYTES
        )

    async def _login(
        self,
        method: str,
        path: str,
        key: Key,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        content = msgspec.json.encode(body) if body is not None else b""
        headers = (*_HEADERS, _JSON) if content else _HEADERS
        request = HttpRequest(method, _target(f"/oapi/v1{path}", key, query), headers, content)
        response = await self._web.send(request, timeout_s=self._read_timeout_s)
        known = (key.api_key, *(query or {}).values(), *secrets)
        return read_answer(response.status, response.body, _hidden(known))

    async def _read(self, method: str, path: str, key: Key, body: bytes = b"") -> Answer:
        headers = (*_signed(key), _JSON) if body else _signed(key)
        request = HttpRequest(method, _target(path, key), headers, body)
        response = await self._web.send(request, timeout_s=self._read_timeout_s)
        return read_answer(response.status, response.body, _hidden((key.api_key, key.token)))

    async def _order(
        self,
        method: str,
        path: str,
        key: Key,
        body: bytes = b"",
        *,
        gate: SendGate | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        headers = (*_signed(key), _JSON) if body else _signed(key)
        request = HttpRequest(method, _target(f"/oapi/v1{path}", key), headers, body)
        response = await self._orders.send(request, gate=gate, answer_timeout_s=timeout_s)
        return read_answer(response.status, response.body, _hidden((key.api_key, key.token)))


def _signed(key: Key) -> tuple[tuple[str, str], ...]:
    # The bare token: the documents know no scheme in front of it (dossier hdfc 2).
    return (*_HEADERS, ("Authorization", key.token))


def _target(path: str, key: Key, query: Mapping[str, str] | None = None) -> str:
    return f"{path}?{urlencode({'api_key': key.api_key, **(query or {})})}"


def _path(order_id: str) -> str:
    return quote(order_id, safe="")


def _hidden(values: tuple[str, ...]) -> tuple[str, ...]:
    # Shorter ones would take plain words out of the broker's texts, and "true" is the consent.
    return tuple(value for value in values if len(value) >= 4 and value != "true")

"""Fyers' REST calls in Fyers' words: builds requests, sends them, decodes the envelope.

Trading calls and reads of orders, trades and positions go over the order transport, market data
over another of its own so that it never takes a connection from an order, and everything else
over the web transport. Nothing here knows the unified models, and nothing is ever repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from adapters.fyers.envelope import Envelope, decode_envelope
from adapters.sdk.interface import AdapterContext, SendGate
from adapters.sdk.transport import HttpRequest, HttpResponse, OrderTransport, Timeouts, WebTransport

_JSON: Final = ("Content-Type", "application/json")
_VERSION: Final = ("version", "3")
# Prices are written by their digits, never through a float.
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def authcode_url(login_url: str, *, app_id: str, redirect_uri: str, state: str) -> str:
    """Build the login page's URL (dossier 3.1 step 1)."""
    query = {
        "client_id": app_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "state": state,
    }
    return f"{login_url}/generate-authcode?{urlencode(query)}"


def app_id_hash(app_id: str, secret_key: str) -> str:
    """Hash what the code exchange wants; the app id keeps its suffix (dossier 3.1 step 4)."""
    return hashlib.sha256(f"{app_id}:{secret_key}".encode()).hexdigest()


class FyersClient:
    """One account's connections to Fyers.

    `authorization` is `<app_id>:<access_token>`, the whole header (dossier 2). Every method
    raises what the transport raises, and what `decode_envelope` raises.
    """

    def __init__(self, context: AdapterContext) -> None:
        self._read_timeout_s = context.read_timeout_s
        self._orders = OrderTransport(
            context.base_urls["api"],
            timeouts=Timeouts(
                connect_s=context.connect_timeout_s, answer_s=context.answer_timeout_s
            ),
            source_address=context.source_address,
            ca_file=context.ca_file,
        )
        self._data = OrderTransport(
            context.base_urls["data"],
            timeouts=Timeouts(connect_s=context.connect_timeout_s, answer_s=context.read_timeout_s),
            source_address=context.source_address,
            ca_file=context.ca_file,
            max_connections=4,
            reserved=0,
        )
        self._api = self._web(context, "api")
        self._master = self._web(context, "master")

    def _web(self, context: AdapterContext, host: str) -> WebTransport:
        return WebTransport(
            context.base_urls[host],
            timeouts=Timeouts(connect_s=context.connect_timeout_s, answer_s=context.read_timeout_s),
            source_address=context.source_address,
            ca_file=context.ca_file,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._orders.close()
        await self._data.close()
        await self._api.close()
        await self._master.close()

    async def warm(self) -> None:
        """Have a connection for orders stand ready, without sending a request."""
        await self._orders.warm()

    def is_warm(self) -> bool:
        """Tell whether an order could go out now on a proven connection."""
        return self._orders.is_warm()

    async def post_validate_authcode(self, *, app_id_hash: str, code: str) -> Envelope:
        """Exchange an authorisation code; the only call without a token (dossier 3.1)."""
        body = {"grant_type": "authorization_code", "appIdHash": app_id_hash, "code": code}
        request = HttpRequest(
            "POST", "/validate-authcode", headers=(_JSON,), body=_ENCODER.encode(body)
        )
        return _envelope(await self._api.send(request, timeout_s=self._read_timeout_s))

    async def post_logout(self, authorization: str) -> Envelope:
        """Revoke the token. The official SDK's body is JSON `null` (dossier 3.1 step 7)."""
        return await self._account_read("POST", "/logout", authorization, body=b"null")

    async def get_profile(self, authorization: str) -> Envelope:
        """Read the profile (dossier 7.5)."""
        return await self._account_read("GET", "/profile", authorization)

    async def post_orders_sync(
        self, authorization: str, order: dict[str, Any], gate: SendGate
    ) -> Envelope:
        """Place one order (dossier 5.2)."""
        request = _request("POST", "/orders/sync", authorization, body=_ENCODER.encode(order))
        return _envelope(await self._orders.send(request, gate=gate))

    async def patch_orders_sync(
        self, authorization: str, change: dict[str, Any], gate: SendGate | None
    ) -> Envelope:
        """Modify one order (dossier 5.4)."""
        request = _request("PATCH", "/orders/sync", authorization, body=_ENCODER.encode(change))
        return _envelope(await self._orders.send(request, gate=gate))

    async def delete_order_sync(
        self, authorization: str, order_id: str, gate: SendGate | None
    ) -> Envelope:
        """Cancel one order in the path form, which has no body to lose (dossier 5.1, 12.6)."""
        target = f"/orders/{quote(order_id, safe='')}/sync"
        request = _request("DELETE", target, authorization)
        return _envelope(await self._orders.send(request, gate=gate))

    async def get_orders(
        self, authorization: str, *, order_id: str | None = None, order_tag: str | None = None
    ) -> Envelope:
        """Read the order book, or one order, or the orders of a tag (dossier 5.1)."""
        query = {"id": order_id, "order_tag": order_tag}
        wanted = urlencode({name: value for name, value in query.items() if value is not None})
        return await self._read(f"/orders?{wanted}" if wanted else "/orders", authorization)

    async def get_tradebook(self, authorization: str) -> Envelope:
        """Read the trade book (dossier 5.10)."""
        return await self._read("/tradebook", authorization)

    async def get_positions(self, authorization: str) -> Envelope:
        """Read the positions (dossier 7.1)."""
        return await self._read("/positions", authorization)

    async def get_holdings(self, authorization: str) -> Envelope:
        """Read the holdings (dossier 7.2)."""
        return await self._account_read("GET", "/holdings", authorization)

    async def get_funds(self, authorization: str) -> Envelope:
        """Read the ledgers (dossier 7.3)."""
        return await self._account_read("GET", "/funds", authorization)

    async def post_multiorder_margin(
        self, authorization: str, orders: Sequence[dict[str, Any]]
    ) -> Envelope:
        """Ask what orders need together; nothing is placed (dossier 7.4)."""
        body = _ENCODER.encode({"data": orders})
        return await self._account_read("POST", "/multiorder/margin", authorization, body=body)

    async def get_quotes(self, authorization: str, symbols: Sequence[str]) -> Envelope:
        """Read quotes of up to fifty symbols (dossier 8)."""
        return await self._market_read("/quotes", {"symbols": ",".join(symbols)}, authorization)

    async def get_depth(self, authorization: str, symbol: str) -> Envelope:
        """Read the five best prices of both sides (dossier 8)."""
        query = {"symbol": symbol, "ohlcv_flag": "1"}
        return await self._market_read("/depth", query, authorization)

    async def get_history(
        self,
        authorization: str,
        symbol: str,
        *,
        resolution: str,
        range_from: int,
        range_to: int,
        with_open_interest: bool,
    ) -> Envelope:
        """Read candles stamped from `range_from` to `range_to`, epoch seconds, both included.

        `cont_flag` 0: of this very contract, not of a chain of contracts (dossier 8).
        """
        query = {
            "symbol": symbol,
            "resolution": resolution,
            "date_format": "0",
            "range_from": str(range_from),
            "range_to": str(range_to),
            "cont_flag": "0",
        }
        if with_open_interest:
            query["oi_flag"] = "1"
        return await self._market_read("/history", query, authorization)

    async def download_master(
        self, name: str, path: Path, *, timeout_s: float, max_bytes: int
    ) -> None:
        """Fetch one symbol master file, streamed to `path`; it needs no login (dossier 9.1)."""
        request = HttpRequest("GET", f"/{name}")
        await self._master.download(request, path, timeout_s=timeout_s, max_bytes=max_bytes)

    async def _market_read(self, path: str, query: dict[str, str], authorization: str) -> Envelope:
        request = _request("GET", f"{path}?{urlencode(query)}", authorization)
        return _envelope(await self._data.send(request))

    async def _account_read(
        self, method: str, target: str, authorization: str, *, body: bytes = b""
    ) -> Envelope:
        request = _request(method, target, authorization, body=body)
        return _envelope(await self._api.send(request, timeout_s=self._read_timeout_s))

    async def _read(self, target: str, authorization: str) -> Envelope:
        request = _request("GET", target, authorization)
        return _envelope(await self._orders.send(request, answer_timeout_s=self._read_timeout_s))


def _envelope(response: HttpResponse) -> Envelope:
    return decode_envelope(response.status, response.headers, response.body)


def _request(method: str, target: str, authorization: str, *, body: bytes = b"") -> HttpRequest:
    headers = (("Authorization", authorization), _JSON, _VERSION)
    return HttpRequest(method, target, headers=headers, body=body)

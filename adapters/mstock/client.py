"""m.Stock's REST calls in m.Stock's words: builds requests, sends each once, decodes the envelope.

Verbs and bodies as the official SDK sends them: JSON everywhere, POST where the docs print GET
with a body, DELETE with a body (dossier 2, quirks 15 and 16). Trading calls and order reads go
through the order transport, logins and the master through the web transport.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.mstock import constants as wire
from adapters.mstock import rows
from adapters.mstock.config import DATA_PACE, QUOTE_PACE
from adapters.mstock.envelope import Envelope, decode_envelope
from adapters.mstock.pace import Pace
from adapters.sdk.interface import AdapterContext, SendGate
from adapters.sdk.transport import (
    HttpRequest,
    HttpResponse,
    OrderTransport,
    Timeouts,
    WebTransport,
)

_BODY: Final = msgspec.json.Encoder(decimal_format="number")


class Auth(msgspec.Struct, frozen=True):
    """The two secrets of every call after login."""

    api_key: str
    jwt: str

    def __repr__(self) -> str:
        return "Auth()"


class MstockClient:
    """One method per endpoint. Knows nothing of the gateway's models."""

    def __init__(self, context: AdapterContext) -> None:
        base_url = context.base_urls["api"]
        timeouts = Timeouts(connect_s=context.connect_timeout_s, answer_s=context.answer_timeout_s)
        self._read_timeout_s = context.read_timeout_s
        self._data_pace = Pace(*DATA_PACE)
        self._quote_pace = Pace(*QUOTE_PACE)
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

    async def post_connect_login(self, *, clientcode: str, password: str) -> Envelope:
        """Step 1. `totp` stays empty in both modes, which saves the code for step 2."""
        body = {"clientcode": clientcode, "password": password, "totp": "", "state": ""}
        return await self._log_in(wire.LOGIN, None, body, hide=(password,))

    async def post_session_token(self, *, api_key: str, refresh_token: str, otp: str) -> Envelope:
        """Step 2 with the OTP that was sent. `refresh_token` is step 1's request token."""
        body = {"refreshToken": refresh_token, "otp": otp}
        return await self._log_in(wire.SESSION_TOKEN, api_key, body, hide=(refresh_token, otp))

    async def post_session_verifytotp(
        self, *, api_key: str, refresh_token: str, totp: str
    ) -> Envelope:
        """Step 2 with a time-based code. `refresh_token` is step 1's request token."""
        body = {"refreshToken": refresh_token, "totp": totp}
        return await self._log_in(wire.VERIFY_TOTP, api_key, body, hide=(refresh_token, totp))

    async def get_logout(self, auth: Auth) -> Envelope:
        request = HttpRequest("GET", wire.LOGOUT, _headers(auth))
        return _decoded(await self._web.send(request), (auth.jwt, auth.api_key))

    async def get_user_fundsummary(self, auth: Auth) -> Envelope:
        return await self._read(auth, "GET", wire.FUND_SUMMARY)

    async def post_orders_regular(
        self, auth: Auth, fields: Mapping[str, str], gate: SendGate
    ) -> Envelope:
        request = HttpRequest(
            "POST", wire.ORDERS_REGULAR, _headers(auth, has_body=True), _json(fields)
        )
        return _decoded(await self._orders.send(request, gate=gate), (auth.jwt, auth.api_key))

    async def put_orders_regular(
        self, auth: Auth, fields: Mapping[str, str], gate: SendGate | None
    ) -> Envelope:
        """`fields` is the whole order as it will be, `orderid` among it."""
        request = HttpRequest(
            "PUT",
            f"{wire.ORDERS_REGULAR}/{quote(fields['orderid'], safe='')}",
            _headers(auth, has_body=True),
            _json(fields),
        )
        return _decoded(await self._orders.send(request, gate=gate), (auth.jwt, auth.api_key))

    async def delete_orders_regular(
        self, auth: Auth, *, orderid: str, variety: str, gate: SendGate | None
    ) -> Envelope:
        request = HttpRequest(
            "DELETE",
            f"{wire.ORDERS_REGULAR}/{quote(orderid, safe='')}",
            _headers(auth, has_body=True),
            _json({"variety": variety, "orderid": orderid}),
        )
        return _decoded(await self._orders.send(request, gate=gate), (auth.jwt, auth.api_key))

    async def get_orders(self, auth: Auth) -> Envelope:
        return await self._read(auth, "GET", wire.ORDERS, kind=rows.ORDERS)

    async def get_tradebook(self, auth: Auth) -> Envelope:
        return await self._read(auth, "GET", wire.TRADEBOOK, kind=rows.TRADES)

    async def get_portfolio_positions(self, auth: Auth) -> Envelope:
        return await self._read(auth, "GET", wire.POSITIONS, kind=rows.POSITIONS)

    async def get_portfolio_holdings(self, auth: Auth) -> Envelope:
        return await self._read(auth, "GET", wire.HOLDINGS)

    async def post_margins_orders(self, auth: Auth, body: Mapping[str, Any]) -> Envelope:
        return await self._ask(auth, wire.MARGINS, body)

    async def post_instruments_quote(
        self, auth: Auth, exchange_tokens: Mapping[str, Sequence[str]]
    ) -> Envelope:
        """OHLC mode: LTP mode gives no more."""
        await self._quote_pace.turn()
        body = {"mode": "OHLC", "exchangeTokens": exchange_tokens}
        return await self._ask(auth, wire.QUOTE, body)

    async def post_instruments_historical(self, auth: Auth, body: Mapping[str, str]) -> Envelope:
        """Candles of earlier days."""
        await self._data_pace.turn()
        return await self._ask(auth, wire.HISTORICAL, body)

    async def post_instruments_intraday(self, auth: Auth, body: Mapping[str, str]) -> Envelope:
        """Candles of today."""
        await self._data_pace.turn()
        return await self._ask(auth, wire.INTRADAY, body)

    async def post_order_details(
        self, auth: Auth, *, order_no: str, segment: str | None
    ) -> Envelope:
        """`segment` is E or D; the docs call it optional, the official SDK leaves it out."""
        fields = {"order_no": order_no}
        if segment is not None:
            fields["segment"] = segment
        return await self._read(auth, "POST", wire.ORDER_DETAILS, fields)

    async def download_scrip_master(
        self, auth: Auth, path: Path, *, timeout_s: float, max_bytes: int
    ) -> int:
        """Stream the master into a file; returns its size in bytes."""
        await self._data_pace.turn()
        request = HttpRequest("GET", wire.SCRIP_MASTER, _headers(auth))
        return await self._web.download(request, path, timeout_s=timeout_s, max_bytes=max_bytes)

    async def _log_in(
        self, target: str, api_key: str | None, fields: Mapping[str, str], hide: Iterable[str]
    ) -> Envelope:
        headers = [
            ("X-Mirae-Version", wire.API_VERSION),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        ]
        if api_key is not None:
            headers.append(("X-PrivateKey", api_key))
        request = HttpRequest("POST", target, tuple(headers), _json(fields))
        return _decoded(await self._web.send(request), (*hide, api_key or ""))

    async def _ask(self, auth: Auth, target: str, body: Mapping[str, Any]) -> Envelope:
        """Ask something that is no account's book: over the web transport, out of orders' way."""
        request = HttpRequest("POST", target, _headers(auth, has_body=True), _BODY.encode(body))
        response = await self._web.send(request, timeout_s=self._read_timeout_s)
        return _decoded(response, (auth.jwt, auth.api_key))

    async def _read(
        self,
        auth: Auth,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        *,
        kind: rows.RowType[Any] | None = None,
    ) -> Envelope:
        has_body = fields is not None
        body = _json(fields) if fields is not None else b""
        request = HttpRequest(method, target, _headers(auth, has_body=has_body), body)
        response = await self._orders.send(request, answer_timeout_s=self._read_timeout_s)
        return _decoded(response, (auth.jwt, auth.api_key), kind)


def _headers(auth: Auth, *, has_body: bool = False) -> tuple[tuple[str, str], ...]:
    headers = (
        ("X-Mirae-Version", wire.API_VERSION),
        ("X-PrivateKey", auth.api_key),
        ("Authorization", f"Bearer {auth.jwt}"),
        ("Accept", "application/json"),
    )
    return (*headers, ("Content-Type", "application/json")) if has_body else headers


def _json(fields: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(fields)


def _decoded(
    response: HttpResponse, secrets: Iterable[str], kind: rows.RowType[Any] | None = None
) -> Envelope:
    decode = decode_envelope if kind is None else kind.decode
    return decode(response.status, response.body, secrets, _retry_after_s(response.headers))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    # Some integrators saw it with HTTP 429 (dossier 10); a date, its other form, is not read.
    seconds = headers.get("retry-after", "").strip()
    return float(seconds) if re.fullmatch(r"[0-9]{1,6}", seconds) else None

"""Fyers in our words: the standard adapter on top of the raw client."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from adapters.fyers import parse
from adapters.fyers.client import FyersClient, app_id_hash, authcode_url
from adapters.fyers.config import (
    CAPABILITIES,
    LOGIN_LIFETIME_S,
    MASTER_FILES,
    MASTER_MAX_BYTES,
    MASTER_TIMEOUT_S,
)
from adapters.fyers.constants import (
    IST,
    ORDER_TYPE_TO_WIRE,
    PRODUCT_TO_WIRE,
    SESSION_EDGE_HOUR,
    SIDE_TO_WIRE,
)
from adapters.fyers.master import check_is_whole, read_master
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    LoginRefused,
    NotSupported,
    ReasonCode,
)
from adapters.sdk.interface import AdapterContext, Capabilities, SendGate
from adapters.sdk.models import (
    BrokerOrder,
    CancelRequested,
    Instrument,
    InstrumentType,
    LoginStep,
    OrderRef,
    OrderType,
    OtpRequired,
    Placed,
    PlaceOrder,
    Product,
    RedirectRequired,
    Session,
    Side,
)

_APP_ID = "app_id"


class FyersAdapter:
    """One Fyers account. Implements `adapters.sdk.interface.Adapter`."""

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = FyersClient(context)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Name the login page that the owner must open; nothing is sent (dossier 3.1)."""
        state = secrets.token_urlsafe(24)
        url = authcode_url(
            self._context.base_urls["login"],
            app_id=_credential(credentials, _APP_ID),
            redirect_uri=_credential(credentials, "redirect_uri"),
            state=state,
        )
        return RedirectRequired(
            login_url=url,
            state=state,
            expires_at=datetime.now(IST) + timedelta(seconds=LOGIN_LIFETIME_S),
            pending={"state": state},
        )

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        """Exchange the code of the redirect for a token and prove whose it is.

        Raises `LoginRefused`: with `restart` unset where the URL is not the answer to this
        login (the right one may still come), set where Fyers refused or the code is spent.
        """
        app_id = _credential(credentials, _APP_ID)
        code = _auth_code(url, pending.get("state", ""))
        secret_key = _credential(credentials, "secret_key")
        try:
            token = parse.parse_access_token(
                await self._client.post_validate_authcode(
                    app_id_hash=app_id_hash(app_id, secret_key), code=code
                )
            )
            client_id = parse.parse_client_code(await self._client.get_profile(f"{app_id}:{token}"))
        except LoginExpired as error:
            raise LoginRefused(
                "Fyers does not take this login",
                restart=True,
                reason=ReasonCode.BROKER_REJECTED,
                broker_code=error.broker_code,
                broker_message=error.broker_message,
            ) from error
        expected = credentials.get("client_id", "").strip()
        if expected and expected.casefold() != client_id.casefold():
            raise LoginRefused(
                "the login belongs to another client code than the configured one", restart=True
            )
        now = datetime.now(IST)
        return Session(
            token=token,
            client_id=client_id,
            logged_in_at=now,
            expires_at=session_end(token, now),
            extra={_APP_ID: app_id},
        )

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        """Not offered: the one-time password is asked for on Fyers' own page."""
        raise NotSupported("Fyers asks for the one-time password on its login page")

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        """Not offered: the one-time password is asked for on Fyers' own page."""
        raise NotSupported("Fyers sends the one-time password from its login page")

    async def prove_session(self, session: Session) -> str:
        """Read the profile and return its client code."""
        return parse.parse_client_code(await self._client.get_profile(_authorization(session)))

    async def logout(self, session: Session) -> None:
        """Revoke the token; one that is dead already counts as revoked (dossier 3.1 step 7)."""
        try:
            parse.require_read(await self._client.post_logout(_authorization(session)))
        except LoginExpired:
            return

    async def warm(self, session: Session) -> None:
        """Have a proven connection stand ready; no request is sent."""
        await self._client.warm()

    def is_warm(self) -> bool:
        return self._client.is_warm()

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for what Fyers or this adapter cannot take (dossier 5.2, 5.7, 6.1)."""
        _check_contract(order)
        _check_prices(order)
        _check_quantities(order)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Send one order, once. `s: ok` is acceptance only: the book has the last word."""
        self.check_order(order)
        return parse.parse_placed(
            await self._client.post_orders_sync(_authorization(session), order_body(order), gate)
        )

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Ask for a cancel, once."""
        envelope = await self._client.delete_order_sync(
            _authorization(session), ref.broker_order_id, gate
        )
        return parse.parse_cancel_requested(envelope, ref.broker_order_id)

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the day's whole book."""
        return parse.parse_order_book(await self._client.get_orders(_authorization(session)))

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order. Rows that Fyers might give beside it are passed over."""
        envelope = await self._client.get_orders(
            _authorization(session), order_id=ref.broker_order_id
        )
        if parse.is_unknown_order(envelope):
            return None
        rows = parse.parse_order_book(envelope)
        return next((row for row in rows if row.broker_order_id == ref.broker_order_id), None)

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        """Read the orders that carry a tag.

        Where the query finds none, the whole book is read too, since nothing says that the
        query sees an order as soon as the book does (dossier 5.6, 14.18).
        """
        envelope = await self._client.get_orders(
            _authorization(session), order_tag=f"1:{broker_tag}"
        )
        found = _with_tag(parse.parse_order_book(envelope), broker_tag)
        return found or _with_tag(await self.order_book(session), broker_tag)

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Fetch the symbol master files. They need no login."""
        paths = []
        for name in MASTER_FILES:
            path = folder / name
            await self._client.download_master(
                name, path, timeout_s=MASTER_TIMEOUT_S, max_bytes=MASTER_MAX_BYTES
            )
            try:
                check_is_whole(path)
            except ValueError as error:
                raise BadAnswer(f"Fyers' instrument file {error}") from error
            paths.append(path)
        return paths

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse downloaded files row by row."""
        return read_master(files)


def order_body(order: PlaceOrder) -> dict[str, Any]:
    """Write an order as `POST /orders/sync` wants it (dossier 5.2).

    Prices go by their digits. `takeProfit`, `stopLoss` and `isSliceOrder` are left out, since
    leaving them out is what means "none" (dossier 6.1).
    """
    return {
        "symbol": order.instrument.codes["symbol"],
        "qty": order.quantity,
        "type": ORDER_TYPE_TO_WIRE[order.order_type],
        "side": SIDE_TO_WIRE[order.side],
        "productType": PRODUCT_TO_WIRE[order.product],
        "limitPrice": _wire_price(order.price),
        "stopPrice": _wire_price(order.trigger_price),
        "validity": order.validity.value,
        "disclosedQty": order.disclosed_quantity,
        "offlineOrder": order.amo,
        "orderTag": str(order.broker_tag),
    }


def session_end(token: str, now: datetime) -> datetime:
    """Say when a token dies: its own `exp`, and 06:00 IST next at the latest (dossier 3.3).

    The token is a JWT whose signature is Fyers' matter. One that cannot be read, or that calls
    itself dead although Fyers just took it, is held to the hard edge alone.
    """
    edge = now.astimezone(IST).replace(hour=SESSION_EDGE_HOUR, minute=0, second=0, microsecond=0)
    if edge <= now:
        edge += timedelta(days=1)
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims
        )
        end = datetime.fromtimestamp(claims.exp, UTC).astimezone(IST)
    except (IndexError, ValueError, OverflowError, OSError, RecursionError):
        return edge
    return min(end, edge) if end > now else edge


class _Claims(msgspec.Struct):
    exp: int


def _auth_code(url: str, state: str) -> str:
    """Take the authorisation code out of the redirected URL, if it answers this very login."""
    try:
        query = parse_qs(urlsplit(url.strip()).query, keep_blank_values=True)
    except ValueError as error:
        raise LoginRefused("that is not a URL", restart=False) from error
    states = query.get("state", [])
    if not state or len(states) != 1 or not _same(states[0], state):
        raise LoginRefused(
            "the redirected URL does not belong to this login (its state differs)", restart=False
        )
    codes = query.get("auth_code", [])
    said_ok = [word.casefold() for word in query.get("s", ["ok"])] == ["ok"]
    if not said_ok or len(codes) != 1 or not codes[0]:
        message = " ".join(query.get("message", []))[:200]
        raise LoginRefused(
            f"Fyers' login page gave no authorisation code: {message or 'no reason given'}",
            restart=True,
            broker_code=" ".join(query.get("code", []))[:20] or None,
            broker_message=message or None,
        )
    return codes[0]


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(errors="replace"), right.encode(errors="replace"))


def _check_contract(order: PlaceOrder) -> None:
    contract = order.instrument
    if contract.exchange not in CAPABILITIES.exchanges:
        raise NotSupported(
            f"Fyers counts {contract.exchange.value} orders in lots, and that is not proven"
            " well enough to convert units"
        )
    if contract.type is InstrumentType.INDEX:
        raise Denied("an index is quoted, not traded", reason=ReasonCode.INSTRUMENT_BLOCKED)
    if not contract.codes.get("symbol"):
        raise Denied(
            f"{contract.instrument} has no Fyers symbol", reason=ReasonCode.INSTRUMENT_UNKNOWN
        )
    if order.product is Product.NRML and not contract.is_derivative:
        raise _not_allowed("NRML is for derivatives; take CNC or MIS for cash")
    if order.product in (Product.CNC, Product.MTF) and contract.is_derivative:
        raise _not_allowed(f"{order.product.value} is for cash; take NRML or MIS for derivatives")


def _check_prices(order: PlaceOrder) -> None:
    wants_price = order.order_type in (OrderType.LIMIT, OrderType.SL)
    wants_trigger = order.order_type in (OrderType.SL, OrderType.SL_M)
    for name, value, wanted in (
        ("price", order.price, wants_price),
        ("trigger_price", order.trigger_price, wants_trigger),
    ):
        if wanted and (value is None or not value.is_finite() or value <= 0):
            raise _invalid(f"{order.order_type.value} needs a {name} above zero")
        if not wanted and value:
            raise _invalid(f"{order.order_type.value} takes no {name}")
    if order.order_type is OrderType.SL and order.price and order.trigger_price:
        if order.side is Side.BUY and order.trigger_price > order.price:
            raise _invalid("a buy SL needs its trigger_price at or below its price")
        if order.side is Side.SELL and order.trigger_price < order.price:
            raise _invalid("a sell SL needs its trigger_price at or above its price")


def _check_quantities(order: PlaceOrder) -> None:
    contract = order.instrument
    if order.quantity <= 0:
        raise _invalid("quantity must be above zero")
    if order.quantity % contract.lot_size:
        raise Denied(
            f"quantity {order.quantity} is no multiple of the lot of {contract.lot_size}",
            reason=ReasonCode.LOT_SIZE,
        )
    if order.disclosed_quantity and contract.is_derivative:
        raise _invalid("disclosed_quantity is for equity only")
    if not 0 <= order.disclosed_quantity <= order.quantity:
        raise _invalid("disclosed_quantity must lie between zero and quantity")
    if not 10**14 <= order.broker_tag < 10**15:
        raise _invalid("broker_tag must have exactly 15 digits")


def _wire_price(price: Decimal | None) -> Decimal | int:
    return Decimal(f"{price:f}") if price else 0


def _with_tag(rows: list[BrokerOrder], broker_tag: int) -> list[BrokerOrder]:
    return [row for row in rows if row.broker_tag == broker_tag]


def _authorization(session: Session) -> str:
    app_id = session.extra.get(_APP_ID)
    if not app_id:
        raise LoginExpired("this session does not say for which app it is", created_nothing=True)
    return f"{app_id}:{session.token}"


def _credential(credentials: Mapping[str, str], name: str) -> str:
    value = credentials.get(name, "").strip()
    if not value:
        raise LoginRefused(f"the credential {name} is missing", restart=True)
    return value


def _invalid(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.INVALID_ORDER)


def _not_allowed(message: str) -> Denied:
    return Denied(message, reason=ReasonCode.PRODUCT_NOT_ALLOWED)

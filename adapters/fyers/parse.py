"""Turn Fyers' answers into models or errors. Pure: no I/O, no clock, no state.

Decision rule (dossier 4.1): read the JSON first and decide on `s` and `code`; the HTTP status
counts where there is no JSON, and for 401, 403, 429 and 5xx.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from adapters.fyers.constants import (
    AMBIGUOUS_CODES,
    CLIENT_CODE_IN_MESSAGE,
    CODE_INVALID_ORDER_ID,
    CODE_PLACED,
    CODE_REJECTED,
    CODES_AUTH,
    CODES_RATE_LIMITED,
    IST,
    MESSAGE_REASONS,
    ORDER_TYPE_FROM_WIRE,
    PRODUCT_FROM_WIRE,
    REFUSALS,
    SIDE_FROM_WIRE,
    STATUS_FROM_WIRE,
    STATUS_PENDING,
    VALIDITY_FROM_WIRE,
)
from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    CancelRequested,
    OrderType,
    Placed,
)
from adapters.sdk.transport import HttpResponse

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_VERDICTS: Final = {"ok": True, "error": False}
_SUCCESS_CODES: Final = frozenset({None, 200, 1101, 1102, 1103})
_T = TypeVar("_T")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every Fyers answer carries, read leniently (dossier 4.1).

    `ok` is None where `s` is neither `ok` nor `error`; `code` is None where it is no integer.
    `order_id` may stand on an error too: that order was created and rejected.
    `body` is the whole answer, for the parser that knows its payload.
    """

    status: int
    ok: bool | None
    code: int | None
    message: str
    order_id: str | None
    retry_after_s: float | None
    body: bytes

    def __repr__(self) -> str:
        # The body may hold an access token.
        return f"Envelope(status={self.status}, ok={self.ok}, code={self.code})"


def decode_envelope(response: HttpResponse) -> Envelope:
    """Read the envelope of any answer.

    Raises:
        LoginExpired: HTTP 401, or a code that says the token is dead (dossier 3.5). Whether a
            write answered this way created nothing is only inferred there, so it is not claimed.
        BadAnswer: the body is not a JSON object (an edge error page, a cut answer).
    """
    try:
        wire = _decode(response.body, _WireEnvelope)
    except ValueError as error:
        if response.status == 401:
            raise LoginExpired("Fyers answered HTTP 401", created_nothing=False) from error
        raise BadAnswer(
            f"Fyers answered HTTP {response.status} without a JSON object",
            status=response.status,
            reason=(
                ReasonCode.RATE_LIMITED if response.status == 429 else ReasonCode.BROKER_UNAVAILABLE
            ),
        ) from error
    envelope = Envelope(
        status=response.status,
        ok=_VERDICTS.get(wire.s.casefold()) if isinstance(wire.s, str) else None,
        code=_integer(wire.code),
        message=mask(wire.message) if isinstance(wire.message, str) else "",
        order_id=_text(wire.id),
        retry_after_s=_retry_after(response.headers),
        body=response.body,
    )
    if envelope.status == 401 or (
        envelope.code in CODES_AUTH and "refresh token api" not in envelope.message.casefold()
    ):
        raise LoginExpired(
            f"Fyers does not take this session: {envelope.message or 'HTTP 401'}",
            created_nothing=False,
            broker_code=_code_text(envelope),
            broker_message=envelope.message or None,
        )
    return envelope


def parse_placed(envelope: Envelope) -> Placed:
    """Read the answer to a place (dossier 5.3).

    Raises `Refused` for a definitive refusal, with the order's id where Fyers keeps the rejected
    order in its book, and `BadAnswer` for everything that proves nothing: code 201, an id on an
    error other than -99, an accepted answer without an id, any 5xx, any unlisted code.
    """
    accepted = envelope.ok or (envelope.ok is None and envelope.code == CODE_PLACED)
    if accepted and envelope.code in _SUCCESS_CODES:
        if envelope.order_id is None:
            raise _bad_answer(envelope, "took the order but gave no order id")
        return Placed(broker_order_id=envelope.order_id, message=envelope.message or None)
    if envelope.order_id is not None and envelope.code != CODE_REJECTED:
        raise _bad_answer(envelope, "answered with an order id and no acceptance")
    raise refusal(envelope)


def parse_cancel_requested(envelope: Envelope, broker_order_id: str) -> CancelRequested:
    """Read the answer to a cancel (dossier 5.4).

    Raises `Refused` where Fyers says no (-52: the order is done) and `BadAnswer` otherwise.
    """
    if envelope.ok and envelope.code in _SUCCESS_CODES:
        return CancelRequested(broker_order_id=broker_order_id, message=envelope.message or None)
    raise refusal(envelope)


def parse_order_book(envelope: Envelope) -> list[BrokerOrder]:
    """Read an order book, in the order that Fyers gives it (dossier 5.5).

    An empty book may have `orderBook` empty, null or absent; but it is only empty where the
    answer says `s: ok`. A row with an unknown status, type or product is kept, with None there.

    Raises:
        BadAnswer: the answer is not a success, or one row cannot be read. Never a part of a book.
    """
    require_read(envelope)
    book = _payload(envelope, _WireOrderBook)
    return [_order(row, envelope) for row in book.orderBook or ()]


def is_unknown_order(envelope: Envelope) -> bool:
    """Whether a read of one order was answered with "invalid order id" (dossier 4.2, -51)."""
    return envelope.ok is False and envelope.code == CODE_INVALID_ORDER_ID and envelope.status < 500


def parse_client_code(envelope: Envelope) -> str:
    """Read the client code out of a profile (dossier 7.5)."""
    require_read(envelope)
    profile = _payload(envelope, _WireProfile)
    code = profile.data.fy_id.strip()
    if not code:
        raise _bad_answer(envelope, "gave a profile without a client code")
    return code


def parse_access_token(envelope: Envelope) -> str:
    """Read the token out of the code exchange (dossier 3.1 step 4).

    Raises `LoginRefused` where Fyers refuses the code, which is then spent.
    """
    if envelope.ok and envelope.code in _SUCCESS_CODES:
        token = _payload(envelope, _WireToken).access_token
        if not token.isascii() or not token.isprintable() or not token.strip():
            raise _bad_answer(envelope, "gave no usable access token")
        return token.strip()
    raise login_refusal(envelope)


def login_refusal(envelope: Envelope) -> GatewayError:
    """Sort the refusal of a login step."""
    if envelope.ok is not False or envelope.status >= 500:
        return _bad_answer(envelope, "gave no usable answer to the login")
    rate_limited = envelope.code in CODES_RATE_LIMITED
    return LoginRefused(
        f"Fyers refused the login: {envelope.message or envelope.code}",
        restart=not rate_limited,
        reason=ReasonCode.RATE_LIMITED if rate_limited else ReasonCode.BROKER_REJECTED,
        broker_code=_code_text(envelope),
        broker_message=envelope.message or None,
    )


def require_read(envelope: Envelope) -> None:
    """Raise `BadAnswer` unless a read succeeded; a failed read proves nothing."""
    if envelope.ok and envelope.code in _SUCCESS_CODES and 200 <= envelope.status < 300:
        return
    raise _bad_answer(envelope, "did not answer the read")


def refusal(envelope: Envelope) -> GatewayError:
    """Sort an unsuccessful answer to a write: `Refused` on the dossier's evidence, or `BadAnswer`.

    A 5xx is never a refusal, whatever its body says: which HTTP status comes with a rejection is
    not documented, so the order is looked for instead (dossier 4.1, 4.2).
    """
    if envelope.ok or envelope.status >= 500 or envelope.code in AMBIGUOUS_CODES:
        return _bad_answer(envelope, "did not say what became of the request")
    if envelope.ok is None:
        return _bad_answer(envelope, "gave an answer without a verdict")
    if envelope.code in CODES_RATE_LIMITED:
        return Refused(
            f"Fyers is limiting our rate: {envelope.message}",
            reason=ReasonCode.RATE_LIMITED,
            broker_code=_code_text(envelope),
            broker_message=envelope.message or None,
            repeatable=True,
            retry_after_s=envelope.retry_after_s,
        )
    reason = _reason(envelope)
    if (
        envelope.code in REFUSALS
        or envelope.status == 403
        or reason is ReasonCode.IP_NOT_WHITELISTED
    ):
        return Refused(
            f"Fyers refused: {envelope.message or envelope.code}",
            reason=reason,
            broker_code=_code_text(envelope),
            broker_message=envelope.message or None,
            broker_order_id=envelope.order_id if envelope.code == CODE_REJECTED else None,
        )
    return _bad_answer(envelope, "gave an answer that is on no list")


def mask(message: str) -> str:
    """Hide the client code that Fyers puts into rejection texts (dossier 4.3)."""
    return CLIENT_CODE_IN_MESSAGE.sub("for C-***", message)


def parse_time(text: str) -> datetime | None:
    """Read `04-Aug-2025 10:05:06`, which is IST; None for anything else (dossier 5.5)."""
    try:
        day, clock = text.strip().split(" ")
        date, month, year = day.split("-")
        hour, minute, second = clock.split(":")
        return datetime(
            int(year),
            _MONTHS[month.casefold()],
            int(date),
            int(hour),
            int(minute),
            int(second),
            tzinfo=IST,
        )
    except (ValueError, KeyError):
        return None


class _WireEnvelope(msgspec.Struct):
    s: Any = None
    code: Any = None
    message: Any = None
    id: Any = None


class _WireToken(msgspec.Struct):
    access_token: str


class _WireProfileData(msgspec.Struct):
    fy_id: str


class _WireProfile(msgspec.Struct):
    data: _WireProfileData


class _WireOrder(msgspec.Struct):
    id: str | int
    symbol: str
    qty: int
    filledQty: int
    status: str | int | None = None
    type: str | int | None = None
    side: str | int | None = None
    productType: str | None = None
    orderValidity: str | None = None
    limitPrice: Decimal | None = None
    stopPrice: Decimal | None = None
    tradedPrice: Decimal | None = None
    orderTag: str | int | None = None
    exchOrdId: str | int | None = None
    orderDateTime: str | int | None = None
    message: str | None = None


class _WireOrderBook(msgspec.Struct):
    orderBook: list[_WireOrder] | None = None


def _order(row: _WireOrder, envelope: Envelope) -> BrokerOrder:
    broker_order_id = _text(row.id)
    if broker_order_id is None or not row.symbol or row.qty < 0 or row.filledQty < 0:
        raise _bad_answer(envelope, "gave an order book row that cannot be read")
    order_type = ORDER_TYPE_FROM_WIRE.get(_integer(row.type) or 0)
    filled = row.filledQty
    return BrokerOrder(
        broker_order_id=broker_order_id,
        state=_state(_integer(row.status), order_type, row.qty, filled),
        raw_state="" if row.status is None else str(row.status),
        codes={"symbol": row.symbol},
        side=SIDE_FROM_WIRE.get(_integer(row.side) or 0),
        order_type=order_type,
        product=PRODUCT_FROM_WIRE.get(row.productType or ""),
        validity=VALIDITY_FROM_WIRE.get(row.orderValidity or ""),
        quantity=row.qty,
        filled_quantity=filled,
        # On a market order the book shows the protection price there (dossier 5.5), which is
        # no price that anybody asked for.
        price=(
            None if order_type in (OrderType.MARKET, OrderType.SL_M) else _price(row.limitPrice)
        ),
        trigger_price=_price(row.stopPrice),
        average_price=_price(row.tradedPrice) if filled else None,
        broker_tag=_broker_tag(row.orderTag),
        exchange_order_id=_text(row.exchOrdId),
        message=mask(row.message) if row.message else None,
        placed_at=parse_time(row.orderDateTime) if isinstance(row.orderDateTime, str) else None,
    )


def _state(
    status: int | None, order_type: OrderType | None, quantity: int, filled: int
) -> BrokerOrderState | None:
    if status != STATUS_PENDING:
        return None if status is None else STATUS_FROM_WIRE.get(status)
    if 0 < filled < quantity:
        return BrokerOrderState.PARTIALLY_FILLED
    if order_type in (OrderType.SL, OrderType.SL_M):
        return BrokerOrderState.TRIGGER_PENDING
    return BrokerOrderState.OPEN


def _broker_tag(tag: str | int | None) -> int | None:
    """Read our tag back; `1:` marks a user's tag, `2:` one of the system's (dossier 5.6)."""
    digits = str(tag).removeprefix("1:")
    if len(digits) == 15 and digits.isascii() and digits.isdigit() and digits[0] != "0":
        return int(digits)
    return None


def _price(value: Decimal | None) -> Decimal | None:
    """Read a price, where 0 stands for none."""
    return value if value is not None and value.is_finite() and value > 0 else None


def _reason(envelope: Envelope) -> ReasonCode:
    for pattern, reason in MESSAGE_REASONS:
        if pattern.search(envelope.message):
            return reason
    return REFUSALS.get(envelope.code or 0, ReasonCode.BROKER_REJECTED)


def _bad_answer(envelope: Envelope, what: str) -> BadAnswer:
    rate_limited = envelope.status == 429 or envelope.code in CODES_RATE_LIMITED
    return BadAnswer(
        f"Fyers {what} (HTTP {envelope.status}, code {envelope.code}): {envelope.message}",
        status=envelope.status,
        reason=ReasonCode.RATE_LIMITED if rate_limited else ReasonCode.BROKER_UNAVAILABLE,
        broker_code=_code_text(envelope),
        broker_message=envelope.message or None,
    )


def _payload(envelope: Envelope, type: type[_T]) -> _T:
    try:
        return _decode(envelope.body, type)
    except ValueError as error:
        # The cause would quote nothing but a path, yet the body may hold a token: leave it out.
        raise _bad_answer(envelope, "gave an answer that is not of its documented shape") from error


def _decode(body: bytes, type: type[_T]) -> _T:
    """Decode leniently (a number may come as a string); every failure is a `ValueError`."""
    try:
        return msgspec.json.decode(body, type=type, strict=False)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not the expected JSON") from error


def _text(value: object) -> str | None:
    """Read an identifier, which some answers give as a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        digits = value.strip()
        if digits.removeprefix("-").isdecimal() and len(digits) <= 12:
            return int(digits)
    return None


def _retry_after(headers: dict[str, str]) -> float | None:
    for name, unit in (("x-retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) <= 9:
            return int(text) * unit
    return None


def _code_text(envelope: Envelope) -> str | None:
    return None if envelope.code is None else str(envelope.code)

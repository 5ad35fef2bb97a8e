"""Acme's answers to our models and errors. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import msgspec

from adapters.sdk.errors import (
    BadAnswer,
    GatewayError,
    LoginExpired,
    LoginRefused,
    ReasonCode,
    Refused,
)
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    Instrument,
)
from adapters.sdk.transport import HttpResponse
from brokergate_acme import constants as wire

_log = logging.getLogger(__name__)
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_T = TypeVar("_T")


class Answer(msgspec.Struct, frozen=True):
    """One answer: `data` where it says that it is good, else the broker's code and words."""

    status: int
    good: bool
    data: Any
    code: str
    message: str


def answer(response: HttpResponse) -> Answer:
    """Read an answer's envelope.

    Raises:
        BadAnswer: not JSON, or no envelope of this broker's.
    """
    try:
        value = _DECODER.decode(response.body)
    # ArithmeticError: a number whose exponent no Decimal can hold.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise BadAnswer(
            f"HTTP {response.status} with a body that is not JSON", status=response.status
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("ok"), bool):
        raise BadAnswer(f"HTTP {response.status}: the answer has no `ok`", status=response.status)
    return Answer(
        response.status,
        value["ok"] and 200 <= response.status < 300,
        value.get("data"),
        str(value.get("code", "")),
        str(value.get("message", "")),
    )


def data(response: HttpResponse) -> Any:
    """Return what a read asked for. Raises `LoginExpired` or `BadAnswer`."""
    found = answer(response)
    if not found.good:
        raise _error(found, write=False)
    return found.data


def rows(response: HttpResponse) -> list[Mapping[str, Any]]:
    """Return the rows of a list, every one of them or none. Raises as `data`."""
    found = data(response)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadAnswer(f"HTTP {response.status}: no list of rows", status=response.status)
    return found


def order_id(response: HttpResponse) -> str:
    """Return the id that proves that a write was taken.

    Raises:
        Refused: a code on the list of refusals.
        LoginExpired: the session is dead.
        BadAnswer: everything else, a success without an id too.
    """
    found = answer(response)
    if not found.good:
        raise _error(found, write=True)
    fields = found.data if isinstance(found.data, dict) else {}
    made = fields.get("id")
    if not isinstance(made, str) or not made.strip():
        raise BadAnswer("Acme says yes without an order id", status=response.status)
    return made


def login(response: HttpResponse) -> Mapping[str, Any]:
    """Return what a login step answered. Raises `LoginRefused` or `BadAnswer`."""
    found = answer(response)
    if found.code in (wire.LOGIN_REFUSED, wire.OTP_WRONG) and found.status < 500:
        raise LoginRefused(
            f"Acme refused the login: {found.message}",
            restart=found.code != wire.OTP_WRONG,
            broker_code=found.code,
            broker_message=found.message,
        )
    if not found.good or not isinstance(found.data, dict):
        raise _error(found, write=False)
    return found.data


def order(row: Mapping[str, Any]) -> BrokerOrder:
    """Turn a row of the book into an order. Raises `BadAnswer`."""
    raw_state = text(row, "state")
    state = wire.STATES.get(raw_state.lower())
    if state is None:
        _log.warning("Acme shows the unknown state %r", raw_state)
    return BrokerOrder(
        broker_order_id=_needed(row, "id"),
        state=state,
        raw_state=raw_state,
        codes={"key": _needed(row, "key")},
        side=_ours(wire.SIDES, row, "side"),
        order_type=_ours(wire.ORDER_TYPES, row, "type"),
        product=_ours(wire.PRODUCTS, row, "product"),
        validity=_ours(wire.VALIDITIES, row, "validity"),
        quantity=integer(row, "quantity"),
        filled_quantity=integer(row, "filled"),
        price=money(row, "price"),
        trigger_price=money(row, "trigger"),
        average_price=money(row, "average"),
        broker_tag=tag(row),
        message=text(row, "message") or None,
        placed_at=moment(row, "at"),
    )


def trade(row: Mapping[str, Any]) -> BrokerTrade:
    """Turn a row of the trade book into a fill. Raises `BadAnswer`."""
    price = money(row, "price")
    if price is None:
        raise BadAnswer("a trade without a price")
    return BrokerTrade(
        trade_id=_needed(row, "trade"),
        broker_order_id=_needed(row, "id"),
        codes={"key": _needed(row, "key")},
        side=_ours(wire.SIDES, row, "side"),
        product=_ours(wire.PRODUCTS, row, "product"),
        quantity=integer(row, "quantity"),
        price=price,
        broker_tag=tag(row),
        traded_at=moment(row, "at"),
    )


def position(row: Mapping[str, Any]) -> BrokerPosition:
    """Turn a row into a net position. Raises `BadAnswer`."""
    return BrokerPosition(
        codes={"key": _needed(row, "key")},
        product=_ours(wire.PRODUCTS, row, "product"),
        quantity=integer(row, "net"),
        buy_quantity=integer(row, "bought"),
        sell_quantity=integer(row, "sold"),
        average_price=money(row, "average"),
    )


def holding(row: Mapping[str, Any]) -> BrokerHolding:
    """Turn a row into a holding. Raises `BadAnswer`."""
    return BrokerHolding(
        codes={"key": _needed(row, "key")},
        quantity=integer(row, "quantity"),
        isin=text(row, "isin") or None,
        average_price=money(row, "average"),
    )


def funds(found: Any) -> BrokerFunds:
    """Turn the account's money. Raises `BadAnswer`."""
    if not isinstance(found, dict):
        raise BadAnswer("no funds in the answer")
    return BrokerFunds(
        available=money(found, "available"),
        used=money(found, "used"),
        opening=money(found, "opening"),
    )


def quotes(
    found: list[Mapping[str, Any]], asked: Mapping[str, Instrument], as_of: datetime
) -> dict[str, BrokerQuote]:
    """Turn prices; a contract without one is left out."""
    prices: dict[str, BrokerQuote] = {}
    for row in found:
        instrument, last = asked.get(text(row, "key")), money(row, "last")
        if instrument is not None and last is not None:
            prices[instrument.instrument] = BrokerQuote(
                instrument=instrument.instrument, last_price=last, as_of=as_of
            )
    return prices


def text(row: Mapping[str, Any], name: str) -> str:
    """Return a field as text, empty where it is missing or null."""
    value = row.get(name)
    return "" if value is None else str(value).strip()


def integer(row: Mapping[str, Any], name: str) -> int:
    """Return a whole number. Raises `BadAnswer`."""
    try:
        value = Decimal(text(row, name))
        if value == int(value):
            return int(value)
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise BadAnswer(f"{name} is no number") from error
    raise BadAnswer(f"{name} is no whole number")


def money(row: Mapping[str, Any], name: str) -> Decimal | None:
    """Return rupees by their digits, None where the broker gives none. Raises `BadAnswer`."""
    written = text(row, name)
    if not written:
        return None
    try:
        value = Decimal(written)
    except InvalidOperation as error:
        raise BadAnswer(f"{name} is no number") from error
    if not value.is_finite():
        raise BadAnswer(f"{name} is no number")
    return value


def moment(row: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time, which Acme writes as IST without an offset. Raises `BadAnswer`."""
    written = text(row, name)
    if not written:
        return None
    try:
        return datetime.fromisoformat(written).replace(tzinfo=wire.IST)
    except ValueError as error:
        raise BadAnswer(f"{name} is no time") from error


def tag(row: Mapping[str, Any]) -> int | None:
    """Return our tag read back: exactly 15 digits, or it is somebody else's reference."""
    written = text(row, "ref")
    ours = len(written) == 15 and written.isascii() and written.isdigit() and written[0] != "0"
    return int(written) if ours else None


def _needed(row: Mapping[str, Any], name: str) -> str:
    value = text(row, name)
    if not value:
        raise BadAnswer(f"a row without {name}")
    return value


def _ours(words: Mapping[_T, str], row: Mapping[str, Any], name: str) -> _T | None:
    """Return our word for the broker's, None for one that is not known: never a guess."""
    written = text(row, name)
    return next((ours for ours, theirs in words.items() if theirs == written), None)


def _error(found: Answer, *, write: bool) -> GatewayError:
    """Say what an answer that is no success proves."""
    if found.code == wire.SESSION_DEAD and found.status in (200, 401):
        # That a write was not taken is not documented, so it is not claimed.
        return LoginExpired(
            "Acme no longer takes this session: log in again",
            created_nothing=not write,
            broker_code=found.code,
            broker_message=found.message,
        )
    reason = wire.REFUSALS.get(found.code)
    if write and reason is not None and found.status in (200, 400):
        return Refused(
            f"Acme refused: {found.message}",
            reason=reason,
            broker_code=found.code,
            broker_message=found.message,
        )
    limited = found.code == wire.RATE_LIMITED
    return BadAnswer(
        f"Acme answered HTTP {found.status} {found.code}, which proves nothing",
        status=found.status,
        reason=ReasonCode.RATE_LIMITED if limited else ReasonCode.BROKER_UNAVAILABLE,
        broker_code=found.code or None,
        broker_message=found.message or None,
    )

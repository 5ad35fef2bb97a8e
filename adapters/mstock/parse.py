"""m.Stock's answers turned into the gateway's shapes. Pure, no I/O.

Every function takes a normalised envelope, and either returns or raises a `GatewayError`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from adapters.mstock import contracts, values
from adapters.mstock.constants import (
    FILLED_WORDS,
    IST,
    LIVE_STATUSES,
    NOT_FILLED_WORDS,
    STATUS,
    UNFILLABLE_STATUSES,
)
from adapters.mstock.envelope import Envelope, order_id, reason_of, unproven, write_error
from adapters.mstock.rows import OrderRow, TradeRow, Word
from adapters.mstock.values import Row, clean
from adapters.sdk.errors import BadAnswer, GatewayError, LoginRefused, ReasonCode
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    CancelRequested,
    Modified,
    OrderType,
    Placed,
)

_TOKEN: Final = re.compile(r"[!-~]{1,8192}")
_SESSION_LIFE: Final = timedelta(hours=12)
_AVERAGE_DIGITS: Final = Decimal("0.0001")
_STOP_TYPES: Final = (OrderType.SL, OrderType.SL_M)
_ENDS_SHORT: Final = (BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED)
_NEVER_FILLED: Final = (
    BrokerOrderState.PENDING,
    BrokerOrderState.TRIGGER_PENDING,
    BrokerOrderState.REJECTED,
)


class Fills(msgspec.Struct, frozen=True, gc=False):
    """What the trade book proves of one order: units, and rupees spent or received."""

    quantity: int
    value: Decimal

    @property
    def average_price(self) -> Decimal | None:
        if not self.quantity:
            return None
        return (self.value / self.quantity).quantize(_AVERAGE_DIGITS)


NO_FILLS: Final = Fills(0, Decimal(0))


# No answer says which of the two an account has; a code at the wrong one is refused as if it had
# been mistyped (dossier 3.1).
_OTHER_MODE: Final = {
    "otp": " (no OTP is sent where TOTP is switched on at m.Stock: then set login: totp)",
    "totp": " (where TOTP is not switched on at m.Stock, set login: otp)",
}


class LoginTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the second login step gave. `client_id` is None where the answer names none (OTP)."""

    jwt: str
    client_id: str | None

    def __repr__(self) -> str:
        return f"LoginTokens(client_id={self.client_id!r})"


def request_token(envelope: Envelope) -> str:
    """Read step 1's request token: `refreshToken` where filled, else `jwtToken` (dossier 3.2).

    Raises:
        LoginRefused: wrong client code or password (the words count the attempts left).
        BadAnswer: anything that is neither.
    """
    if not envelope.proves_success:
        raise login_error(envelope, mistyped=False)
    data = _login_data(envelope)
    return _token(values.text(data, "refreshToken") or values.text(data, "jwtToken"), envelope)


def login_tokens(envelope: Envelope, *, mode: str) -> LoginTokens:
    """Read the second step (`session/token` or `session/verifytotp`); `mode` is otp or totp.

    `message` is ignored: a good answer still asks for the OTP in the docs' sample.

    Raises:
        LoginRefused: `restart` is false only for an OTP that may have been mistyped.
        BadAnswer: anything that is neither.
    """
    if not envelope.proves_success:
        raise login_error(envelope, mistyped=mode == "otp", hint=_OTHER_MODE[mode])
    data = _login_data(envelope)
    return LoginTokens(
        jwt=_token(values.text(data, "jwtToken"), envelope),
        client_id=values.text(data, "ClientId").upper() or None,
    )


def login_error(envelope: Envelope, *, mistyped: bool, hint: str = "") -> GatewayError:
    """Sort a failed login step. `mistyped`: a person may answer the same step once more.

    An expired OTP, and every wrong TOTP, begin again at the password (dossier 4.2).
    """
    refused = not envelope.good and envelope.http < 500 and envelope.http not in (405, 408, 429)
    if not refused or envelope.code.upper() == "IA500":
        return unproven(envelope)
    words = envelope.message.lower()
    again = mistyped and "otp" in words and "expire" not in words and "regenerate" not in words
    reason = ReasonCode.BROKER_REJECTED
    if re.search(r"\bip\b", words):
        reason = ReasonCode.IP_NOT_WHITELISTED
    return LoginRefused(
        f"m.Stock refused the login: {envelope.message or envelope.code or envelope.http}{hint}",
        restart=not again,
        reason=reason,
        broker_code=envelope.code or None,
        broker_message=envelope.message or None,
        attempts_left=_attempts_left(words),
    )


def _attempts_left(words: str) -> int | None:
    """Read "N attempts remaining" (dossier 4.2); 0 where the words say that it is locked."""
    if found := re.search(r"(\d{1,3}) attempts? (?:remaining|left)", words):
        return int(found[1])
    return 0 if re.search(r"\b(?:locked|blocked)\b", words) else None


def session_end(issued_at: datetime) -> datetime:
    """The earlier of 12 hours after issue and the next midnight in India (dossier 3.3)."""
    local = issued_at.astimezone(IST)
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), tzinfo=IST)
    return min(local + _SESSION_LIFE, midnight)


def placed(envelope: Envelope) -> Placed:
    """Read the answer to a placed order.

    Raises:
        Refused, LoginExpired: only what the dossier lists as having placed nothing.
        BadAnswer: everything else, a success without an id among it.
    """
    if not envelope.proves_success:
        raise write_error(envelope)
    found = order_id(envelope.data)
    if not found:
        raise unproven(envelope)
    return Placed(broker_order_id=found, message=envelope.message or None)


def cancel_requested(envelope: Envelope, broker_order_id: str) -> CancelRequested:
    """Read the answer to a cancel. An OK that names another order is no answer to this one."""
    _check_taken(envelope, broker_order_id)
    return CancelRequested(broker_order_id=broker_order_id, message=envelope.message or None)


def modified(envelope: Envelope, broker_order_id: str) -> Modified:
    """Read the answer to a modify. An OK that names another order is no answer to this one."""
    _check_taken(envelope, broker_order_id)
    return Modified(broker_order_id=broker_order_id, message=envelope.message or None)


def may_have_fills(row: OrderRow) -> bool:
    """Whether the trade book must be read before this order can be told."""
    return _status(row).lower() not in UNFILLABLE_STATUSES


def fills_by_order(trade_rows: Iterable[TradeRow]) -> dict[str, Fills]:
    """Sum the trade book by order id.

    The book's own `filledshares` is not to be believed (dossier 5.5). A trade without an order
    id, quantity or price makes the whole read bad: leaving it out would hide a fill.
    """
    totals: dict[str, Fills] = defaultdict(lambda: NO_FILLS)
    seen: set[tuple[str, str]] = set()
    for row in trade_rows:
        owner = clean(row.ORDER_NUMBER)
        units = values.units(clean(row.QUANTITY))
        price = values.bounded(row.PRICE)
        if not owner or units is None or units < 0 or price is None:
            raise BadAnswer("a row of m.Stock's trade book has no order id, quantity or price")
        trade = clean(row.TRADE_NUMBER)
        if trade and (owner, trade) in seen:
            continue
        seen.add((owner, trade))
        sofar = totals[owner]
        totals[owner] = Fills(sofar.quantity + units, sofar.value + units * price)
    return dict(totals)


def book_orders(order_rows: Iterable[OrderRow], fills: Mapping[str, Fills]) -> list[BrokerOrder]:
    """Turn the order book into orders. A row without id or quantity makes the read bad."""
    orders = []
    for row in order_rows:
        broker_order_id = own_id(row)
        orders.append(order(row, broker_order_id, fills.get(broker_order_id, NO_FILLS)))
    return orders


def own_id(row: OrderRow) -> str:
    """Return a book row's order id. Raises `BadAnswer` where there is none."""
    broker_order_id = clean(row.orderid)
    if not broker_order_id:
        raise BadAnswer("a row of m.Stock's order book has no order id")
    return broker_order_id


def details_row(detail_rows: list[OrderRow], broker_order_id: str) -> OrderRow | None:
    """Choose the row that tells the order's latest state, or None when there is none.

    The rows answer a question about one order, so they are about that order even where
    `orderid` holds an exchange-style id. Whether several rows are a history is not documented
    (dossier 5.6): then the newest by time is taken, and no answer is given where that is not
    clear.
    """
    ours = [row for row in detail_rows if clean(row.orderid) == broker_order_id]
    candidates = ours or detail_rows
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    timed = [(_time(row, _status(row)), row) for row in candidates]
    known = [(at, row) for at, row in timed if at is not None]
    if len(known) == len(timed):
        newest = max(at for at, _ in known)
        latest = [row for at, row in known if at == newest]
        if len({_status(row).lower() for row in latest}) == 1:
            return latest[-1]
    raise BadAnswer("m.Stock gave several rows for one order and no newest among them")


def order(row: OrderRow, broker_order_id: str, fills: Fills) -> BrokerOrder:
    """Turn one row of the order book or of the order details into an order.

    Raises:
        BadAnswer: the row has no whole quantity.
    """
    quantity = values.units(clean(row.quantity))
    if quantity is None or quantity < 0:
        raise BadAnswer(f"m.Stock's order {broker_order_id} has no quantity")
    raw_state = _status(row)
    order_type = contracts.order_type(clean(row.ordertype))
    kind = clean(row.instrumenttype)
    is_priced = order_type not in (OrderType.MARKET, OrderType.SL_M)
    is_stop = order_type in _STOP_TYPES or order_type is None
    state, message = _state(raw_state, order_type, quantity, fills), clean(row.text)
    if state in _ENDS_SHORT and _lacks_fills(row, quantity, fills):
        state = None
    reason = None
    if state is BrokerOrderState.REJECTED:
        reason = reason_of(message, ReasonCode.EXCHANGE_REJECTED)
    return BrokerOrder(
        broker_order_id=broker_order_id,
        state=state,
        raw_state=raw_state,
        codes=contracts.codes(
            exchange=clean(row.exchange), kind=kind, token=clean(row.symboltoken)
        ),
        side=contracts.side(clean(row.transactiontype)),
        order_type=order_type,
        product=contracts.product(clean(row.producttype), kind),
        quantity=quantity,
        filled_quantity=fills.quantity,
        validity=contracts.validity(clean(row.duration)),
        price=_rupees(row.price) if is_priced else None,
        trigger_price=_rupees(row.triggerprice) if is_stop else None,
        average_price=fills.average_price,
        broker_tag=values.tag(clean(row.ordertag)),
        exchange_order_id=_exchange_order_id(row, broker_order_id),
        message=message or None,
        reason=reason,
        placed_at=_time(row, raw_state),
    )


def _check_taken(envelope: Envelope, broker_order_id: str) -> None:
    if not envelope.proves_success:
        raise write_error(envelope)
    found = order_id(envelope.data)
    if found and found != broker_order_id:
        raise unproven(envelope)


def _login_data(envelope: Envelope) -> Row:
    if not isinstance(envelope.data, Mapping):
        raise BadAnswer("m.Stock's login answer has no data", status=envelope.http)
    return envelope.data


def _token(found: str, envelope: Envelope) -> str:
    # It goes into a header and a body: anything but plain visible characters is no token.
    if not _TOKEN.fullmatch(found):
        raise BadAnswer("m.Stock's login answer has no usable token", status=envelope.http)
    return found


def _status(row: OrderRow) -> str:
    return clean(row.status) or clean(row.orderstatus)


def _rupees(word: Word) -> Decimal | None:
    """Read a price; None for the "0" by which the broker says "no price"."""
    return values.decimal(clean(word)) or None


def _state(
    raw: str, order_type: OrderType | None, quantity: int, fills: Fills
) -> BrokerOrderState | None:
    """Map a status by dossier 5.9; None for a word that is not known, which is logged."""
    word = raw.lower()
    filled = fills.quantity
    if (known := STATUS.get(word)) is not None:
        if filled and known in _NEVER_FILLED:
            # The row is older than the trade book, or not understood.
            contracts.unrecognised("order status with fills", raw)
            return None
        return known
    if word in LIVE_STATUSES:
        if filled:
            all_filled = filled == quantity
            return BrokerOrderState.FILLED if all_filled else BrokerOrderState.PARTIALLY_FILLED
        if word == "pending" and order_type in _STOP_TYPES:
            return BrokerOrderState.TRIGGER_PENDING
        return BrokerOrderState.OPEN
    if not any(negation in word for negation in NOT_FILLED_WORDS):
        if "part" in word and ("trad" in word or "fill" in word):
            return BrokerOrderState.PARTIALLY_FILLED
        if word == "traded" or any(said in word for said in FILLED_WORDS):
            all_filled = filled == quantity
            return BrokerOrderState.FILLED if all_filled else BrokerOrderState.PARTIALLY_FILLED
    contracts.unrecognised("order status", raw or "(none)")
    return None


def _lacks_fills(row: OrderRow, quantity: int, fills: Fills) -> bool:
    """Whether less was cancelled than the trade book leaves: it has yet to show what traded.

    A `cancelsize` of zero says nothing, since rows of every state have it.
    """
    cancelled = values.units(clean(row.cancelsize)) or 0
    return 0 < cancelled < quantity - fills.quantity


def _exchange_order_id(row: OrderRow, broker_order_id: str) -> str | None:
    """Read it; "0" until acknowledged, and in `orderid` in the details' sample (dossier 5.6)."""
    found = clean(row.exchangeorderid)
    if found.strip("0"):
        return found
    row_id = clean(row.orderid)
    return row_id if row_id and row_id != broker_order_id else None


def _time(row: OrderRow, raw_state: str) -> datetime | None:
    in_market_hours = not raw_state.lower().startswith("o-")
    for word in (row.updatetime, row.exchorderupdatetime):
        found = values.moment(clean(word), in_market_hours=in_market_hours)
        if found is not None:
            return found
    return None

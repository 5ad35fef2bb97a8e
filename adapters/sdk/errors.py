"""What went wrong, sorted by one question: what may the caller do now?

GatewayError
+- Denied           by us, nothing was sent: fix the request
|  +- NotSupported  this broker, or our adapter for it, does not offer that
+- Refused          the broker said no, in its own words; on placing: no live order
+- LoginRefused     the broker refused a login step: ask the owner, never repeat by itself
+- LoginExpired     the broker no longer takes this session: log in again, then decide afresh
+- NotSent          no byte of the request left this host: may be tried again
+- OutcomeUnknown   may have reached the broker: never resend a write, ask the broker's book
   +- BadAnswer     an answer that proves nothing (not JSON, no id, a 5xx, an unlisted error)

The words are those of the leg states: one word, one meaning. On a *read* both `NotSent` and
`OutcomeUnknown` only mean "not read", and the read may be repeated.
"""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """The one vocabulary for every broker's refusals (design: reason codes)."""

    INVALID_ORDER = "invalid_order"
    MARGIN_SHORT = "margin_short"
    PRICE_BAND = "price_band"
    PRICE_UNAVAILABLE = "price_unavailable"
    TICK_SIZE = "tick_size"
    LOT_SIZE = "lot_size"
    FREEZE_QUANTITY = "freeze_quantity"
    INSTRUMENT_UNKNOWN = "instrument_unknown"
    INSTRUMENT_BLOCKED = "instrument_blocked"
    MARKET_CLOSED = "market_closed"
    PRODUCT_NOT_ALLOWED = "product_not_allowed"
    ORDER_TYPE_NOT_ALLOWED = "order_type_not_allowed"
    SEGMENT_NOT_ENABLED = "segment_not_enabled"
    EDIS_REQUIRED = "edis_required"
    NOT_SUPPORTED = "not_supported"
    SESSION_EXPIRED = "session_expired"
    SESSION_MISSING = "session_missing"
    IP_NOT_WHITELISTED = "ip_not_whitelisted"
    RATE_LIMITED = "rate_limited"
    BROKER_UNAVAILABLE = "broker_unavailable"
    BROKER_REJECTED = "broker_rejected"
    EXCHANGE_REJECTED = "exchange_rejected"
    KILL_SWITCH = "kill_switch"
    BREAKER_OPEN = "breaker_open"
    RISK_LIMIT = "risk_limit"
    LOOKALIKE = "lookalike"
    EXPIRED = "expired"
    BASKET_STOPPED = "basket_stopped"
    UNRESOLVED = "unresolved"
    TIMEOUT = "timeout"
    BOOK_GONE = "book_gone"


class Progress(StrEnum):
    """How far a failed request got. Only `NOTHING_SENT` is proof that the broker has nothing."""

    NOTHING_SENT = "nothing_sent"
    MAYBE_SENT = "maybe_sent"
    ANSWERED = "answered"


class Phase(StrEnum):
    """Where a request was when it failed, in the order in which a request passes them."""

    POOL = "pool"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    WRITE = "write"
    WAIT = "wait"
    READ = "read"


class GatewayError(Exception):
    """Base of every error that an adapter raises on purpose.

    `retry_after_s` is set where the broker said how long to stay away.
    """

    retry_after_s: float | None = None

    def __init__(
        self,
        message: str,
        *,
        reason: ReasonCode,
        broker_code: str | None = None,
        broker_message: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.broker_code = broker_code
        self.broker_message = broker_message


class Denied(GatewayError):
    """We refuse; nothing was sent."""


class NotSupported(Denied):
    """This broker, or our adapter for it, does not offer that; nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=ReasonCode.NOT_SUPPORTED)


class Refused(GatewayError):
    """An answer on the adapter's list of definitive refusals.

    `repeatable`: the dossier proves that nothing was created and the same request may be sent
    again (with the same tag). `retry_after_s`: how long the broker asked to wait.
    `broker_order_id`: set where the broker keeps the rejected order in its book.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: ReasonCode,
        broker_code: str | None = None,
        broker_message: str | None = None,
        broker_order_id: str | None = None,
        repeatable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            message, reason=reason, broker_code=broker_code, broker_message=broker_message
        )
        self.broker_order_id = broker_order_id
        self.repeatable = repeatable
        self.retry_after_s = retry_after_s


class LoginRefused(GatewayError):
    """The broker refused a login step (password, OTP, code). Repeating it may lock the account.

    `restart`: the pending login is dead, begin again; otherwise the same step may be answered
    once more by a person (a mistyped OTP). `attempts_left`: how often the broker will still
    listen, where it says so; 0: it says that the account is locked.
    """

    def __init__(
        self,
        message: str,
        *,
        restart: bool,
        reason: ReasonCode = ReasonCode.BROKER_REJECTED,
        broker_code: str | None = None,
        broker_message: str | None = None,
        attempts_left: int | None = None,
    ) -> None:
        super().__init__(
            message, reason=reason, broker_code=broker_code, broker_message=broker_message
        )
        self.restart = restart
        self.attempts_left = attempts_left


class LoginExpired(GatewayError):
    """The session is dead at the broker.

    `created_nothing`: the dossier proves that a write answered this way created no order.
    """

    def __init__(
        self,
        message: str,
        *,
        created_nothing: bool,
        broker_code: str | None = None,
        broker_message: str | None = None,
    ) -> None:
        super().__init__(
            message,
            reason=ReasonCode.SESSION_EXPIRED,
            broker_code=broker_code,
            broker_message=broker_message,
        )
        self.created_nothing = created_nothing


class NotSent(GatewayError):
    """No byte of the request left this host (pool, DNS, connect or TLS failed)."""

    progress = Progress.NOTHING_SENT

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message, reason=ReasonCode.BROKER_UNAVAILABLE)
        self.phase = phase


class OutcomeUnknown(GatewayError):
    """Bytes of the request may have reached the broker and no usable answer came back."""

    def __init__(
        self,
        message: str,
        *,
        progress: Progress,
        phase: Phase,
        status: int | None = None,
        reason: ReasonCode = ReasonCode.BROKER_UNAVAILABLE,
        broker_code: str | None = None,
        broker_message: str | None = None,
    ) -> None:
        super().__init__(
            message, reason=reason, broker_code=broker_code, broker_message=broker_message
        )
        self.progress = progress
        self.phase = phase
        self.status = status


class BadAnswer(OutcomeUnknown):
    """A whole answer arrived, but it proves neither success nor a definitive refusal."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: ReasonCode = ReasonCode.BROKER_UNAVAILABLE,
        broker_code: str | None = None,
        broker_message: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            message,
            progress=Progress.ANSWERED,
            phase=Phase.READ,
            status=status,
            reason=reason,
            broker_code=broker_code,
            broker_message=broker_message,
        )
        self.retry_after_s = retry_after_s

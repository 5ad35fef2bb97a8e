"""Every setting, its type and its default. What depends on the brokers is in `checks`."""

from __future__ import annotations

import ipaddress
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from gateway.alerts.alert import Rule
from gateway.prechecks.limits import NO_LIMITS, RiskLimits, problems_of_limits


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`. A name other than localhost does not count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not an IP address") from None


_IpAddress = Annotated[str, AfterValidator(_ip_address)]
_Ahead = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,2}m|[1-9]h|1[0-2]h)$")]
_Percent = Annotated[Decimal, Field(gt=0, le=50)]
_Cash = Annotated[Decimal, Field(gt=0, le=1_000_000_000_000)]
_Multiplier = Annotated[Decimal, Field(ge=0)]


class _Section(BaseModel):
    # Numbers may be written where a text is wanted (an account named 123), never the reverse.
    model_config = ConfigDict(
        extra="forbid", frozen=True, coerce_numbers_to_str=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_the_default(cls, data: Any) -> Any:
        # In YAML a key whose contents are all commented out is null, not absent.
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields
        return {
            key: value
            for key, value in data.items()
            if value is not None or key not in fields or fields[key].is_required()
        }


class Tls(_Section):
    """PEM files of the listener. `client_ca`: only clients with a certificate of it get in, but
    for those that `client_crl`, its list, takes back.

    `client_verify` true insists on that CA, so that a set-up which lost it does not start open.
    """

    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_crl: Path | None = None
    client_verify: bool | None = None
    min_version: Literal["1.2", "1.3"] = "1.3"


class RateLimits(_Section):
    """How often each API key may call. Brokers' limits are another matter: `Limits`."""

    requests_per_second: Annotated[int, Field(ge=1, le=100_000)] = 1000
    orders_per_second: Annotated[int, Field(ge=1, le=100_000)] = 500


class Server(_Section):
    """Where the API listens. Port 0 lets the system choose one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    tls: Tls = Tls()
    rate_limits: RateLimits = RateLimits()


def _risk_limits(given: Any) -> RiskLimits:
    if isinstance(given, RiskLimits):
        return given
    if not isinstance(given, dict):
        raise ValueError("is a section: write `risk: {max_order_value: 500000}`")
    try:
        limits = msgspec.convert(
            {key: value for key, value in given.items() if value is not None},
            RiskLimits,
            strict=False,
            str_keys=True,
        )
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    for field, problem in problems_of_limits(limits):
        raise ValueError(f"{field}: {problem}")
    return limits


_Risk = Annotated[RiskLimits, PlainValidator(_risk_limits)]


class Prechecks(_Section):
    """`budget_ms`: how long the checks of an order may wait for a broker's figures."""

    budget_ms: Annotated[int, Field(ge=0, le=5000)] = 150


class Session(_Section):
    """`warn_ahead`: how long before its end a session is warned of, as 30m or 2h.

    `most_refused`: after so many refused logins in a row none is tried without the owner's word.
    """

    warn_ahead: tuple[_Ahead, ...] = ("30m", "5m")
    most_refused: Annotated[int, Field(ge=1, le=10)] = 3

    def warnings(self) -> tuple[timedelta, ...]:
        """Return `warn_ahead` as lengths of time, the longest first."""
        minutes = {"m": 1, "h": 60}
        found = {int(each[:-1]) * minutes[each[-1]] for each in self.warn_ahead}
        return tuple(timedelta(minutes=each) for each in sorted(found, reverse=True))


class Logging(_Section):
    """`json`: one object a line, with the request's id and `traceparent` where there is one."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Limits(_Section):
    """`orders_per_second`: place, modify and cancel together, per exchange segment.

    Where the file has none, the loader puts the adapter's own figure in. `broker_windows`:
    whether the broker's limits by minute, hour and day are kept to.
    """

    orders_per_second: Annotated[int, Field(ge=1, le=1000)] = 8
    broker_windows: Literal["enforce", "ignore"] = "enforce"


class Instruments(_Section):
    """When masters are fetched, in India, Monday to Friday, and which are too short to be true.

    `most_lost_percent`: of the rows that have not expired, on one exchange or in all.
    """

    refresh_at: time = time(8, 15)
    most_lost_percent: Annotated[int, Field(ge=1, le=100)] = 30


class ProtectBand(_Section):
    """How far from the last price a protected market order may fill, in percent."""

    EQ: _Percent = Decimal("1.0")
    FUT: _Percent = Decimal("0.5")
    OPT: _Percent = Decimal("10")


class Account(_Section):
    """One broker login. Without `login` the adapter's first kind; `base_urls` only overrides.

    `login_at`: when its login of a trading day is begun, in India, or told of where it needs a
    person. `practice_cash`: the rupees that a practice account begins with.
    """

    id: str
    broker: str
    base_urls: dict[str, str] = {}
    ca_file: Path | None = None
    login: str | None = None
    login_at: time | None = None
    source_address: _IpAddress | None = None
    registered_ips: tuple[_IpAddress, ...] = ()
    exclusive: bool = False
    market_hours: Literal["enforce", "ignore"] = "enforce"
    limits: Limits = Limits()
    algo_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    market_orders: Literal["protect", "reject", "pass"] = "protect"
    protect_band: ProtectBand = ProtectBand()
    quotes_from: str | None = None
    risk: _Risk = NO_LIMITS
    practice_cash: _Cash | None = None


class Webhook(_Section):
    """Where alerts are posted to. `rules` empty: all of them; `audit_heads`: the log's head too."""

    name: str
    url: str
    rules: tuple[Rule, ...] = ()
    audit_heads: bool = False
    ca_file: Path | None = None


class Email(_Section):
    """Where alerts are mailed to. Without `port`, 465 for ssl and 587 otherwise."""

    name: str
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["starttls", "ssl", "none"] = "starttls"
    username: str | None = None
    sender: str
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()
    ca_file: Path | None = None


class Alerts(_Section):
    """Who is told what of the gateway's troubles, and how often. See docs/alerts.md."""

    webhooks: tuple[Webhook, ...] = ()
    emails: tuple[Email, ...] = ()
    repeat_after_s: Annotated[int, Field(ge=1, le=86400)] = 900
    most_per_hour: Annotated[int, Field(ge=1, le=1000)] = 30
    most_waiting: Annotated[int, Field(ge=1, le=100_000)] = 1000
    max_age_hours: Annotated[int, Field(ge=1, le=168)] = 24
    unresolved_after_s: Annotated[int, Field(ge=1, le=86400)] = 60
    disk_free_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 1024
    audit_head_every_s: Annotated[int, Field(ge=1, le=86400)] = 3600


class Audit(_Section):
    """How the audit log is signed, published and kept.

    `anchor_file` gets every signed checkpoint, best on another machine or append-only.
    `archive_dir`: where rows older than `keep_days` go; without it they are removed.
    """

    anchor_file: Path | None = None
    archive_dir: Path | None = None
    keep_days: Annotated[int, Field(ge=1, le=36500)] = 1827
    checkpoint_rows: Annotated[int, Field(ge=10, le=100_000)] = 1000
    checkpoint_minutes: Annotated[int, Field(ge=1, le=1440)] = 10


class Settings(_Section):
    """The whole configuration. Paths are absolute once loaded."""

    data_dir: Path = Path("data")
    server: Server = Server()
    session: Session = Session()
    logging: Logging = Logging()
    instruments: Instruments = Instruments()
    prechecks: Prechecks = Prechecks()
    risk: _Risk = NO_LIMITS
    alerts: Alerts = Alerts()
    audit: Audit = Audit()
    groups: dict[str, dict[str, _Multiplier]] = {}
    accounts: tuple[Account, ...] = ()

    def account(self, account_id: str) -> Account:
        """Return the account of that id. Raises `KeyError`."""
        for account in self.accounts:
            if account.id == account_id:
                return account
        raise KeyError(account_id)

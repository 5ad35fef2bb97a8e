"""API keys: `bg_live_<id>_<secret><checksum>`, shown once, kept as a SHA-256.

The secret is 32 random bytes, so a plain hash is enough: there is nothing to guess slowly. The
checksum only tells a mistyped or cut key from a wrong one, before any store is asked.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

_PREFIX = "bg_live"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 10
_SECRET_LENGTH = 43  # 32 bytes in base 62
_CHECKSUM_LENGTH = 6  # 32 bits in base 62
_SHAPE = re.compile(
    rf"{_PREFIX}_([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
)
_LONGEST_NAME = 64


class Scope(StrEnum):
    """What a key may do (design section 4). A key holds a set of these."""

    READ = "read"
    TRADE = "trade"
    LOGIN = "login"
    OPERATE = "operate"
    ADMIN = "admin"


_IMPLIED: dict[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.TRADE: frozenset({Scope.TRADE, Scope.READ}),
    Scope.LOGIN: frozenset({Scope.LOGIN}),
    Scope.OPERATE: frozenset({Scope.OPERATE, Scope.TRADE, Scope.READ, Scope.LOGIN}),
    Scope.ADMIN: frozenset(Scope),
}


class ApiKeyError(ValueError):
    """A key that is not well formed, or one that cannot be made as asked. Never quotes a key."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key. `accounts` is None for all accounts; times are aware.

    `name` is the API client: it survives rotation, and idempotency keys belong to it.
    `source_addresses` are networks such as `10.0.0.0/24`; None allows a caller from anywhere.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None
    expires_at: datetime | None
    created_at: datetime
    hash: bytes
    source_addresses: frozenset[str] | None = None

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r}, name={self.name!r}, scopes={sorted(self.scopes)})"

    def allows(self, scope: Scope) -> bool:
        """Whether one of the key's scopes is or includes `scope`."""
        return any(scope in _IMPLIED[held] for held in self.scopes)

    def allows_account(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts

    def allows_source(self, address: str | None) -> bool:
        """Whether a caller at `address` may use the key. An address that is not known may not."""
        if self.source_addresses is None:
            return True
        try:
            found = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in ipaddress.ip_network(network) for network in self.source_addresses)

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def matches(self, presented: PresentedKey) -> bool:
        """Whether this is the key that was presented, in time that tells nothing."""
        return hmac.compare_digest(self.hash, presented.hash)


class PresentedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed key from a request: the id to look it up by, and its hash to compare."""

    id: str
    hash: bytes

    def __repr__(self) -> str:
        return f"PresentedKey(id={self.id!r})"


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A new key: `text` is shown once and never again, `record` is stored."""

    text: str
    record: ApiKey

    def __repr__(self) -> str:
        return f"Minted(record={self.record!r})"


def mint(
    name: str,
    scopes: Iterable[str],
    accounts: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    *,
    source_addresses: Iterable[str] | None = None,
    now: datetime | None = None,
) -> Minted:
    """Make a new key.

    Raises:
        ApiKeyError: names what is wrong with the request for a key.
    """
    now = now or datetime.now(UTC)
    body = f"{_PREFIX}_{_random_id()}_{_base62(secrets.token_bytes(32), _SECRET_LENGTH)}"
    text = body + _checksum(body)
    record = ApiKey(
        id=body.split("_")[2],
        name=_checked_name(name),
        scopes=_checked_scopes(scopes),
        accounts=_checked_accounts(accounts),
        expires_at=_checked_expiry(expires_at, now),
        created_at=now,
        hash=_hash(text),
        source_addresses=_checked_networks(source_addresses),
    )
    return Minted(text=text, record=record)


def parse(text: str) -> PresentedKey:
    """Read a key as a client sent it, without asking any store.

    Raises:
        ApiKeyError: it is not a key of ours, or a character of it is wrong.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ApiKeyError(f"not a brokergate API key: it has the form {_PREFIX}_<id>_<secret>")
    body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    if checksum != _checksum(body):
        raise ApiKeyError("the API key is mistyped or cut: its checksum does not fit")
    return PresentedKey(id=shape[1], hash=_hash(text))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4, "big"), _CHECKSUM_LENGTH)


def _random_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def _base62(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ApiKeyError(f"name: 1 to {_LONGEST_NAME} printable characters, no spaces around it")
    return name


def _checked_scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    known = ", ".join(Scope)
    if isinstance(scopes, str):
        raise ApiKeyError("scopes: a list is wanted, not one text")
    wanted = list(scopes)
    if not wanted:
        raise ApiKeyError(f"scopes: at least one of {known}")
    for scope in wanted:
        if scope not in _IMPLIED:
            raise ApiKeyError(f"scopes: {scope!r} is none of {known}")
    return frozenset(Scope(scope) for scope in wanted)


def _checked_accounts(accounts: Iterable[str] | None) -> frozenset[str] | None:
    if accounts is None:
        return None
    chosen = frozenset(accounts)
    if not chosen:
        raise ApiKeyError("accounts: leave it out for all accounts; an empty list allows none")
    return chosen


def _checked_networks(addresses: Iterable[str] | None) -> frozenset[str] | None:
    if addresses is None:
        return None
    networks = []
    for address in addresses:
        try:
            networks.append(str(ipaddress.ip_network(address)))
        except ValueError as error:
            raise ApiKeyError(
                f"source_addresses: {address!r} is no address or network; write 192.0.2.7,"
                f" 10.0.0.0/24 or 2001:db8::/64 ({error})"
            ) from None
    if not networks:
        raise ApiKeyError("source_addresses: leave it out for anywhere; an empty list allows none")
    return frozenset(networks)


def _checked_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise ApiKeyError("expires_at: needs an offset, as in 2026-12-31T00:00:00+05:30")
    if expires_at <= now:
        raise ApiKeyError("expires_at: is in the past")
    return expires_at

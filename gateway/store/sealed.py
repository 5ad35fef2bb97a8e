"""Sealed things on disk: broker credentials, session tokens and the audit key.

Functions over an open connection; the keyring does the cryptography, this keeps the blobs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.orders.times import now_us
from gateway.secrets.passphrase import Stretching
from gateway.secrets.sealing import Keyring, SealBroken
from gateway.store.audit import Signer

_VERIFIER = "master_key_verifier"
_AUDIT_KEY = "audit_key"
_SIGNING_KEY = "audit_signing_key"
_PUBLIC_KEY = "audit_public_key"
_STRETCHING = "passphrase"
_SYSTEM = "@system"


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session row: what may be shown, and the secret part already opened (or None)."""

    account: str
    state: str
    data: bytes
    secret: bytes | None


def check_master_key(connection: apsw.Connection, keyring: Keyring) -> None:
    """Refuse a wrong master key before anything else is opened; remember the first one.

    Raises: `WrongMasterKey`, `SealBroken`.
    """
    verifier = meta(connection, _VERIFIER)
    if verifier is None:
        with connection:
            set_meta(connection, _VERIFIER, keyring.verifier())
        return
    keyring.check(verifier)


def rewrap(connection: apsw.Connection, keyring: Keyring, successor: Keyring) -> int:
    """Wrap every data key by `successor` instead, inside the caller's transaction.

    Returns how many. No sealed value changes, the audit chain's key neither. Raises: `SealError`.
    """
    rows: Any = connection.execute("SELECT account, wrapped FROM data_keys").fetchall()
    for account, wrapped in rows:
        connection.execute(
            "UPDATE data_keys SET wrapped=? WHERE account=?",
            (keyring.rewrap(bytes(wrapped), successor), account),
        )
    set_meta(connection, _VERIFIER, successor.verifier())
    return len(rows)


def set_stretching(connection: apsw.Connection, stretching: Stretching | None) -> None:
    """Keep how the master key's passphrase is stretched; None where a key has no passphrase."""
    if stretching is None:
        connection.execute("DELETE FROM meta WHERE name=?", (_STRETCHING,))
    else:
        set_meta(connection, _STRETCHING, msgspec.json.encode(stretching))


def stretching_of(journal: Path) -> Stretching | None:
    """How a journal's passphrase is stretched; None where its key is no passphrase.

    Raises: `SealBroken`, `apsw.Error`.
    """
    if not journal.is_file() or journal.stat().st_size == 0:
        return None
    connection = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5000)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").get is None:
            return None
        found = meta(connection, _STRETCHING)
    finally:
        connection.close()
    try:
        return msgspec.json.decode(found, type=Stretching) if found is not None else None
    except msgspec.MsgspecError as error:
        raise SealBroken("the parameters stored for the passphrase are damaged") from error


def audit_key(connection: apsw.Connection, keyring: Keyring) -> bytes:
    """Return the audit chain's HMAC key, making it on first use."""
    return _system_key(connection, keyring, _AUDIT_KEY)


def audit_signer(connection: apsw.Connection, keyring: Keyring) -> Signer:
    """Return the key that signs checkpoints, making it on first use.

    Its public half is kept in the open beside it, for those who check without the vault.
    """
    signer = Signer(_system_key(connection, keyring, _SIGNING_KEY))
    if public_key(connection) != signer.public_key:
        with connection:
            set_meta(connection, _PUBLIC_KEY, signer.public_key.encode())
    return signer


def open_audit_keys(connection: apsw.Connection, keyring: Keyring) -> tuple[bytes, str]:
    """The HMAC key and the public key, for one who only reads. Raises: `SealError`."""
    verifier = meta(connection, _VERIFIER)
    keys = [meta(connection, name) for name in (_AUDIT_KEY, _SIGNING_KEY)]
    row: Any = connection.execute(
        "SELECT wrapped FROM data_keys WHERE account=?", (_SYSTEM,)
    ).fetchone()
    if verifier is None or row is None or keys[0] is None or keys[1] is None:
        raise SealBroken("the journal holds no keys of an audit log")
    keyring.check(verifier)
    wrapped = bytes(row[0])
    hmac_key = keyring.open(wrapped, _SYSTEM, _AUDIT_KEY, keys[0])
    signing_key = keyring.open(wrapped, _SYSTEM, _SIGNING_KEY, keys[1])
    return hmac_key, Signer(signing_key).public_key


def public_key(connection: apsw.Connection) -> str | None:
    """The public key that the journal names. Whoever can write the file can write another."""
    found = meta(connection, _PUBLIC_KEY)
    return found.decode("ascii", errors="replace") if found is not None else None


def _system_key(connection: apsw.Connection, keyring: Keyring, name: str) -> bytes:
    sealed = meta(connection, name)
    if sealed is not None:
        return keyring.open(_data_key(connection, keyring, _SYSTEM), _SYSTEM, name, sealed)
    key = os.urandom(32)
    with connection:
        wrapped = _data_key(connection, keyring, _SYSTEM)
        set_meta(connection, name, keyring.seal(wrapped, _SYSTEM, name, key))
    return key


def set_credentials(
    connection: apsw.Connection, keyring: Keyring, account: str, fields: dict[str, str]
) -> None:
    """Replace an account's credentials as a whole, inside the caller's transaction."""
    wrapped = _data_key(connection, keyring, account)
    connection.execute("DELETE FROM vault WHERE account=?", (account,))
    for field, value in fields.items():
        blob = keyring.seal(wrapped, account, field, value.encode())
        connection.execute(
            "INSERT INTO vault (account, field, blob, updated_us) VALUES (?,?,?,?)",
            (account, field, blob, now_us()),
        )


def get_credentials(connection: apsw.Connection, keyring: Keyring, account: str) -> dict[str, str]:
    """Return an account's credentials, empty when none were set."""
    rows: list[Any] = connection.execute(
        "SELECT field, blob FROM vault WHERE account=?", (account,)
    ).fetchall()
    if not rows:
        return {}
    wrapped = _data_key(connection, keyring, account)
    return {field: keyring.open(wrapped, account, field, blob).decode() for field, blob in rows}


def list_credentials(connection: apsw.Connection) -> list[tuple[str, str, int]]:
    """Return (account, field, updated_us) of everything in the vault, no values."""
    rows: list[Any] = connection.execute(
        "SELECT account, field, updated_us FROM vault ORDER BY account, field"
    ).fetchall()
    return rows


def put_session(
    connection: apsw.Connection,
    keyring: Keyring,
    account: str,
    state: str,
    data: bytes,
    secret: bytes | None,
) -> None:
    """Write an account's session; `secret` is sealed, None erases it.

    What stood there before is overwritten, not only let go of.
    """
    before = connection.execute("PRAGMA secure_delete").get
    connection.execute("PRAGMA secure_delete=ON")
    blob = None
    if secret is not None:
        blob = keyring.seal(_data_key(connection, keyring, account), account, "session", secret)
    connection.execute(
        "INSERT OR REPLACE INTO sessions (account, state, blob, data) VALUES (?,?,?,?)",
        (account, state, blob, data),
    )
    connection.execute(f"PRAGMA secure_delete={before}")


def has_token(connection: apsw.Connection, account: str) -> bool:
    row: Any = connection.execute(
        "SELECT 1 FROM sessions WHERE account=? AND blob IS NOT NULL", (account,)
    ).fetchone()
    return row is not None


def note_session(connection: apsw.Connection, account: str, state: str, data: bytes) -> None:
    """Write what may be shown of an account's session, and leave its token as it is."""
    connection.execute(
        "INSERT INTO sessions (account, state, data) VALUES (?,?,?)"
        " ON CONFLICT (account) DO UPDATE SET state=excluded.state, data=excluded.data",
        (account, state, data),
    )


def load_sessions(connection: apsw.Connection, keyring: Keyring) -> list[StoredSession]:
    rows: list[Any] = connection.execute(
        "SELECT account, state, blob, data FROM sessions"
    ).fetchall()
    stored = []
    for account, state, blob, data in rows:
        secret = None
        if blob is not None:
            secret = keyring.open(_data_key(connection, keyring, account), account, "session", blob)
        stored.append(StoredSession(account=account, state=state, data=data, secret=secret))
    return stored


def _data_key(connection: apsw.Connection, keyring: Keyring, account: str) -> bytes:
    row: Any = connection.execute(
        "SELECT wrapped FROM data_keys WHERE account=?", (account,)
    ).fetchone()
    if row is not None:
        return bytes(row[0])
    wrapped = keyring.new_data_key()
    connection.execute("INSERT INTO data_keys (account, wrapped) VALUES (?,?)", (account, wrapped))
    return wrapped


def meta(connection: apsw.Connection, name: str) -> bytes | None:
    row: Any = connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
    return bytes(row[0]) if row else None


def set_meta(connection: apsw.Connection, name: str, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?,?)", (name, value))

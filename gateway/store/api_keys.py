"""API keys' rows beyond adding and revoking: functions over an open connection, for the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import apsw
import msgspec

from gateway.secrets.api_keys import ApiKey
from gateway.store import sealed

_USED = "keys_used"


def rotate(
    connection: apsw.Connection, key_id: str, successor: ApiKey, ending: ApiKey | None, at_us: int
) -> bool:
    """Put `successor` in and end the old key, inside the caller's transaction."""
    if ending is None:
        connection.execute(
            "UPDATE api_keys SET revoked_us=? WHERE id=? AND revoked_us IS NULL", (at_us, key_id)
        )
    else:
        connection.execute(
            "UPDATE api_keys SET data=? WHERE id=? AND revoked_us IS NULL",
            (msgspec.json.encode(ending), key_id),
        )
    if connection.changes() == 0:
        return False
    connection.execute(
        "INSERT INTO api_keys (id, name, data) VALUES (?,?,?)",
        (successor.id, successor.name, msgspec.json.encode(successor)),
    )
    return True


def save_use(connection: apsw.Connection, used: dict[str, datetime]) -> None:
    """Note the last use of keys, and forget that of keys that were revoked."""
    rows: Any = connection.execute("SELECT id FROM api_keys WHERE revoked_us IS NULL")
    live = {key_id for (key_id,) in rows}
    kept = {key_id: at for key_id, at in (load_use(connection) | used).items() if key_id in live}
    sealed.set_meta(connection, _USED, msgspec.json.encode(kept))


def load_use(connection: apsw.Connection) -> dict[str, datetime]:
    data = sealed.meta(connection, _USED)
    return msgspec.json.decode(data, type=dict[str, datetime]) if data is not None else {}

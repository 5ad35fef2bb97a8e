"""How long each part of a call may take."""

from __future__ import annotations

import msgspec


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `connect_s` bounds everything before the first byte: a free connection, DNS,
    TCP and TLS. `answer_s` bounds everything after it: writing, waiting and reading.
    """

    connect_s: float = 3.0
    answer_s: float = 10.0

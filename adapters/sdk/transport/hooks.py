"""Where a test may watch a write go by. Both are None, and cost a comparison, in earnest."""

from __future__ import annotations

from collections.abc import Callable

# Called once the request of a call with a gate was handed to its socket.
after_write: Callable[[], None] | None = None
# Called when the whole answer to such a call has arrived, before anybody looks at it.
before_read: Callable[[], None] | None = None

"""Gates that record what the transport did with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class RecordingGate:
    """Runs a test's own code at each of the two moments, and counts the calls."""

    def __init__(
        self,
        *,
        on_ready: Callable[[], Awaitable[None] | None] | None = None,
        on_check: Callable[[], None] | None = None,
    ) -> None:
        self.calls: list[str] = []
        self._on_ready = on_ready
        self._on_check = on_check

    async def ready(self) -> None:
        self.calls.append("ready")
        if self._on_ready is not None:
            waiting = self._on_ready()
            if waiting is not None:
                await waiting

    def check(self) -> None:
        self.calls.append("check")
        if self._on_check is not None:
            self._on_check()

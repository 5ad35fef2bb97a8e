"""What the console knows of the gateway, and how old that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui import moment
from tui.link import Figures


@dataclass
class Reading:
    """The newest answer to one question. `error` is why the newest attempt gave none."""

    value: Any = None
    read_at: float | None = None
    error: str | None = None

    def took(self, value: Any) -> None:
        self.value, self.read_at, self.error = value, moment.monotonic(), None

    @property
    def age_s(self) -> float:
        return 0.0 if self.read_at is None else moment.monotonic() - self.read_at


@dataclass
class Model:
    """Readings by name, the state of the connection, and what the key may do.

    `gone_since` is set while the gateway does not answer; everything shown is stale then.
    """

    readings: dict[str, Reading] = field(default_factory=dict)
    connected: bool = False
    gone_since: float | None = None
    gone_why: str = ""
    scopes: frozenset[str] = frozenset()
    read_only: bool = False
    alarm: str = ""

    def reading(self, name: str) -> Reading:
        return self.readings.setdefault(name, Reading())

    def value(self, name: str, field_name: str) -> list[Any]:
        """Return a list of the newest answer, empty where there is none yet."""
        answer = self.reading(name).value
        return list(answer[field_name]) if isinstance(answer, dict) else []

    def may(self, scope: str) -> bool:
        return not self.read_only and scope in self.scopes

    @property
    def accounts(self) -> list[dict[str, Any]]:
        return self.value("accounts", "accounts")

    @property
    def unresolved(self) -> list[dict[str, Any]]:
        return self.value("unresolved", "unresolved")

    @property
    def figures(self) -> Figures | None:
        value = self.reading("figures").value
        return value if isinstance(value, Figures) else None

    @property
    def kill(self) -> dict[str, Any] | None:
        value = self.reading("kill").value
        return value if isinstance(value, dict) else None

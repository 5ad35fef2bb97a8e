"""What is wrong with a configuration, said so that it can be mended in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One mistake: where it was written, which key, what is wrong with it, and what to do.

    `source` is a file or an environment variable. `key` is empty for a mistake about the source
    as a whole; `line` is 0 where the source has no lines.
    """

    source: str
    key: str
    problem: str
    fix: str
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.source}, line {self.line}" if self.line else self.source
        if self.key:
            where += f": {self.key}"
        return f"{where}: {self.problem}. {self.fix}."


class ConfigError(Exception):
    """The configuration cannot be used. `mistakes` holds every one, in the order of the file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line))
        count = len(self.mistakes)
        title = "1 mistake" if count == 1 else f"{count} mistakes"
        lines = [f"{title} in the configuration:", *(f"  {mistake}" for mistake in self.mistakes)]
        super().__init__("\n".join(lines))


def key_of(path: Path) -> str:
    """Write a path as people do: `accounts[1].limits.orders_per_second`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

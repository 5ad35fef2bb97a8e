"""A clock that moves only when it is told to."""

from __future__ import annotations


class Clock:
    def __init__(self, at: float = 1000.0) -> None:
        self.now = at

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

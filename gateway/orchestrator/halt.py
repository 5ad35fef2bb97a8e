"""Whether anything may be sent at all: compared just before the first byte of every order."""

from __future__ import annotations


class Halt:
    """A switch in memory. `epoch` changes with every change of it, so a sender can compare."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.epoch = 0

    @property
    def engaged(self) -> bool:
        return self.reason is not None

    def engage(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            self.epoch += 1

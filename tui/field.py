"""A line to type in that leaves the kill switch's key alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.widgets import Input

if TYPE_CHECKING:
    from tui.app import Console


class Field(Input):
    """`!` opens the kill switch here too. Where it belongs in the text, paste the text."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        stops = key in cast("Console", self.app).kill_keys
        return not stops and super().check_consume_key(key, character)

"""A line to type in that leaves the kill switch's key alone."""

from __future__ import annotations

from textual.widgets import Input


class Field(Input):
    """`!` opens the kill switch here too. Where it belongs in the text, paste the text."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "exclamation_mark" and super().check_consume_key(key, character)

"""A line to type in that leaves the kill switch's key alone."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class Field(Input):
    """`!` opens the kill switch here too. Where it belongs in the text, paste the text."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "exclamation_mark" and super().check_consume_key(key, character)


class LeadingField(Field):
    """Enter goes on to the field `leads_to`, before any key typed after it is looked at.

    Over a slow line, keys come in bunches. The app hands each to the field in focus and the field
    takes it later, so a focus moved on `Submitted` would leave the next field's text in this one.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "lead", show=False, priority=True),
    ]

    def __init__(self, value: str | None = None, *, placeholder: str, id: str, leads_to: str):
        super().__init__(value, placeholder=placeholder, id=id)
        self._leads_to = leads_to

    async def action_lead(self) -> None:
        taken = asyncio.Event()
        if self.call_later(taken.set):
            await taken.wait()
        self.screen.set_focus(self.screen.query_one(f"#{self._leads_to}"))

"""Settle an unresolved leg on the operator's word, with a typed reason."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from tui.dialogs.base import Dialog
from tui.dialogs.confirm import Confirm
from tui.field import Field
from tui.link.api import segment
from tui.model import Model
from tui.panel import write


class ResolveDialog(Dialog[None]):
    """`adopt` takes an order of the broker's book as the leg's; `absent` ends the leg for good."""

    def __init__(self, row: dict[str, Any], action: str) -> None:
        super().__init__()
        self._row = row
        self._action = action
        self._offered = False

    def compose(self) -> ComposeResult:
        with Vertical():
            title = "Adopt an order as this leg" if self._action == "adopt" else "Declare it absent"
            yield Static(title, classes="title")
            yield Static("", id="leg", markup=False)
            if self._action == "adopt":
                yield Static("", id="suspects", markup=False)
                broker = self._row["leg"]["broker"]
                yield Field(placeholder=f"order id at {broker}", id="order")
            else:
                yield Static(
                    "Final, and on your word: an order that exists after all is followed by"
                    " nobody.",
                )
            yield Field(placeholder="what you saw, and where (3 to 500 characters)", id="reason")
            yield Static("", classes="said", markup=False)
            yield Static("Enter in the reason goes on · Esc leaves", classes="keys")

    def on_mount(self) -> None:
        self._draw()

    def show(self, model: Model) -> None:
        """Follow the leg: its suspects may come, and it may be settled, while this is open."""
        leg_id = self._row["leg"]["leg_id"]
        newest = next((row for row in model.unresolved if row["leg"]["leg_id"] == leg_id), None)
        if newest is not None:
            self._row = newest
            self._draw()
        elif model.connected and model.reading("unresolved").error is None:
            self.say("! It is no longer unresolved: leave and look at the order.", bad=True)

    def _draw(self) -> None:
        write(self, "#leg", leg_words(self._row))
        if self._action != "adopt":
            return
        suspects = self._row["suspects"]
        words = "\n".join(map(suspect_words, suspects)) or "  no suspect has been seen yet"
        write(self, "#suspects", words)
        field = self.query_one("#order", Input)
        if len(suspects) == 1 and not field.value and not self._offered:
            self._offered = True
            field.value = suspects[0]["broker_order_id"]
            # Selected, so that whoever types another id replaces it.
            field.selection = Selection(0, len(field.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "order":
            self.query_one("#reason").focus()
            return
        body = {"action": self._action, "reason": event.value.strip()}
        if not 3 <= len(body["reason"]) <= 500:
            self.say("Type a reason of 3 to 500 characters.", bad=True)
            return
        if self._action == "adopt":
            body["broker_order_id"] = self.query_one("#order", Input).value.strip()
            if not body["broker_order_id"]:
                self.say("Type the order's id at the broker.", bad=True)
                return
        self.run_worker(self._resolve(body), exclusive=True)

    async def _resolve(self, body: dict[str, str]) -> None:
        leg = self._row["leg"]
        what = (
            f"adopt order {body['broker_order_id']}"
            if self._action == "adopt"
            else "declare it absent, for good"
        )
        question = Confirm(
            "On your word?", [leg_words(self._row), what, f"because: {body['reason']}"], "Settle it"
        )
        if not await self.app.push_screen_wait(question):
            return
        answer = await self.ask("POST", f"/v1/unresolved/{segment(leg['leg_id'])}/resolve", body)
        self.console.feed.want("unresolved", "accounts", "orders")
        if answer is not None:
            self.dismiss(None)
            self.app.notify(f"Settled: {what}")


def leg_words(row: dict[str, Any]) -> str:
    """Name the leg by what a person can compare at the broker."""
    leg = row["leg"]
    order = row.get("request") or {}
    side = " ".join(
        str(part)
        for part in (order.get("side"), leg["quantity"], order.get("instrument"))
        if part is not None
    )
    price = leg["sent"]["price"] or leg["price"] or "market"
    return (
        f"{leg['account']} ({leg['broker']}): {side} {leg['sent']['order_type']} {price}"
        f" · tag {leg['broker_tag']} · {leg['state']}"
    )


def suspect_words(suspect: dict[str, Any]) -> str:
    parts = [
        suspect["broker_order_id"],
        suspect["side"],
        f"{suspect['filled_quantity']}/{suspect['quantity']}",
        suspect["order_type"],
        suspect["price"],
        suspect["product"],
        suspect["state"] or suspect["raw_state"],
        (suspect["placed_at"] or "")[11:19],
        f"tag {suspect['broker_tag']}" if suspect["broker_tag"] else "no tag",
    ]
    return "  suspect " + " ".join(str(part) for part in parts if part)

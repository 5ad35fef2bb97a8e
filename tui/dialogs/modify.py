"""Change an order that is live: what is typed changes, what is left empty stays."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from tui.dialogs.base import Dialog
from tui.dialogs.confirm import Confirm
from tui.dialogs.order import order_words
from tui.field import Field
from tui.link.api import segment
from tui.words import shown

_CHANGES = ("quantity", "price", "trigger_price", "order_type")
_SIGNS = {"applied": "✓", "refused": "✗", "not_live": "–", "unknown": "?"}


class ModifyDialog(Dialog[None]):
    """Every live leg is changed, or one account's."""

    DEFAULT_CSS = "ModifyDialog Horizontal Input { width: 1fr; }"

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__()
        self._order = order

    def compose(self) -> ComposeResult:
        request = self._order["request"]
        with Vertical():
            yield Static(f"Modify {order_words(self._order)}", classes="title", markup=False)
            yield Static("\n".join(map(_leg_words, self._order["legs"])), markup=False)
            yield Field(placeholder="account; empty: every live leg", id="account")
            with Horizontal():
                yield Field(placeholder="new total quantity", id="quantity")
                yield Field(placeholder=f"price, now {shown(request['price'])}", id="price")
            with Horizontal():
                trigger = shown(request["trigger_price"])
                yield Field(placeholder=f"trigger, now {trigger}", id="trigger_price")
                yield Field(placeholder=f"type, now {request['order_type']}", id="order_type")
            yield Static("", classes="said", markup=False)
            yield Static(
                "Empty stays as it is · Enter goes on to a question · Esc leaves", classes="keys"
            )

    def on_input_submitted(self) -> None:
        self.run_worker(self._modify(), exclusive=True)

    async def _modify(self) -> None:
        typed = {name: self.query_one(f"#{name}", Input).value.strip() for name in _CHANGES}
        body: dict[str, Any] = {name: value for name, value in typed.items() if value}
        if not body:
            self.say("✗ Nothing changes: type what is to be another.", bad=True)
            return
        if body.get("quantity", "").isdecimal():
            body["quantity"] = int(body["quantity"])
        if "order_type" in body:
            body["order_type"] = body["order_type"].upper()
        account = self.query_one("#account", Input).value.strip()
        names = [leg["account"] for leg in self._order["legs"]]
        if account and account not in names:
            self.say(
                f"✗ {account} is not among this order's accounts: {', '.join(names)}", bad=True
            )
            return
        request = self._order["request"]
        lines = [
            order_words(self._order),
            *(f"{name}: {shown(request.get(name))} → {value}" for name, value in body.items()),
            f"at {account or ', '.join(names)}",
        ]
        if not await self.app.push_screen_wait(Confirm("Modify this order?", lines, "Modify it")):
            return
        self.say("… modifying")
        path = f"/v1/orders/{segment(self._order['order_id'])}"
        path += f"?{urlencode({'account': account})}" if account else ""
        answer = await self.ask("PATCH", path, body, timeout_s=30.0)
        self.console.feed.want("orders", "accounts", "unresolved")
        if answer is not None:
            ends = [leg for leg in answer.body["legs"] if leg["modify"] is not None]
            words = "\n".join(map(_end_words, ends)) or "– no leg is live"
            self.say(words, bad=not ends or any(leg["modify"] != "applied" for leg in ends))


def _leg_words(leg: dict[str, Any]) -> str:
    price = shown(leg["price"])
    return (
        f"  {leg['account']} {leg['state']} {leg['filled_quantity']}/{leg['quantity']} at {price}"
    )


def _end_words(leg: dict[str, Any]) -> str:
    """How a leg's modify ended, with the reason; what is unknown is not called failed."""
    end = leg["modify"]
    words = f"{_SIGNS.get(end, '?')} {leg['account']}: {end}"
    if end == "unknown":
        words += ", it may have been changed. Look before you repeat it."
    for reason in (leg["modify_reason"], leg["reason"] if end == "refused" else None):
        if reason:
            return f"{words}: {reason['message']}"
    return words

"""An order ticket: checked by the gateway as it is typed, placed only after one more question."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.dialogs.base import Dialog, failure_words
from tui.dialogs.confirm import Confirm
from tui.field import Field
from tui.link import Gateway, NoAnswer, Problem, Unreachable
from tui.words import shown

_PAUSE_S = 0.4
_WIDTH = 150
_FIELDS = {
    "instrument": "instrument, e.g. NSE:SBIN",
    "accounts": "accounts or @groups, by commas",
    "side": "BUY or SELL",
    "order_type": "MARKET LIMIT SL SL-M",
    "product": "CNC MIS NRML MTF",
    "quantity": "quantity",
    "price": "price",
    "trigger_price": "trigger",
}


class Contracts(Suggester):
    """Completes an instrument from the gateway's search; `found` hears of all that matches."""

    def __init__(self, gateway: Gateway, found: Callable[[list[dict[str, Any]]], None]) -> None:
        super().__init__(use_cache=False, case_sensitive=False)
        self._gateway = gateway
        self._found = found

    async def get_suggestion(self, value: str) -> str | None:
        exchange, colon, symbol = value.upper().partition(":")
        query = {"query": symbol or exchange, "limit": "10"}
        if colon:
            query["exchange"] = exchange
        if len(query["query"]) < 2:
            return None
        await asyncio.sleep(_PAUSE_S / 2)
        try:
            answer = await self._gateway.get("/v1/instruments", query)
        except (Problem, Unreachable, NoAnswer):
            return None
        self._found(answer["instruments"])
        names = [str(row["instrument"]) for row in answer["instruments"]]
        return next((name for name in names if name.startswith(value.upper())), None)


class TicketDialog(Dialog[None]):
    """One ticket has one idempotency key: placing it again after a lost answer places nothing."""

    DEFAULT_CSS = """
    TicketDialog Horizontal Input { width: 1fr; }
    TicketDialog #found { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "take", "Take", id="ticket.take", tooltip="Take the first match"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._key = f"console-{secrets.token_hex(12)}"
        self._placed_body: dict[str, Any] | None = None
        self._matches: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("New order", classes="title")
            yield self._field("instrument", Contracts(self.console.gateway, self._found))
            yield Static("", id="found", markup=False)
            yield self._field("accounts")
            with Horizontal():
                yield self._field("side")
                yield self._field("order_type")
                yield self._field("product")
            with Horizontal():
                yield self._field("quantity")
                yield self._field("price")
                yield self._field("trigger_price")
            yield Static("", id="check", markup=False)
            yield Static("", classes="said", markup=False)
            yield Static(
                "Tab moves · → completes · F2 takes the first match · Enter asks, then places",
                classes="keys",
            )

    def _field(self, name: str, suggester: Suggester | None = None) -> Field:
        return Field(placeholder=_FIELDS[name], id=name, suggester=suggester)

    def on_input_changed(self) -> None:
        self.run_worker(self._check(), group="check", exclusive=True)

    def action_take(self) -> None:
        """Take the best match of the search as the instrument."""
        if self._matches:
            field = self.query_one("#instrument", Input)
            field.value = self._matches[0]
            field.cursor_position = len(field.value)

    def _found(self, rows: list[dict[str, Any]]) -> None:
        self._matches = [str(row["instrument"]) for row in rows]
        shown_rows = [f"{row['instrument']} {row['name'] or ''}".strip() for row in rows[:3]]
        words = " · ".join(shown_rows) or "no contract matches"
        self.query_one("#found", Static).update(words[:_WIDTH])

    def on_input_submitted(self) -> None:
        self.run_worker(self._place(), group="place", exclusive=True)

    def body(self) -> dict[str, Any]:
        """The order as typed; an empty field is left out."""
        typed = {name: self.query_one(f"#{name}", Input).value.strip() for name in _FIELDS}
        body: dict[str, Any] = {name: value for name, value in typed.items() if value}
        for name in ("instrument", "side", "order_type", "product"):
            if name in body:
                body[name] = body[name].upper()
        if "accounts" in body:
            body["accounts"] = [name for name in body["accounts"].split(",") if name]
        if body.get("quantity", "").isdecimal():
            body["quantity"] = int(body["quantity"])
        return body

    async def _check(self) -> None:
        """Ask the gateway what it thinks; the newest typing replaces a question that waits."""
        await asyncio.sleep(_PAUSE_S)
        words, _ = await self._checked(self.body())
        self.query_one("#check", Static).update(words)

    async def _checked(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """What the gateway says of the order, and of each of its legs."""
        missing = [name for name in list(_FIELDS)[:6] if name not in body]
        if missing:
            return f"… missing: {', '.join(missing)}", []
        try:
            answer = await self.console.gateway.ask("POST", "/v1/orders/validate", body)
        except (Problem, Unreachable, NoAnswer) as error:
            return f"✗ {error}", []
        return validation_words(answer.body), answer.body["legs"]

    async def _place(self) -> None:
        # Checked again as it is now: what stands below may tell of what was typed before.
        body = self.body()
        self.say("… checking")
        check, legs = await self._checked(body)
        self.query_one("#check", Static).update(check)
        if not any(leg["ok"] for leg in legs):
            self.say("✗ Not asked: no account would take it as it is", bad=True)
            return
        self.say("")
        lines = [
            f"{body.get('side', '?')} {body.get('quantity', '?')} {body.get('instrument', '?')}",
            f"{body.get('order_type', '?')} {body.get('price', '')} {body.get('product', '?')}"
            + (f" trigger {body['trigger_price']}" if "trigger_price" in body else ""),
            # By the gateway's answer: a group is told by the accounts that it has now.
            f"at {', '.join(map(self._account_words, legs))}",
            check,
        ]
        if not await self.app.push_screen_wait(Confirm("Place this order?", lines, "Place it")):
            return
        if self._placed_body is not None and body != self._placed_body:
            self.say("✗ Another order may be out from this ticket. Open a new one.", bad=True)
            return
        self.say("… placing")
        headers = {"Idempotency-Key": self._key}
        self._placed_body = body
        try:
            answer = await self.console.gateway.ask(
                "POST", "/v1/orders", body, headers=headers, timeout_s=30.0
            )
        except (Problem, Unreachable, NoAnswer) as error:
            nothing_went = isinstance(error, Unreachable) or (
                isinstance(error, Problem) and error.body.get("sent") is False
            )
            if nothing_went:
                self._placed_body = None
            self.say(failure_words(error), bad=True)
            return
        finally:
            self.console.feed.want("orders", "accounts", "unresolved")
        summary = answer.body["summary"]
        self.dismiss(None)
        self.app.notify(
            f"{summary}: {placed_words(answer.body)}",
            severity="information" if summary == "accepted" else "warning",
            timeout=10,
            markup=False,
        )

    def _account_words(self, leg: dict[str, Any]) -> str:
        brokers = {row["account"]: row["broker"] for row in self.console.model.accounts}
        return f"{leg['account']} ({brokers.get(leg['account'], '?')})"


def validation_words(answer: dict[str, Any]) -> str:
    """What the checks say of each account: what would be sent, the margin, or why not."""
    lines = []
    for leg in answer["legs"]:
        if leg["ok"]:
            price = shown((leg["sent"] or {}).get("price"))
            margin = f"margin {shown(leg['required'])} of {shown(leg['left'])}"
            words = f"would send {shown((leg['sent'] or {}).get('order_type'))} {price}, {margin}"
        else:
            words = f"{leg['reason']['code']}: {leg['reason']['message']}"
        lines.append(f"{'✓' if leg['ok'] else '✗'} {leg['account']}: {words}")
    return "\n".join(lines)


def placed_words(order: dict[str, Any]) -> str:
    """Each account's outcome, with the reason where there is one."""
    return "; ".join(
        f"{leg['account']} {leg['state']}"
        + (f" ({leg['reason']['message']})" if leg["reason"] else "")
        for leg in order["legs"]
    )

"""Log accounts in, one after the other: one-time password, or the broker's page and redirect."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.dialogs.base import Dialog, failure_words
from tui.field import Field
from tui.link import NoAnswer, Problem, Unreachable
from tui.link.api import segment
from tui.panel import write
from tui.words import left_until

_LOGIN_S = 90.0
_OVER = ("active", "skipped", "failed")


class LoginDialog(Dialog[None]):
    """Goes through the accounts by itself and waits only for what a person has to give.

    No step is ever repeated by itself: wrong tries can lock an account at its broker.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "resend", "Resend", id="login.resend", tooltip="Ask for another code"),
        Binding("f3", "skip", "Skip", id="login.skip", tooltip="Leave this account, do the next"),
        Binding("f4", "copy", "Copy URL", id="login.copy", tooltip="Copy the login page's address"),
    ]

    def __init__(self, accounts: list[str], *, renew: bool) -> None:
        super().__init__()
        self._accounts = accounts
        self._renew = renew
        self._ends = dict.fromkeys(accounts, "")
        self._at = ""
        self._step: dict[str, Any] = {}
        # What the question that stands waits for; None while no question stands.
        self._asked: asyncio.Future[str | None] | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Log in", classes="title")
            yield Static("", id="ends", markup=False)
            yield Static("", id="step", markup=False)
            yield Field(id="answer")
            yield Static("", classes="said", markup=False)
            yield Static(
                "Enter hands it in · F2 resend code · F3 skip account · F4 copy URL · Esc leaves",
                classes="keys",
            )

    def on_mount(self) -> None:
        self.query_one("#answer").display = False
        self.set_interval(1.0, self._draw)
        self.run_worker(self._all(), exclusive=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        answer = event.value.strip()
        if answer or self._step.get("state") == "parked":
            self._hand_in(answer)

    def action_skip(self) -> None:
        self._hand_in(None)

    def _hand_in(self, answer: str | None) -> None:
        """Answer the question that stands, once; what comes when none does answers nothing."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(answer)

    def action_copy(self) -> None:
        if url := self._step.get("login_url"):
            self.app.copy_to_clipboard(url)
            self.say("The address was handed to the terminal's clipboard.")

    def action_resend(self) -> None:
        if self._step.get("state") == "otp_required":
            self.run_worker(self._resend(), group="resend", exclusive=True)

    async def _all(self) -> None:
        for account in self._accounts:
            self._at, self._step = account, {}
            self._ends[account] = "… logging in"
            self._draw()
            self._ends[account] = await self._one(account)
            self.console.feed.want("accounts")
        self._at, self._step = "", {}
        self.query_one("#answer").display = False
        self._draw()
        good = sum(end.startswith("●") for end in self._ends.values())
        self.say(f"{good} of {len(self._ends)} logged in · Esc leaves", bad=good < len(self._ends))

    async def _one(self, account: str) -> str:
        """Log one account in; returns how that ended."""
        base = f"/v1/sessions/{segment(account)}"
        step = await self._call(f"{base}/login", {"renew": self._renew})
        while step is not None and step["state"] not in _OVER:
            answer = await self._answer_to(step)
            if answer is None:
                return "– skipped"
            if step["state"] == "otp_required":
                body = {"challenge_id": step["challenge_id"], "otp": answer}
                step = await self._call(f"{base}/otp", body, again=step)
            elif step["state"] == "redirect_required":
                step = await self._call(f"{base}/callback", {"url": answer}, again=step)
            elif step["state"] == "parked":
                step = await self._call(f"{base}/confirm", None)
            else:
                return f"✗ the gateway asks for {step['state']}: use `brokergate login`"
        if step is None:
            return f"✗ {self.query_one('.said', Static).content}".replace("✗ ✗", "✗")
        return f"● logged in, {left_until(step.get('expires_at')) or 'no end'} left"

    async def _call(
        self, path: str, body: Any, *, again: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Take one step. `again` is the step to go back to where the broker lets it be retyped."""
        self.say("… asking the broker")
        try:
            answer = await self.console.gateway.ask("POST", path, body, timeout_s=_LOGIN_S)
        except Problem as error:
            self.say(failure_words(error), bad=True)
            retyped = error.body.get("restart", error.status not in (400, 422)) is False
            return again if retyped else None
        except (Unreachable, NoAnswer) as error:
            self.say(failure_words(error), bad=True)
            return None
        self.say("")
        step: dict[str, Any] = answer.body
        return step

    async def _resend(self) -> None:
        step = await self._call(f"/v1/sessions/{segment(self._at)}/otp/resend", None)
        if step is not None and step.get("state") == "otp_required":
            self._step.update(step)
            self.say("Another code is on its way.")

    async def _answer_to(self, step: dict[str, Any]) -> str | None:
        """Ask the person. What was typed before the question stood was for another one."""
        self._show_step(step)
        self._asked = asyncio.get_running_loop().create_future()
        self.seen_from = time.monotonic()
        answer = await self._asked
        self._asked = None
        self.query_one("#answer").disabled = True
        return answer

    def _show_step(self, step: dict[str, Any]) -> None:
        self._step = step
        answer = self.query_one("#answer", Input)
        answer.disabled = False
        answer.value = ""
        answer.placeholder = {
            "otp_required": "one-time password",
            "redirect_required": "paste the address that the browser ended on",
        }.get(step["state"], "Enter confirms that it was you")
        answer.display = True
        self.set_focus(answer)
        self._draw()

    def _draw(self) -> None:
        lines = [f"{name:<16} {end}" for name, end in self._ends.items()]
        write(self, "#ends", "\n".join(lines))
        write(self, "#step", step_words(self._at, self._step))


def step_words(account: str, step: dict[str, Any]) -> str:
    """What the person has to do now, in the broker's own words where it has any."""
    state = step.get("state")
    left = left_until(step.get("expires_at"))
    time_left = f" ({left} left)" if left else ""
    if state == "otp_required":
        return f"? {account}{time_left}: {step.get('prompt') or 'one-time password'}"
    if state == "redirect_required":
        return (
            f"? {account}{time_left}: open this page, log in, and paste where it ends:\n"
            f"{step.get('login_url')}"
        )
    if state == "parked":
        return f"? {account}: a redirect came that nothing binds to this login. Was it you?"
    return f"… {account}" if account else ""

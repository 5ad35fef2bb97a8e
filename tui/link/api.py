"""The gateway's API in the console's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from tui.link import http
from tui.link.figures import Figures, figures
from tui.link.http import Answer, NoAnswer, Where
from tui.link.sse import Event, events

_SILENCE_S = 40.0
# Calls that name nothing there is: what they answer tells what the key may do, and changes nothing.
_PROBES = {
    "trade": ("DELETE", "/v1/orders/ord_nothing"),
    "operate": ("POST", "/v1/unresolved/leg_nothing/resolve"),
    "login": ("POST", "/v1/sessions/-/otp"),
}


class Problem(Exception):
    """The gateway refused a call; the text is its words, the broker's included."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(problem_words(answer))
        self.status = answer.status
        self.body: dict[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        self.code = str(self.body.get("code") or "")


class Gateway:
    """Makes calls. Each is made once: one that may have arrived is never sent again."""

    def __init__(self, where: Where) -> None:
        self.where = where

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return (await self.ask("GET", path, query=query)).body

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Answer:
        """Make one call. Raises `Problem`, `Unreachable` (nothing left) or `NoAnswer`."""
        target = f"{path}?{urlencode(query)}" if query else path
        answer = await http.call(
            self.where, method, target, body, headers=headers, timeout_s=timeout_s
        )
        if answer.status >= 400:
            raise Problem(answer)
        return answer

    async def scopes(self) -> frozenset[str]:
        """Find out which of trade, operate and login this key may do. The socket may do all."""
        if self.where.socket:
            return frozenset(_PROBES)
        answers = await asyncio.gather(
            *(http.call(self.where, method, path, {}) for method, path in _PROBES.values())
        )
        return frozenset(
            scope
            for scope, answer in zip(_PROBES, answers, strict=True)
            if answer.status not in (401, 403)
        )

    async def figures(self) -> Figures:
        """Read the gateway's own figures. Raises as `ask` does."""
        answer = await http.call(self.where, "GET", "/metrics", is_text=True)
        if answer.status >= 400:
            raise Problem(answer)
        return figures(answer.body)

    async def follow(self, path: str, after: int | None) -> AsyncIterator[list[Event]]:
        """Listen from `after`, or from now on. An empty list is a sign of life.

        Ends only by raising: `Unreachable`, `NoAnswer`, or `Problem` for what is refused.
        """
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        async with http.stream(self.where, path, headers=headers) as (status, pieces):
            if status != 200:
                content = b"".join([piece async for piece in pieces])
                raise Problem(Answer(status, _decoded(content)))
            found = events(pieces)
            while True:
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        together = await anext(found)
                except StopAsyncIteration:
                    raise NoAnswer("the gateway ended the stream") from None
                except TimeoutError as error:
                    raise NoAnswer(f"no sign of life for {_SILENCE_S:.0f} s") from error
                yield together


def segment(text: str) -> str:
    """Write a name as one segment of a path."""
    return quote(text, safe="")


def problem_words(answer: Answer) -> str:
    """Say what a problem answer says: its detail, the wrong fields, the broker's own words."""
    problem = answer.body if isinstance(answer.body, dict) else {}
    words = str(problem.get("detail") or f"the gateway answered HTTP {answer.status}")
    fields = [
        f"{row['field']} {row['message']}"
        for row in problem.get("errors") or ()
        if str(row.get("message")) not in words
    ]
    words = "; ".join([words, *fields])
    broker = problem.get("broker_message")
    return f"{words} (the broker says: {broker})" if broker and broker not in words else words


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None

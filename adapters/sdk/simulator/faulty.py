"""One call that something goes wrong with: the faults of the plan, carried out on the wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from adapters.sdk.simulator.actions import Action
from adapters.sdk.simulator.faults import Effects
from adapters.sdk.simulator.http import SimRequest, SimResponse

if TYPE_CHECKING:
    from adapters.sdk.simulator.connection import Connection
    from adapters.sdk.simulator.server import SimServer

_NOT_ACCEPTED = frozenset(
    {
        Action.RESET_BEFORE_ACCEPT,
        Action.HANG,
        Action.ACCEPT_LATE,
        Action.STATUS,
        Action.REJECT,
        Action.BOOK_FAIL,
    }
)
_GATEWAY_PAGE = (
    "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n"
    "<center><h1>{status}</h1></center>\r\n<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
)


class FaultyCall:
    """Carries out the effects on one request. It goes on when the client has gone away."""

    def __init__(
        self,
        connection: Connection,
        server: SimServer,
        request: SimRequest,
        effects: Effects,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._server = server
        self._simulator = connection.simulator
        self._request = request
        self._effects = effects
        self._keep_alive = keep_alive

    async def run(self) -> None:
        """Delay, accept or not, delay again, then answer or not, as the effects say."""
        effects, request = self._effects, self._request
        if effects.slow_ms:
            await asyncio.sleep(effects.slow_ms / 1000)
        request.lag_ms, request.omit = effects.lag_ms, effects.omit
        accepted = self._connection.accept(request) if self._is_accepted() else None
        if effects.action is Action.DUPLICATE:
            self._connection.accept(request)
        if effects.slow_answer_ms:
            await asyncio.sleep(effects.slow_answer_ms / 1000)
        if accepted is None:
            await self._answer_unaccepted()
        else:
            await self._answer_accepted(accepted)

    def _is_accepted(self) -> bool:
        main = self._effects.main
        if main is None:
            return True
        if main.action in (Action.RATE_LIMIT, Action.SESSION_EXPIRED):
            return bool(main.params.accepted)
        return main.action not in _NOT_ACCEPTED

    async def _answer_unaccepted(self) -> None:
        main = self._effects.main
        if main is None or main.action is Action.HANG:
            return
        if main.action is Action.RESET_BEFORE_ACCEPT:
            self._connection.reset()
        elif main.action is Action.ACCEPT_LATE:
            await self._connection.closed.wait()
            await asyncio.sleep(main.params.ms / 1000)
            self._connection.accept(self._request)
        elif main.action is Action.REJECT:
            self._finish(self._simulator.reject_response(self._request, main.params.message))
        elif main.action in (Action.STATUS, Action.BOOK_FAIL):
            self._finish(self._front_answer())
        else:
            self._finish(self._refusal())

    async def _answer_accepted(self, response: SimResponse) -> None:
        main = self._effects.main
        action = self._effects.action
        if main is None or action in (Action.DUPLICATE, None):
            self._finish(response)
        elif action is Action.REFUSE:
            self._finish(response)
            self._server.connection_fault(main)
        elif action is Action.ACCEPT_THEN_RESET:
            self._connection.reset()
        elif action is Action.ACCEPT_THEN_CLOSE:
            self._connection.close()
        elif action is Action.ACCEPT_THEN_TRUNCATED:
            self._truncate(response, main.params.bytes, whole=main.params.length == "full")
        elif action is Action.RESET_AT_BYTE:
            body = response.whole_body()
            raw = response.head(length=len(body)) + body
            self._connection.write_bytes(raw[: main.params.bytes])
            await self._connection.flushed()
            self._connection.reset()
        elif action is Action.ACCEPT_THEN_EMPTY:
            self._finish(SimResponse(main.params.status, b"", response.headers))
        elif action in (Action.ACCEPT_THEN_STATUS, Action.ACCEPT_THEN_HTML):
            self._finish(self._front_answer())
        elif action in (Action.RATE_LIMIT, Action.SESSION_EXPIRED):
            self._finish(self._refusal())

    def _refusal(self) -> SimResponse:
        main = self._effects.main
        if main is not None and main.action is Action.RATE_LIMIT:
            return self._simulator.rate_limit_response(self._request)
        if main is not None and main.params.expire:
            self._simulator.expire_sessions()
        return self._simulator.session_expired_response(self._request)

    def _front_answer(self) -> SimResponse:
        """Answer as a proxy in front of the broker would."""
        params = self._effects.main.params if self._effects.main else None
        status = params.status if params else 502
        body = params.body if params and params.body is not None else None
        text = _GATEWAY_PAGE.format(status=status) if body is None else body
        content_type = params.content_type if params else "text/html"
        return SimResponse(status, text.encode(), {"content-type": content_type})

    def _truncate(self, response: SimResponse, keep: int | None, *, whole: bool) -> None:
        body = response.whole_body()
        cut = body[: len(body) // 2 if keep is None else keep]
        if not whole:
            self._finish(SimResponse(response.status, cut, response.headers))
            return
        self._connection.write_bytes(response.head(length=len(body)) + cut)
        self._connection.close()

    def _finish(self, response: SimResponse) -> None:
        self._connection.finish(self._request, response, self._keep_alive)

"""Session routes: log in, relay the OTP, take the broker's redirect, log out."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Annotated

import msgspec

from adapters.sdk.errors import GatewayError
from gateway.api.routing import Answer, Call, Route
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.secrets.api_keys import Scope
from gateway.sessions import SessionManager, SessionView
from gateway.sessions.answers import LoginAnswer
from gateway.sessions.states import SessionState


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    renew: bool = False
    unblock: bool = False


class OtpRequest(msgspec.Struct, forbid_unknown_fields=True):
    challenge_id: str
    otp: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class ResendRequest(msgspec.Struct, forbid_unknown_fields=True):
    challenge_id: str | None = None


class CallbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(min_length=8, max_length=8192)]


class SessionList(msgspec.Struct):
    sessions: list[SessionView]


_decode_login = msgspec.json.Decoder(LoginRequest)
_decode_otp = msgspec.json.Decoder(OtpRequest)
_decode_resend = msgspec.json.Decoder(ResendRequest)
_decode_callback = msgspec.json.Decoder(CallbackRequest)


class SessionRoutes:
    def __init__(self, sessions: SessionManager, accounts: Mapping[str, Account]) -> None:
        self._sessions = sessions
        self._accounts = accounts

    def routes(self) -> list[Route]:
        def login_route(
            method: str, path: str, handler: object, summary: str, request: object = None
        ) -> Route:
            return Route(
                method=method,
                path=path,
                scope=Scope.LOGIN,
                handler=handler,  # type: ignore[arg-type]
                summary=summary,
                tag="sessions",
                request=request,
                response=LoginAnswer,
            )

        base = "/v1/sessions/{account}"
        return [
            Route(
                method="GET",
                path="/v1/sessions",
                scope=Scope.READ,
                or_scope=Scope.LOGIN,
                handler=self.list,
                summary="The login state of every account",
                tag="sessions",
                response=SessionList,
            ),
            login_route("POST", base + "/login", self.login, "Begin a login", LoginRequest),
            login_route("POST", base + "/otp", self.otp, "Answer the OTP question", OtpRequest),
            login_route(
                "POST", base + "/otp/resend", self.resend, "Ask for another OTP", ResendRequest
            ),
            login_route(
                "POST",
                base + "/callback",
                self.callback,
                "Hand in the URL that the broker redirected to",
                CallbackRequest,
            ),
            login_route("POST", base + "/confirm", self.confirm, "Use a redirect that was parked"),
            Route(
                method="DELETE",
                path=base,
                scope=Scope.LOGIN,
                handler=self.logout,
                summary="Log out",
                tag="sessions",
                response=SessionView,
            ),
            Route(
                method="GET",
                path="/v1/callback/{account}",
                scope=None,
                handler=self.browser_callback,
                summary="Where a broker's login page redirects to",
                tag="sessions",
                any_query=True,
                statuses=(200, 400, 404, 409, 410, 422, 502, 503),
            ),
        ]

    async def list(self, call: Call) -> Answer:
        seen = [view for view in self._sessions.views() if call.who.allows(view.account)]
        return Answer(body=SessionList(seen))

    async def login(self, call: Call) -> Answer:
        request: LoginRequest = call.decode(_decode_login) if call.body else LoginRequest()
        answer = await self._sessions.login(
            self._account(call),
            renew=request.renew,
            unblock=request.unblock,
            actor=call.who.actor(),
        )
        return Answer(body=answer)

    async def otp(self, call: Call) -> Answer:
        request: OtpRequest = call.decode(_decode_otp)
        account = self._account(call)
        return Answer(
            body=await self._sessions.submit_otp(account, request.challenge_id, request.otp.strip())
        )

    async def resend(self, call: Call) -> Answer:
        request: ResendRequest = call.decode(_decode_resend) if call.body else ResendRequest()
        account = self._account(call)
        return Answer(body=await self._sessions.resend_otp(account, request.challenge_id))

    async def callback(self, call: Call) -> Answer:
        request: CallbackRequest = call.decode(_decode_callback)
        account = self._account(call)
        return Answer(body=await self._sessions.redirected(account, request.url, trusted=True))

    async def confirm(self, call: Call) -> Answer:
        return Answer(body=await self._sessions.confirm(self._account(call)))

    async def logout(self, call: Call) -> Answer:
        account = self._account(call)
        await self._sessions.logout(account, call.who.actor())
        return Answer(body=self._sessions.view(account.id))

    async def browser_callback(self, call: Call) -> Answer:
        """Answer a person's browser with a page that says plainly whether it worked."""
        account = self._accounts.get(call.params["account"])
        url = f"{call.path}?{call.raw_query}"
        if account is None:
            return _page(404, "No such account", "brokergate knows no account of this name.")
        try:
            answer = await self._sessions.redirected(account, url, trusted=False)
        except Problem as problem:
            return _page(problem.status, "The login did not work", problem.detail)
        except GatewayError as error:
            return _page(502, "The login did not work", error.message)
        if answer.state is SessionState.PARKED:
            return _page(
                200,
                "Almost done",
                f"This broker does not say which login it answers. If it was you, confirm it:"
                f" brokergate login {account.id}, or POST /v1/sessions/{account.id}/confirm.",
            )
        return _page(200, "Logged in", f"{account.id} is active. You can close this page.")

    def _account(self, call: Call) -> Account:
        name = call.params["account"]
        account = self._accounts.get(name)
        if account is None or not call.who.allows(name):
            known = ", ".join(filter(call.who.allows, self._accounts)) or "none"
            raise Problem(404, "account_unknown", f"there is no account {name!r}; known: {known}")
        return account


def _page(status: int, title: str, text: str) -> Answer:
    body = (
        "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer>"
        f"<title>brokergate: {html.escape(title)}</title>"
        "<body style='font:16px/1.5 system-ui;max-width:36rem;margin:4rem auto;padding:0 1rem'>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
    )
    headers = [
        (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        (b"Cache-Control", b"no-store"),
    ]
    return Answer(status, body.encode(), headers, b"text/html; charset=utf-8")

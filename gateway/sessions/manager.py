"""The sessions of every account: begin, OTP, redirect, prove, store, drop.

A login step is never repeated by itself: a wrong password or OTP may lock the account at the
broker, so every repetition is the owner's decision.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from adapters.sdk.errors import Denied, GatewayError, LoginExpired, LoginRefused, ReasonCode
from adapters.sdk.models import LoginStep, OtpRequired, RedirectRequired, Session
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.times import IST
from gateway.sessions.states import SessionState
from gateway.store import Store

log = logging.getLogger(__name__)

_CALLBACK_LIFE = timedelta(minutes=5)
_MARKET_CLOSE = (15, 30)


class SessionView(msgspec.Struct, kw_only=True):
    """What may be shown of an account's session. Times are aware, in IST."""

    account: str
    broker: str
    state: SessionState
    logged_in_at: datetime | None = None
    expires_at: datetime | None = None
    covers_close: bool | None = None
    proven_at: datetime | None = None
    last_error: str | None = None


class LoginAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to a login step: `active`, or what the owner has to do next."""

    state: SessionState
    challenge_id: str | None = None
    prompt: str | None = None
    login_url: str | None = None
    expires_at: datetime | None = None
    account: str | None = None


class _Pending(msgspec.Struct, kw_only=True):
    """A login that waits for its owner. One per account; a new login replaces it."""

    challenge_id: str
    step: OtpRequired | RedirectRequired
    expires_at: datetime
    parked_url: str | None = None


class SessionManager:
    """Logs accounts in and out and keeps what a restart needs. Lives on the event loop."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        on_active: Callable[[str], None],
        before_logout: Callable[[Account], Awaitable[None]],
    ) -> None:
        self._before_logout = before_logout
        self._store = store
        self._accounts = accounts
        self._on_active = on_active
        self._views = {
            account.id: SessionView(
                account=account.id, broker=account.broker, state=SessionState.MISSING
            )
            for account in accounts.values()
        }
        self._pending: dict[str, _Pending] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._background: set[asyncio.Task[Any]] = set()

    async def load(self) -> None:
        """Take up the sessions of an earlier run that have not expired."""
        for stored in await self._store.load_sessions():
            account = self._accounts.get(stored.account)
            if account is None or stored.secret is None:
                continue
            session = msgspec.json.decode(stored.secret, type=Session)
            if session.expires_at > _now():
                self._activate(account, session, proven_at=None)
            else:
                self._expire(account, "the session ended at its time")
                await self._save(account, None, "expired")

    def lock(self, account_id: str) -> asyncio.Lock:
        """Held while a step of a login runs; whoever holds it keeps logins away."""
        return self._locks.setdefault(account_id, asyncio.Lock())

    def take_in(self, account: Account) -> None:
        """Look after an account that the configuration now has, not logged in."""
        self._pending.pop(account.id, None)
        self._views[account.id] = SessionView(
            account=account.id, broker=account.broker, state=SessionState.MISSING
        )

    def let_go(self, account: Account) -> asyncio.Future[None]:
        """Forget an account's session, here at once and on disk when the result is there."""
        self._pending.pop(account.id, None)
        self._views.pop(account.id, None)
        account.session = None
        account.session_problem = account.leaving
        view = SessionView(account=account.id, broker=account.broker, state=SessionState.MISSING)
        audit = {"event": "forgotten", "state": view.state, "expires_at": None}
        data = msgspec.json.encode(view)
        return self._store.put_session(account.id, view.state, data, None, audit)

    def views(self) -> list[SessionView]:
        for account in self._accounts.values():
            session = account.session
            if session is not None and session.expires_at <= _now():
                self._end(account, "the session ended at its time")
        return list(self._views.values())

    def view(self, account_id: str) -> SessionView:
        self.views()
        return self._views[account_id]

    async def login(self, account: Account, *, renew: bool = False) -> LoginAnswer:
        """Begin a login; an active session is kept unless `renew`.

        Raises: `Problem` for missing credentials, a login already under way, a refusal.
        """
        lock = self.lock(account.id)
        if lock.locked():
            raise Problem(409, "login_in_progress", f"a login of {account.id} is already running")
        async with lock:
            if account.session is not None and not renew and account.session.expires_at > _now():
                return LoginAnswer(
                    state=SessionState.ACTIVE,
                    account=account.id,
                    expires_at=account.session.expires_at,
                )
            credentials = await self._credentials(account)
            self._pending.pop(account.id, None)
            return await self._step(account, account.adapter.begin_login(credentials))

    async def submit_otp(self, account: Account, challenge_id: str, otp: str) -> LoginAnswer:
        """Answer the pending OTP question. Raises `Problem`, naming what is wrong."""
        async with self.lock(account.id):
            pending = self._take(account, challenge_id, OtpRequired)
            credentials = await self._credentials(account)
            return await self._step(
                account,
                account.adapter.submit_otp(credentials, pending.step.pending, otp),
                pending,
            )

    async def resend_otp(self, account: Account, challenge_id: str | None) -> LoginAnswer:
        """Have the broker send another OTP for the pending login."""
        async with self.lock(account.id):
            pending = self._take(account, challenge_id, OtpRequired)
            credentials = await self._credentials(account)
            return await self._step(
                account, account.adapter.resend_otp(credentials, pending.step.pending), pending
            )

    async def redirected(self, account: Account, url: str, *, trusted: bool) -> LoginAnswer:
        """Take the URL that the broker redirected to.

        `trusted`: it was handed in with an API key. Otherwise anybody may have sent it: then it
        must carry the pending login's `state`, or it is parked until `confirm`.
        """
        async with self.lock(account.id):
            pending = self._take(account, None, RedirectRequired)
            step = pending.step
            assert isinstance(step, RedirectRequired)  # noqa: S101
            if step.state is not None:
                got = parse_qs(urlsplit(url).query).get("state", [""])[0]
                if not hmac.compare_digest(got.encode(), step.state.encode()):
                    raise Problem(
                        400,
                        "callback_state_mismatch",
                        "the state in this URL is not that of the pending login; begin again with"
                        f" POST /v1/sessions/{account.id}/login",
                    )
            elif not trusted:
                if pending.parked_url is not None:
                    raise Problem(409, "callback_used", "a redirect is already waiting for confirm")
                pending.parked_url = url
                self._set(account, SessionState.PARKED)
                return LoginAnswer(
                    state=SessionState.PARKED, account=account.id, expires_at=pending.expires_at
                )
            return await self._finish_redirect(account, pending, url)

    async def confirm(self, account: Account) -> LoginAnswer:
        """Use the parked redirect of a broker that returns no `state`."""
        async with self.lock(account.id):
            pending = self._take(account, None, RedirectRequired)
            if pending.parked_url is None:
                raise Problem(409, "nothing_parked", f"no redirect of {account.id} is waiting")
            return await self._finish_redirect(account, pending, pending.parked_url)

    async def logout(self, account: Account) -> None:
        """End the session here, and at the broker where it offers that."""
        await self._before_logout(account)
        session = account.session
        self._pending.pop(account.id, None)
        account.session = None
        account.session_problem = None
        self._set(account, SessionState.MISSING)
        await self._save(account, None, "logged_out")
        if session is not None:
            try:
                await account.calls.logout(session)
            except GatewayError as error:
                log.warning("%s: logout at the broker failed: %s", account.id, error.message)

    def session_expired(self, account: Account, error: LoginExpired) -> None:
        """Drop a session at the broker's first word that it is dead."""
        if account.session is None:
            return
        self._end(account, error.broker_message or error.message)

    def _end(self, account: Account, why: str) -> None:
        """Drop a session, and erase its token and tell of it as soon as the journal can."""
        self._expire(account, why)
        task = asyncio.get_running_loop().create_task(self._save(account, None, "expired"))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _finish_redirect(self, account: Account, pending: _Pending, url: str) -> LoginAnswer:
        self._pending.pop(account.id, None)
        credentials = await self._credentials(account)
        return await self._step(
            account, account.adapter.submit_redirect(credentials, pending.step.pending, url)
        )

    async def _step(
        self, account: Account, work: Awaitable[LoginStep], pending: _Pending | None = None
    ) -> LoginAnswer:
        """Await one login step and turn its end into an answer or a `Problem`."""
        try:
            step = await account.calls.login(work)
            if isinstance(step, Session):
                return await self._prove(account, step)
        except Denied as error:
            if error.reason is not ReasonCode.BREAKER_OPEN:
                raise _login_problem(account, error, restart=True) from error
            raise Problem(
                503, "breaker_open", error.message, headers={"Retry-After": "5"}
            ) from error
        except LoginRefused as error:
            if error.restart or pending is None:
                self._pending.pop(account.id, None)
                self._set(account, SessionState.REFUSED, error.broker_message or error.message)
            raise _login_problem(account, error, restart=error.restart) from error
        except GatewayError as error:
            self._pending.pop(account.id, None)
            self._set(account, SessionState.MISSING, error.broker_message or error.message)
            raise _login_problem(account, error, restart=True) from error
        return self._ask(account, step)

    def _ask(self, account: Account, step: OtpRequired | RedirectRequired) -> LoginAnswer:
        expires_at = step.expires_at
        if isinstance(step, RedirectRequired):
            expires_at = min(expires_at, _now() + _CALLBACK_LIFE)
        pending = _Pending(
            challenge_id="chl_" + secrets.token_hex(8), step=step, expires_at=expires_at
        )
        self._pending[account.id] = pending
        expires_at = expires_at.astimezone(IST)
        if isinstance(step, OtpRequired):
            self._set(account, SessionState.OTP_REQUIRED)
            return LoginAnswer(
                state=SessionState.OTP_REQUIRED,
                account=account.id,
                challenge_id=pending.challenge_id,
                prompt=step.prompt,
                expires_at=expires_at,
            )
        self._set(account, SessionState.REDIRECT_REQUIRED)
        return LoginAnswer(
            state=SessionState.REDIRECT_REQUIRED,
            account=account.id,
            challenge_id=pending.challenge_id,
            login_url=step.login_url,
            expires_at=expires_at,
        )

    async def _prove(self, account: Account, session: Session) -> LoginAnswer:
        """Make one authenticated read, and check that the login is the configured client's."""
        proven = await account.calls.prove_session(session)
        credentials = await self._credentials(account)
        wanted = credentials.get("client_id")
        if wanted and wanted.casefold() != proven.casefold():
            raise LoginRefused(
                f"the login belongs to another client code than the client_id set for {account.id}",
                restart=True,
            )
        for other in self._accounts.values():
            same_broker = other.id != account.id and other.broker == account.broker
            if same_broker and other.session and other.session.client_id == proven:
                raise LoginRefused(
                    f"{account.id} and {other.id} are the same client code; remove one of them",
                    restart=True,
                )
        session = msgspec.structs.replace(session, client_id=proven)
        self._pending.pop(account.id, None)
        self._activate(account, session, proven_at=_now())
        await self._save(account, session, "logged_in")
        self._on_active(account.id)
        return LoginAnswer(
            state=SessionState.ACTIVE,
            account=account.id,
            expires_at=session.expires_at.astimezone(IST),
        )

    def _take(
        self,
        account: Account,
        challenge_id: str | None,
        kind: type[OtpRequired] | type[RedirectRequired],
    ) -> _Pending:
        """Return the pending login, or raise the `Problem` that says why there is none."""
        pending = self._pending.get(account.id)
        again = f"begin again with POST /v1/sessions/{account.id}/login"
        if pending is None or not isinstance(pending.step, kind):
            raise Problem(409, "no_pending_login", f"{account.id} waits for nothing; {again}")
        if challenge_id is not None and challenge_id != pending.challenge_id:
            raise Problem(
                409, "challenge_unknown", f"this challenge_id is not the pending one; {again}"
            )
        if pending.expires_at <= _now():
            self._pending.pop(account.id, None)
            self._set(account, SessionState.MISSING, "the pending login was not answered in time")
            raise Problem(410, "challenge_expired", f"the challenge has expired; {again}")
        return pending

    async def _credentials(self, account: Account) -> dict[str, str]:
        credentials = await self._store.get_credentials(account.id)
        missing = [
            field.name
            for field in account.plugin.capabilities.credentials
            if field.required and not credentials.get(field.name)
        ]
        if missing:
            raise Problem(
                409,
                "credentials_missing",
                f"the vault holds no {', '.join(missing)} for {account.id};"
                f" run: brokergate vault set {account.id}",
            )
        return credentials

    def _activate(self, account: Account, session: Session, *, proven_at: datetime | None) -> None:
        account.session = session
        account.session_problem = None
        expires = session.expires_at.astimezone(IST)
        close = datetime.now(IST).replace(
            hour=_MARKET_CLOSE[0], minute=_MARKET_CLOSE[1], second=0, microsecond=0
        )
        self._views[account.id] = SessionView(
            account=account.id,
            broker=account.broker,
            state=SessionState.ACTIVE,
            logged_in_at=session.logged_in_at.astimezone(IST),
            expires_at=expires,
            covers_close=expires >= close,
            proven_at=proven_at.astimezone(IST) if proven_at else None,
        )

    def _expire(self, account: Account, why: str) -> None:
        account.session = None
        account.session_problem = Reason(
            code=ReasonCode.SESSION_EXPIRED,
            message=f"the session of {account.id} has ended ({why});"
            f" log in again: POST /v1/sessions/{account.id}/login",
            retryable=True,
        )
        self._set(account, SessionState.EXPIRED, why)

    def _set(self, account: Account, state: SessionState, error: str | None = None) -> None:
        view = self._views[account.id]
        if state in (SessionState.OTP_REQUIRED, SessionState.REDIRECT_REQUIRED) and account.session:
            # A renewal under way does not take the session that still works out of use.
            return
        self._views[account.id] = SessionView(
            account=account.id,
            broker=account.broker,
            state=state,
            last_error=error or (view.last_error if state is SessionState.EXPIRED else None),
        )

    async def _save(self, account: Account, session: Session | None, event: str) -> None:
        view = self._views[account.id]
        await self._store.put_session(
            account.id,
            view.state,
            msgspec.json.encode(view),
            msgspec.json.encode(session) if session else None,
            {"event": event, "state": view.state, "expires_at": view.expires_at},
        )


def _login_problem(account: Account, error: GatewayError, *, restart: bool) -> Problem:
    refused = isinstance(error, LoginRefused)
    again = f"; begin again with POST /v1/sessions/{account.id}/login" if restart else ""
    return Problem(
        422 if refused else 502,
        "login_refused" if refused else "broker_unavailable",
        f"{error.message}{again}",
        extra={
            "broker": account.broker,
            "broker_code": error.broker_code,
            "broker_message": error.broker_message,
            "restart": restart,
        },
    )


def _now() -> datetime:
    return datetime.now(UTC)

"""The sessions of every account: begin, OTP, redirect, prove, store, drop.

A login step is never repeated by itself: a wrong password or OTP may lock the account at the
broker, so every repetition is the owner's decision, and after some refusals in a row his express
word. Every change of state goes through the table in `states`, and into the audit log.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from adapters.sdk.errors import Denied, GatewayError, LoginExpired, LoginRefused, ReasonCode
from adapters.sdk.models import LoginStep, OtpRequired, RedirectRequired, Session
from gateway.observability.context import asked_by
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.times import IST
from gateway.sessions.answers import LoginAnswer, Pending, asked, check_owner
from gateway.sessions.faults import Fault, blocked_problem, login_problem, session_problem
from gateway.sessions.life import SessionLife
from gateway.sessions.record import Actor, SessionRecord
from gateway.sessions.standing import LoginPlan, SessionRules, SessionView
from gateway.sessions.states import KEPT, SessionState
from gateway.store import Store

log = logging.getLogger(__name__)

# The broker's last chances are the owner's to use, by hand, at the broker's own page.
_CHANCES_KEPT = 1

# Said of where a login came from or how often, not of what was typed.
_NOT_COUNTED = (ReasonCode.RATE_LIMITED, ReasonCode.IP_NOT_WHITELISTED)


class Sent(NamedTuple):
    """A login call, and the names of what it carries: no value of a login is ever told."""

    call: str
    fields: tuple[str, ...] = ()


class SessionManager:
    """Logs accounts in and out and keeps what a restart needs. Lives on the event loop."""

    def __init__(
        self,
        store: Store,
        accounts: Mapping[str, Account],
        on_active: Callable[[str], None],
        before_logout: Callable[[Account], Awaitable[None]],
        *,
        rules: SessionRules | None = None,
        plan_of: Callable[[str], LoginPlan] | None = None,
    ) -> None:
        self._before_logout = before_logout
        self._store = store
        self._accounts = accounts
        self._on_active = on_active
        self._rules = rules or SessionRules()
        self._plan_of = plan_of or (lambda _: LoginPlan())
        self._record = SessionRecord(store, accounts)
        self._life = SessionLife(self._record, self._rules)
        self._pending: dict[str, Pending] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        """Take up the sessions of an earlier run that have not expired, and what was refused."""
        for account_id, session in (await self._record.load()).items():
            account = self._accounts[account_id]
            standing = self._record.of(account)
            if session is None:
                if standing.state not in KEPT:
                    standing.state = SessionState.MISSING
                if standing.state is SessionState.EXPIRED:
                    self._life.note_end(account, standing.last_error or "it ended")
                continue
            # Whatever the row says, a token is there: it is used, or it ends now.
            standing.state = SessionState.ACTIVE
            standing.proven_at = None
            account.session = session
            account.session_problem = None
            if session.expires_at <= _now():
                self._life.expire(account, "the session ended at its time")
                await self._record.save(account, None, "expired")

    def lock(self, account_id: str) -> asyncio.Lock:
        """Held while a step of a login runs; whoever holds it keeps logins away."""
        return self._locks.setdefault(account_id, asyncio.Lock())

    def take_in(self, account: Account) -> None:
        """Look after an account that the configuration now has, not logged in."""
        self._pending.pop(account.id, None)
        self._record.of(account)

    def let_go(self, account: Account) -> asyncio.Future[None]:
        """Forget an account's session, here at once and on disk when the result is there.

        What the broker refused is not forgotten: the account there may be the same.
        """
        self._pending.pop(account.id, None)
        account.session = None
        account.session_problem = account.leaving
        standing = self._record.of(account)
        standing.state = SessionState.BLOCKED if standing.is_blocked else SessionState.MISSING
        return self._record.save(account, None, "forgotten")

    def views(self) -> list[SessionView]:
        for account in self._accounts.values():
            self._life.look(account)
        return [
            self._record.of(account).view(account.id, account.broker, account.session)
            for account in self._accounts.values()
        ]

    def view(self, account_id: str) -> SessionView:
        account = self._accounts[account_id]
        self._life.look(account)
        return self._record.of(account).view(account_id, account.broker, account.session)

    async def login(
        self,
        account: Account,
        *,
        renew: bool = False,
        unblock: bool = False,
        actor: Actor | None = None,
    ) -> LoginAnswer:
        """Begin a login; an active session is kept unless `renew`.

        `unblock`: the owner's word that one more try is safe, after refusals that blocked it.

        Raises: `Problem` for missing credentials, a login already under way, a refusal.
        """
        lock = self.lock(account.id)
        if lock.locked():
            raise session_problem(
                409, "login_in_progress", f"a login of {account.id} is already running"
            )
        async with lock:
            standing = self._record.of(account)
            if standing.is_blocked and unblock:
                await self._life.unblock(account, actor)
            if account.session is not None and not renew and account.session.expires_at > _now():
                return LoginAnswer(
                    state=SessionState.ACTIVE,
                    account=account.id,
                    expires_at=account.session.expires_at.astimezone(IST),
                )
            if standing.is_blocked:
                self._life.move(account, SessionState.BLOCKED, standing.last_error)
                raise blocked_problem(account, standing)
            credentials = await self._credentials(account)
            self._pending.pop(account.id, None)
            await self._record.note(account, "login_begun", actor=actor)
            return await self._step(
                account,
                Sent("begin_login", tuple(sorted(credentials))),
                lambda: account.adapter.begin_login(credentials),
            )

    async def login_of_day(self, account: Account, today: date) -> None:
        """Log in at the time of day that the owner set, or tell that it is time.

        Once a day, a restart included: the day is on disk before anything is sent.
        """
        standing = self._record.of(account)
        if standing.login_day == today or self.lock(account.id).locked():
            return
        standing.login_day = today
        plan = self._plan_of(account.id)
        credentials = await self._store.get_credentials(account.id)
        if standing.is_blocked or not plan.needs_nobody(credentials):
            await self._tell_login_due(account)
            return
        await self._record.note(account, "login_of_day")
        try:
            await self.login(account, renew=True, actor={"client": "login_at"})
        except (Problem, GatewayError) as error:
            log.error("%s: the login of the day failed: %s", account.id, error)

    async def submit_otp(self, account: Account, challenge_id: str, otp: str) -> LoginAnswer:
        """Answer the pending OTP question. Raises `Problem`, naming what is wrong."""
        async with self.lock(account.id):
            pending = self._take(account, challenge_id, OtpRequired)
            credentials = await self._credentials(account)
            return await self._step(
                account,
                Sent("submit_otp", ("otp",)),
                lambda: account.adapter.submit_otp(credentials, pending.step.pending, otp),
                pending,
            )

    async def resend_otp(self, account: Account, challenge_id: str | None) -> LoginAnswer:
        """Have the broker send another OTP for the pending login."""
        async with self.lock(account.id):
            pending = self._take(account, challenge_id, OtpRequired)
            credentials = await self._credentials(account)
            return await self._step(
                account,
                Sent("resend_otp"),
                lambda: account.adapter.resend_otp(credentials, pending.step.pending),
                pending,
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
                    raise session_problem(
                        400,
                        "callback_state_mismatch",
                        "the state in this URL is not that of the pending login; begin again with"
                        f" POST /v1/sessions/{account.id}/login",
                    )
            elif not trusted:
                if pending.parked_url is not None:
                    raise session_problem(
                        409, "callback_used", "a redirect is already waiting for confirm"
                    )
                pending.parked_url = url
                self._life.move(account, SessionState.PARKED)
                await self._record.note(account, "parked")
                return LoginAnswer(
                    state=SessionState.PARKED, account=account.id, expires_at=pending.expires_at
                )
            return await self._finish_redirect(account, pending, url)

    async def confirm(self, account: Account) -> LoginAnswer:
        """Use the parked redirect of a broker that returns no `state`."""
        async with self.lock(account.id):
            pending = self._take(account, None, RedirectRequired)
            if pending.parked_url is None:
                raise session_problem(
                    409, "nothing_parked", f"no redirect of {account.id} is waiting"
                )
            return await self._finish_redirect(account, pending, pending.parked_url)

    async def logout(self, account: Account, actor: Actor | None = None) -> None:
        """End the session here, and at the broker where it offers that."""
        await self._before_logout(account)
        session = account.session
        self._pending.pop(account.id, None)
        account.session = None
        account.session_problem = None
        standing = self._record.of(account)
        if standing.state is not SessionState.BLOCKED:
            standing.move(SessionState.MISSING)
        await self._record.save(account, None, "logged_out", actor=actor)
        if session is not None:
            try:
                await account.calls.logout(session)
            except GatewayError as error:
                log.warning("%s: logout at the broker failed: %s", account.id, error.message)

    async def credentials_changed(self, account: Account, actor: Actor | None = None) -> None:
        """Let a blocked account try once more: what the broker refused was changed."""
        async with self.lock(account.id):
            if self._record.of(account).is_blocked:
                await self._life.unblock(account, actor)

    def session_expired(self, account: Account, error: LoginExpired) -> None:
        """Drop a session at the broker's first word that it is dead."""
        if account.session is None:
            return
        self._life.end(account, error.broker_message or error.message)

    def finish_erasing(self) -> None:
        """Erase what is left of ended tokens where that had to wait."""
        self._store.finish_erasing()

    async def _finish_redirect(self, account: Account, pending: Pending, url: str) -> LoginAnswer:
        credentials = await self._credentials(account)
        self._pending.pop(account.id, None)
        return await self._step(
            account,
            Sent("submit_redirect", ("url",)),
            lambda: account.adapter.submit_redirect(credentials, pending.step.pending, url),
        )

    async def _step(
        self,
        account: Account,
        sent: Sent,
        work: Callable[[], Awaitable[LoginStep]],
        pending: Pending | None = None,
    ) -> LoginAnswer:
        """Await one login step and turn its end into an answer or a `Problem`."""
        before = self._record.of(account).state
        self._life.move(account, SessionState.LOGGING_IN)
        try:
            step = await self._told(account, sent, work)
            if isinstance(step, Session):
                return await self._prove(account, step)
        except Denied as error:
            self._life.move(account, before, self._record.of(account).last_error)
            if error.reason is not ReasonCode.BREAKER_OPEN:
                raise login_problem(account, error, restart=True) from error
            raise session_problem(
                503, "breaker_open", error.message, fault=Fault.BROKER, retry_after_s=5
            ) from error
        except LoginRefused as error:
            raise await self._refused(account, error, before, pending) from error
        except GatewayError as error:
            self._pending.pop(account.id, None)
            words = error.broker_message or error.message
            self._life.move(account, SessionState.MISSING, words)
            await self._record.note(account, "login_failed", reason=words)
            raise login_problem(account, error, restart=True) from error
        except BaseException:
            self._pending.pop(account.id, None)
            self._life.move(account, SessionState.MISSING, "the login was broken off")
            raise
        return await self._ask(account, step)

    async def _told(
        self, account: Account, sent: Sent, work: Callable[[], Awaitable[LoginStep]]
    ) -> LoginStep:
        """Make one login call, and audit what was sent, by name, and what was answered."""
        body: dict[str, Any] = {"call": sent.call, "sent": sent.fields, **asked_by()}
        try:
            step = await account.calls.login(work())
        except GatewayError as error:
            body |= {
                "answer": type(error).__name__,
                "broker_code": error.broker_code,
                "broker_message": error.broker_message,
            }
            raise
        except BaseException as error:
            body["answer"] = type(error).__name__
            raise
        else:
            body["answer"] = type(step).__name__
        finally:
            await self._record.login_call(account, body)
        return step

    async def _refused(
        self,
        account: Account,
        error: LoginRefused,
        before: SessionState,
        pending: Pending | None,
    ) -> Problem:
        """Count a refusal, and stop before the broker locks the account."""
        standing = self._record.of(account)
        words = error.broker_message or error.message
        answered = bool(error.broker_message or error.broker_code)
        is_the_brokers = answered and error.reason not in _NOT_COUNTED
        if is_the_brokers:
            standing.refused_logins += 1
            standing.attempts_left = error.attempts_left
        last_chance = error.attempts_left is not None and error.attempts_left <= _CHANCES_KEPT
        too_many = is_the_brokers and standing.refused_logins >= self._rules.most_refused
        if last_chance or too_many:
            standing.is_blocked = True
            self._pending.pop(account.id, None)
            self._life.move(account, SessionState.REFUSED, words)
            self._life.move(account, SessionState.BLOCKED, words)
            log.error("%s: no further login is tried: %s", account.id, words)
            await self._record.note(account, "blocked", reason=words)
        elif error.restart or pending is None:
            self._pending.pop(account.id, None)
            self._life.move(account, SessionState.REFUSED, words)
            await self._record.note(account, "refused", reason=words)
        else:
            self._life.move(account, before)
            await self._record.note(account, "refused", reason=words)
        return login_problem(account, error, restart=error.restart, standing=standing)

    async def _ask(self, account: Account, step: OtpRequired | RedirectRequired) -> LoginAnswer:
        pending, answer = asked(account.id, step, _now())
        self._pending[account.id] = pending
        self._life.move(account, answer.state)
        await self._record.note(account, answer.state.value)
        return answer

    async def _prove(self, account: Account, session: Session) -> LoginAnswer:
        """Make one authenticated read, and check that the login is the configured client's."""
        proven = await account.calls.prove_session(session)
        credentials = await self._credentials(account)
        check_owner(account, proven, credentials.get("client_id"), self._accounts.values())
        session = msgspec.structs.replace(session, client_id=proven)
        self._pending.pop(account.id, None)
        self._life.activate(account, session)
        await self._record.save(account, session, "logged_in")
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
    ) -> Pending:
        """Return the pending login, or raise the `Problem` that says why there is none."""
        pending = self._pending.get(account.id)
        again = f"begin again with POST /v1/sessions/{account.id}/login"
        if pending is None or not isinstance(pending.step, kind):
            raise session_problem(
                409, "no_pending_login", f"{account.id} waits for nothing; {again}"
            )
        if challenge_id is not None and challenge_id != pending.challenge_id:
            raise session_problem(
                409, "challenge_unknown", f"this challenge_id is not the pending one; {again}"
            )
        if pending.expires_at <= _now():
            self._pending.pop(account.id, None)
            self._life.move(
                account, SessionState.MISSING, "the pending login was not answered in time"
            )
            raise session_problem(410, "challenge_expired", f"the challenge has expired; {again}")
        return pending

    async def _credentials(self, account: Account) -> dict[str, str]:
        credentials = await self._store.get_credentials(account.id)
        missing = [
            field.name
            for field in account.plugin.capabilities.credentials
            if field.required and not credentials.get(field.name)
        ]
        if missing:
            raise session_problem(
                409,
                "credentials_missing",
                f"the vault holds no {', '.join(missing)} for {account.id};"
                f" run: brokergate vault set {account.id}",
            )
        return credentials

    async def _tell_login_due(self, account: Account) -> None:
        blocked = self._record.of(account).is_blocked
        why = "it is blocked" if blocked else "the broker asks for a person"
        text = f"it is time to log in to {account.id}, and {why}: brokergate login {account.id}"
        log.warning("%s", text)
        await self._record.note(account, "login_due", text=text)


def _now() -> datetime:
    return datetime.now(UTC)

"""From credentials to a session that is proven, and to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import (
    Denied,
    GatewayError,
    LoginExpired,
    LoginRefused,
    NotSupported,
    OutcomeUnknown,
)
from adapters.sdk.interface import Feature
from adapters.sdk.models import LoginStep, OtpRequired, RedirectRequired, Session
from adapters.sdk.simulator import CallKind


class LoginTests(Setup):
    """Logins."""

    async def test_login_ends_in_a_proven_session(self, outside: Bench) -> None:
        session = await self.log_in(outside.adapter, outside.simulator)
        outside.session = session
        now = datetime.now(UTC)
        for name in ("logged_in_at", "expires_at"):
            require(
                getattr(session, name).tzinfo is not None,
                Rule.VALUES,
                f"Session.{name} has no time zone",
            )
        require(session.expires_at > now, Rule.LOGIN, "the new session has ended already")
        client = await outside.adapter.prove_session(session)
        require(
            client and client == session.client_id,
            Rule.LOGIN,
            f"prove_session says {client!r}, the session says {session.client_id!r}",
        )
        outside.keeps_secrets(session, outside.adapter)
        outside.kept_to_the_documents()

    async def test_each_step_of_the_login_keeps_its_secrets(self, outside: Bench) -> None:
        step = await outside.adapter.begin_login(outside.credentials)
        outside.keeps_secrets(step)
        if isinstance(step, OtpRequired):
            require(step.prompt, Rule.LOGIN, "OtpRequired.prompt does not say what to type")
        if isinstance(step, OtpRequired | RedirectRequired):
            require(
                step.expires_at.tzinfo is not None,
                Rule.VALUES,
                f"{type(step).__name__}.expires_at has no time zone",
            )

    async def test_wrong_one_time_password_is_refused_and_the_right_one_still_works(
        self, outside: Bench
    ) -> None:
        step = await self._otp_step(outside)
        otp = await self.read_otp(outside.simulator)
        wrong = "".join(str((int(digit) + 5) % 10) for digit in otp)
        try:
            got = await outside.adapter.submit_otp(outside.credentials, step.pending, wrong)
        except LoginRefused as refusal:
            outside.keeps_secrets(refusal)
            if refusal.restart:
                return
        except GatewayError as error:
            raise broken(
                Rule.LOGIN, f"a wrong one-time password is LoginRefused, not {error!r}"
            ) from error
        else:
            raise broken(Rule.LOGIN, f"a wrong one-time password was taken: {got!r}")
        done = await outside.adapter.submit_otp(outside.credentials, step.pending, otp)
        require(
            isinstance(done, Session),
            Rule.LOGIN,
            "LoginRefused said that the same step may be answered again (`restart` False), but"
            f" the right answer then led to {done!r}",
        )

    async def test_another_one_time_password_is_sent_where_that_is_offered(
        self, outside: Bench
    ) -> None:
        if not self.capabilities.has(Feature.RESEND_OTP):
            await outside.refuses(
                "resend_otp", lambda: outside.adapter.resend_otp(outside.credentials, {})
            )
            return
        step = await self._otp_step(outside)
        again = await outside.adapter.resend_otp(outside.credentials, step.pending)
        otp = await self.read_otp(outside.simulator)
        done = await outside.adapter.submit_otp(outside.credentials, again.pending, otp)
        require(isinstance(done, Session), Rule.LOGIN, f"the new password led to {done!r}")

    async def test_url_of_another_login_is_refused(self, outside: Bench) -> None:
        step = await outside.adapter.begin_login(outside.credentials)
        if not isinstance(step, RedirectRequired):
            pytest.skip("this login does not redirect")
        for url in ("http://127.0.0.1:1/callback", "http://127.0.0.1:1/?error=denied", ""):
            try:
                got = await outside.adapter.submit_redirect(outside.credentials, step.pending, url)
            except LoginRefused:
                continue
            except GatewayError as error:
                raise broken(
                    Rule.LOGIN, f"a URL without a code is LoginRefused, not {error!r}"
                ) from error
            raise broken(Rule.LOGIN, f"the URL {url!r} was taken for a login: {got!r}")

    async def test_steps_that_this_login_does_not_have_are_not_supported(
        self, outside: Bench
    ) -> None:
        step = await outside.adapter.begin_login(outside.credentials)
        outside.simulator.calls.clear()
        for kind, name, argument in (
            (OtpRequired, "submit_otp", "123456"),
            (RedirectRequired, "submit_redirect", "http://127.0.0.1:1/"),
        ):
            if isinstance(step, kind):
                continue
            call = getattr(outside.adapter, name)
            with outside.unsent(name):
                try:
                    got = await call(outside.credentials, {}, argument)
                except (NotSupported, LoginRefused):
                    continue
                except GatewayError as error:
                    raise broken(Rule.LOGIN, f"{name} out of turn raises {error!r}") from error
            raise broken(Rule.LOGIN, f"{name} out of turn answers {got!r}")

    async def test_wrong_secret_is_refused_and_not_shown(self, outside: Bench) -> None:
        for field in self.capabilities.credentials:
            right = outside.credentials.get(field.name)
            if not field.secret or not right:
                continue
            ended = await self._walk(outside, {field.name: f"wrong-{right[::-1]}"})
            require(
                isinstance(ended, LoginRefused | OutcomeUnknown),
                Rule.LOGIN,
                f"a wrong {field.name} ends in LoginRefused, not in {ended!r}",
            )
            outside.keeps_secrets(ended)
            outside.simulator.reset()

    async def test_missing_credential_is_named(self, outside: Bench) -> None:
        for field in self.capabilities.credentials:
            if not field.required:
                continue
            ended = await self._walk(outside, {field.name: ""})
            require(
                isinstance(ended, LoginRefused | Denied) and field.name in ended.message,
                Rule.LOGIN,
                f"a login without {field.name} ends in {ended!r}, which is no Denied or"
                " LoginRefused that names it",
            )

    @pytest.mark.parametrize(
        "action", ["accept_then_reset", "accept_then_html", "accept_then_empty", "status"]
    )
    async def test_lost_answer_to_a_login_is_no_refusal_and_not_repeated(
        self, outside: Bench, action: str
    ) -> None:
        self.needs_wire()
        step = await outside.adapter.begin_login(outside.credentials)
        if isinstance(step, RedirectRequired):
            url = await self.complete_login(outside.simulator, step)
        outside.simulator.calls.clear()
        outside.strike("login", action)
        try:
            if isinstance(step, RedirectRequired):
                await outside.adapter.submit_redirect(outside.credentials, step.pending, url)
            else:
                await outside.adapter.begin_login(outside.credentials)
        except OutcomeUnknown as error:
            outside.keeps_secrets(error)
        except GatewayError as error:
            raise broken(
                Rule.LOGIN, f"a login answer that was lost ({action}) is unknown, not {error!r}"
            ) from error
        else:
            if not outside.sent(CallKind.LOGIN):
                pytest.skip("this step makes no request of the kind `login`")
            raise broken(
                Rule.LOGIN,
                f"a login answer was lost ({action}), and after {outside.sent()} request(s) the"
                " step ends as if it had come",
            )
        require(
            outside.sent() == 1, Rule.LOGIN, f"one step made {outside.sent()} requests after a loss"
        )

    async def test_dead_session_is_told_as_such(self, bench: Bench) -> None:
        bench.simulator.expire_sessions()
        for name, call in (
            ("prove_session", bench.adapter.prove_session),
            ("order_book", bench.adapter.order_book),
        ):
            try:
                got = await call(bench.session)
            except LoginExpired as error:
                bench.keeps_secrets(error)
                continue
            except GatewayError as error:
                raise broken(
                    Rule.LOGIN, f"{name} with a dead session is LoginExpired, not {error!r}"
                ) from error
            raise broken(Rule.LOGIN, f"{name} with a dead session answers {got!r}")

    async def test_logout_ends_the_session_and_may_be_repeated(self, bench: Bench) -> None:
        await bench.adapter.logout(bench.session)
        if not self.capabilities.has(Feature.LOGOUT):
            return
        try:
            got = await bench.adapter.order_book(bench.session)
        except LoginExpired:
            await bench.adapter.logout(bench.session)
            return
        raise broken(Rule.LOGIN, f"after logout the book is still read: {got!r}")

    async def _walk(self, outside: Bench, changes: Mapping[str, str]) -> LoginStep | GatewayError:
        """Log in with changed credentials, an empty one left out; return where it ends."""
        given = {name: text for name, text in {**outside.credentials, **changes}.items() if text}
        adapter, simulator = outside.adapter, outside.simulator
        try:
            step = await adapter.begin_login(given)
            for _ in range(4):
                if isinstance(step, OtpRequired):
                    otp = await self.read_otp(simulator)
                    step = await adapter.submit_otp(given, step.pending, otp)
                elif isinstance(step, RedirectRequired):
                    url = await self.complete_login(simulator, step)
                    step = await adapter.submit_redirect(given, step.pending, url)
        except GatewayError as error:
            return error
        return step

    async def _otp_step(self, outside: Bench) -> OtpRequired:
        step = await outside.adapter.begin_login(outside.credentials)
        if not isinstance(step, OtpRequired):
            pytest.skip("this login asks for no one-time password")
        return step

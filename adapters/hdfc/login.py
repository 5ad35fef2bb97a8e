"""Both of InvestRight's logins (dossier hdfc 3.2, 3.3). No step is ever repeated by itself.

password   login -> login/validate -> (owner: OTP) -> twofa/validate -> authorise -> access-token
hosted     (owner: the broker's page, which redirects with a request token) -> access-token
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.hdfc import parse_login as parse
from adapters.hdfc.client import HdfcClient, Key
from adapters.hdfc.config import LOGIN_HOSTED
from adapters.hdfc.constants import IST, OTP_LIFE, REQUEST_TOKEN_NAMES
from adapters.sdk.errors import Denied, GatewayError, LoginRefused, ReasonCode
from adapters.sdk.models import LoginStep, OtpRequired, RedirectRequired, Session


class Login:
    """The login steps of one account. What must survive between steps travels in `pending`."""

    def __init__(self, client: HdfcClient, base_url: str, kind: str) -> None:
        self._client = client
        self._base_url = base_url
        self._kind = kind

    async def begin(self, credentials: Mapping[str, str]) -> LoginStep:
        """Start either login; a captcha turns the password login into the hosted one."""
        key = Key(_credential(credentials, "api_key"))
        _credential(credentials, "api_secret")
        if self._kind == LOGIN_HOSTED:
            return self._hosted(key)
        username = _credential(credentials, "username")
        password = _credential(credentials, "password")
        token_id = parse.parse_login_token(await self._client.get_login(key))
        question = parse.parse_login_question(
            await self._client.post_login_validate(key, token_id, username, password)
        )
        if question.hosted:
            return self._hosted(key)
        pending = {"token_id": token_id, "prompt": question.prompt}
        if question.login_id:
            pending["login_id"] = question.login_id
        return _otp_required(pending)

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        """Answer the question, give the consent and take the access token."""
        key, token_id = Key(_credential(credentials, "api_key")), _token_id(pending)
        api_secret = _credential(credentials, "api_secret")
        factor = parse.parse_second_factor(
            await self._client.post_twofa_validate(key, token_id, otp)
        )
        try:
            request_token = parse.parse_authorised(
                await self._client.get_authorise(key, token_id, factor.request_token)
            )
        except GatewayError:
            # With the consent given earlier, step 3's token should do (inferred, 3.3).
            if not factor.authorised:
                raise
            request_token = factor.request_token
        return await self._exchange(key, request_token, api_secret, pending.get("login_id"))

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        """Ask for another one-time password, once."""
        key = Key(_credential(credentials, "api_key"))
        parse.check_resend(await self._client.get_twofa_resend(key, _token_id(pending)))
        return _otp_required(dict(pending))

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        """Exchange the request token of the redirect, whichever of its names it has."""
        request_token = _request_token(url)
        key = Key(_credential(credentials, "api_key"))
        return await self._exchange(
            key, request_token, _credential(credentials, "api_secret"), None
        )

    async def prove(self, key: Key) -> str:
        """Read the client code from the profile.

        The documents say POST, a probe says GET: GET first, POST only where the path or the
        verb was refused (dossier hdfc 7.5).
        """
        answer = await self._client.get_user_profile(key)
        if answer.status in (404, 405):
            answer = await self._client.post_user_profile(key)
        return parse.parse_profile(answer)

    async def _exchange(
        self, key: Key, request_token: str, api_secret: str, login_id: str | None
    ) -> Session:
        token = parse.parse_access_token(
            await self._client.post_access_token(key, request_token, api_secret)
        )
        now = datetime.now(UTC)
        claims = parse.read_token_claims(token, now)
        client_id = claims.client_id or login_id or await self.prove(Key(key.api_key, token))
        return Session(
            token=token,
            client_id=client_id,
            logged_in_at=now.astimezone(IST),
            expires_at=claims.expires_at,
            extra={"api_key": key.api_key},
        )

    def _hosted(self, key: Key) -> RedirectRequired:
        # No `state` is documented, so none is sent and none can come back (3.2).
        return RedirectRequired(
            login_url=f"{self._base_url}/oapi/v1/login?{urlencode({'api_key': key.api_key})}",
            state=None,
            expires_at=datetime.now(IST) + OTP_LIFE,
            pending={},
        )


def _otp_required(pending: dict[str, str]) -> OtpRequired:
    return OtpRequired(
        prompt=pending["prompt"], expires_at=datetime.now(IST) + OTP_LIFE, pending=pending
    )


def _credential(credentials: Mapping[str, str], name: str) -> str:
    value = credentials.get(name)
    if not value:
        raise Denied(
            f"hdfc: the credential {name} is missing; store it with `brokergate vault set`",
            reason=ReasonCode.SESSION_MISSING,
        )
    return value


def _token_id(pending: Mapping[str, str]) -> str:
    token_id = pending.get("token_id")
    if not token_id:
        raise LoginRefused("hdfc: this login was not begun here; begin again", restart=True)
    return token_id


def _request_token(url: str) -> str:
    try:
        query = parse_qs(urlsplit(url.strip()).query)
    except ValueError:
        query = {}
    for name in REQUEST_TOKEN_NAMES:
        for value in query.get(name, []):
            if value:
                return value
    raise LoginRefused("HDFC: the redirect carries no request token", restart=True)

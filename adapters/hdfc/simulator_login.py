"""The simulated InvestRight login: hosted page and programmatic steps (dossier hdfc 3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from adapters.sdk.simulator import CallKind, Route, SimRequest, SimResponse

if TYPE_CHECKING:
    from adapters.hdfc.simulator import HdfcSimulator

_QUESTION = "Please enter OTP received on registered Email/Mobile"
_TERMS = {"version": 1, "content": [{"header": "Risk disclosure", "body": "Trading is risky."}]}
_TOKEN_LIFE = timedelta(hours=8)


class _PendingLogin(msgspec.Struct):
    """One login under way: `stage` is what has been passed."""

    stage: str = "begun"
    request_token: str = ""


class LoginDesk:
    """Hands out token ids, one-time passwords, request tokens and access tokens."""

    def __init__(self, simulator: HdfcSimulator) -> None:
        self._simulator = simulator
        self._pending: dict[str, _PendingLogin] = {}
        self._request_tokens: set[str] = set()

    def routes(self) -> list[Route]:
        login = CallKind.LOGIN
        return [
            Route("GET", "/oapi/v1/login", login, self._begin),
            Route("POST", "/oapi/v1/login", login, self._page_answered),
            Route("POST", "/oapi/v1/login/validate", login, self._validate),
            Route("POST", "/oapi/v1/twofa/validate", login, self._twofa),
            Route("GET", "/oapi/v1/twofa/resend", login, self._resend),
            Route("GET", "/oapi/v1/authorise", login, self._authorise),
            Route("POST", "/oapi/v1/access-token", login, self._access_token),
        ]

    def redirect(self) -> str:
        """Return where a login on the hosted page leads, with a fresh request token."""
        name = self._simulator.options.get("redirect_parameter", "request_token")
        target = self._simulator.redirect_url
        joint = "&" if "?" in target else "?"
        return f"{target}{joint}{urlencode({name: self._new_request_token()})}"

    def _begin(self, request: SimRequest) -> SimResponse:
        refusal = self._simulator.refuse_stranger(request)
        if refusal is not None:
            return refusal
        if "text/html" in request.headers.get("accept", ""):
            self._simulator.new_otp()
            return self._page(request)
        token_id = self._new_id()
        self._pending[token_id] = _PendingLogin()
        return SimResponse(200, {"tokenId": token_id})

    def _validate(self, request: SimRequest) -> SimResponse:
        pending, refusal = self._step(request, "begun")
        if pending is None:
            return refusal
        body = _json_object(request)
        if not self._knows(body.get("username"), body.get("password")):
            return SimResponse(401, {"message": "Invalid username or password"})
        pending.stage = "password"
        self._simulator.new_otp()
        return SimResponse(
            200,
            {
                "recaptcha": bool(self._simulator.options.get("recaptcha")),
                "loginId": self._simulator.client_id,
                "twofa": {"questions": [{"question": _QUESTION}]},
                "twoFAEnabled": True,
            },
        )

    def _twofa(self, request: SimRequest) -> SimResponse:
        pending, refusal = self._step(request, "password")
        if pending is None:
            return refusal
        if not self._uses_otp(_json_object(request).get("answer")):
            return SimResponse(400, {"message": "Invalid OTP"})
        pending.stage = "second factor"
        pending.request_token = self._new_id()
        is_authorised = bool(self._simulator.options.get("authorised"))
        if is_authorised:
            self._request_tokens.add(pending.request_token)
        return SimResponse(
            200,
            {
                "requestToken": pending.request_token,
                "termsAndConditions": _TERMS,
                "authorised": is_authorised,
            },
        )

    def _resend(self, request: SimRequest) -> SimResponse:
        pending, refusal = self._step(request, "password")
        if pending is None:
            return refusal
        self._simulator.new_otp()
        # The answer is undocumented, so nobody may count on JSON.
        return SimResponse(200, "OTP sent")

    def _authorise(self, request: SimRequest) -> SimResponse:
        pending, refusal = self._step(request, "second factor")
        if pending is None:
            return refusal
        query = request.query
        if query.get("consent", "").lower() not in ("true", "y"):
            return SimResponse(400, {"message": "Consent is required"})
        if query.get("request_token") != pending.request_token:
            return SimResponse(400, {"message": "Invalid request token"})
        self._request_tokens.discard(pending.request_token)
        del self._pending[query["token_id"]]
        return SimResponse(
            200,
            {
                "callbackUrl": self._simulator.redirect_url,
                "requestToken": self._new_request_token(),
            },
        )

    def _access_token(self, request: SimRequest) -> SimResponse:
        refusal = self._simulator.refuse_stranger(request)
        if refusal is not None:
            return refusal
        if "authorization" in request.headers:
            self._simulator.violation(request, "Authorization on the access-token call")
        if request.content_type != "application/json":
            self._simulator.violation(request, "login body is not JSON")
            return SimResponse(400, {"message": "JSON body expected"})
        request_token = request.query.get("request_token", "")
        if request_token not in self._request_tokens:
            return SimResponse(401, {"message": "Invalid request token"})
        self._request_tokens.remove(request_token)
        if _json_object(request).get("apiSecret") != self._simulator.credentials["api_secret"]:
            return SimResponse(401, {"message": "Invalid api secret"})
        now = self._simulator.clock()
        expires_at = now + _TOKEN_LIFE
        token = self._jwt(int(now.timestamp()), int(expires_at.timestamp()))
        self._simulator.open_session(
            token, client_id=self._simulator.client_id, expires_at=expires_at
        )
        return SimResponse(200, {"accessToken": token})

    def _page(self, request: SimRequest, problem: str = "", status: int = 200) -> SimResponse:
        """Show the hosted login as one form: user, password, OTP and consent."""
        action = escape(f"/oapi/v1/login?{urlencode(request.query)}")
        html = f"""<!doctype html><html>
<head><title>HDFC securities (simulated)</title></head><body>
<h1>Log in</h1><p role="alert">{escape(problem)}</p><form method="post" action="{action}">
<label>Client code <input name="username"></label>
<label>Password <input name="password" type="password"></label>
<label>{_QUESTION} <input name="otp"></label>
<label><input name="consent" type="checkbox" value="true" checked> I accept the terms</label>
<button>Log in</button></form></body></html>"""
        return SimResponse(status, html.encode(), {"content-type": "text/html; charset=utf-8"})

    def _page_answered(self, request: SimRequest) -> SimResponse:
        refusal = self._simulator.refuse_stranger(request)
        if refusal is not None:
            return refusal
        try:
            form = request.form()
        except ValueError:
            form = {}
        if not self._knows(form.get("username"), form.get("password")):
            return self._page(request, "Invalid username or password", 401)
        if form.get("consent") != "true":
            return self._page(request, "Please accept the terms", 400)
        if not self._uses_otp(form.get("otp")):
            return self._page(request, "Invalid OTP", 400)
        return SimResponse(302, b"", {"location": self.redirect()})

    def _step(
        self, request: SimRequest, stage: str
    ) -> tuple[_PendingLogin, SimResponse] | tuple[None, SimResponse]:
        refusal = self._simulator.refuse_stranger(request)
        if refusal is not None:
            return None, refusal
        if request.method == "POST" and request.content_type != "application/json":
            self._simulator.violation(request, "login body is not JSON")
            return None, SimResponse(400, {"message": "JSON body expected"})
        pending = self._pending.get(request.query.get("token_id", ""))
        if pending is None:
            return None, SimResponse(400, {"message": "Invalid token_id"})
        if pending.stage != stage:
            return None, SimResponse(400, {"message": f"Login is not at this step: {stage}"})
        return pending, SimResponse(500)

    def _knows(self, username: Any, password: Any) -> bool:
        known = self._simulator.credentials
        return bool(username == known["username"] and password == known["password"])

    def _uses_otp(self, otp: Any) -> bool:
        if self._simulator.otp is None or otp != self._simulator.otp:
            return False
        self._simulator.otp = None
        return True

    def _new_request_token(self) -> str:
        request_token = self._new_id()
        self._request_tokens.add(request_token)
        return request_token

    def _new_id(self) -> str:
        return f"{self._simulator.rng.getrandbits(128):032x}"

    def _jwt(self, issued_at: int, expires_at: int) -> str:
        claims = {
            "sub": self._simulator.client_id,
            "iat": issued_at,
            "exp": expires_at,
            "merchant": "brokergate",
            "merchant_api_key": self._simulator.credentials["api_key"],
            "jti": self._new_id(),
        }
        signed = f"{_part({'alg': 'HS384'})}.{_part(claims)}"
        signature = hmac.digest(b"simulated broker", signed.encode(), hashlib.sha384)
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _part(value: dict[str, Any]) -> str:
    written = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(written).decode().rstrip("=")


def _json_object(request: SimRequest) -> dict[str, Any]:
    try:
        value = request.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

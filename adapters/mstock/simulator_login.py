"""The simulated m.Stock's login: password, then OTP or TOTP, never both (dossier 3)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from adapters.mstock.simulator_answers import (
    Rejected,
    check_key,
    check_version,
    envelope,
    json_body,
    missing,
    problem,
    type_a_problem,
)
from adapters.sdk.simulator import IST, SimRequest, SimResponse, totp_code

if TYPE_CHECKING:
    from adapters.mstock.simulator import MstockSimulator

_STEP: Final = timedelta(seconds=30)
_SESSION_LIFE: Final = timedelta(hours=12)
_REQUEST_TOKEN_LIFE: Final = timedelta(minutes=10)
# About the length that one integrator reports for the trading JWT (dossier 3.2).
_JWT_SIGNATURE_CHARS: Final = 1100
_BASE64URL: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class LoginDesk:
    """Both steps. A request token is good for one login; a wrong code leaves it standing."""

    def __init__(
        self, simulator: MstockSimulator, *, uses_totp: bool, otp_life_s: int, attempts: int
    ) -> None:
        self._simulator = simulator
        self._uses_totp = uses_totp
        self._otp_life = timedelta(seconds=otp_life_s)
        self._most_attempts = attempts
        self.reset()

    def reset(self) -> None:
        self.attempts_left = self._most_attempts
        self._request_tokens: dict[str, datetime] = {}
        self._otp_sent_at: datetime | None = None

    def state(self) -> dict[str, Any]:
        """Show what a person can see: the phone, or the authenticator."""
        shown: dict[str, Any] = {"login": "totp" if self._uses_totp else "otp"}
        if self._uses_totp:
            secret = self._simulator.credentials["totp_secret"]
            return shown | {"otp": self.code_to_read(), "totp_secret": secret}
        return shown | {"otp": self._simulator.otp}

    def code_to_read(self) -> str:
        if self._uses_totp:
            secret = self._simulator.credentials["totp_secret"]
            return totp_code(secret, self._simulator.clock())
        return self._simulator.otp or ""

    def password(self, request: SimRequest) -> SimResponse:
        """Step 1. The token it gives is a request token, whatever its field is called."""
        check_version(self._simulator, request)
        body = json_body(request)
        if not body.get("clientcode") or not body.get("password"):
            return problem("Please provide valid clientcode and password.", "400", http=400)
        if body.get("totp") or body.get("state"):
            self._simulator.violation(request, "step 1 sends totp and state empty")
        known = self._simulator.credentials
        is_right = (body["clientcode"], body["password"]) == (known["username"], known["password"])
        if not is_right or not self.attempts_left:
            self.attempts_left = max(0, self.attempts_left - 1)
            words = f"Invalid username or password. {self.attempts_left} attempts remaining "
            return problem(words, "MA500")
        self.attempts_left = self._most_attempts
        message = "SUCCESS"
        if not self._uses_totp:
            self._simulator.new_otp()
            self._otp_sent_at = self._simulator.clock()
            message = "Please enter the OTP that we sent on XXXXXXX452 and XXXX00@GMAIL.COM"
        token = str(uuid.UUID(int=self._simulator.rng.getrandbits(128)))
        self._request_tokens[token] = self._simulator.clock() + _REQUEST_TOKEN_LIFE
        data = {"jwtToken": token, "refreshToken": "", "feedToken": "", "state": "live"}
        return envelope("true", message, "", data)

    def otp(self, request: SimRequest) -> SimResponse:
        """Step 2 with the OTP; in TOTP mode no code is right here."""
        body = self._second_step(request, "otp")
        if self._uses_totp or body["otp"] != self._simulator.otp or not self._otp_sent_at:
            return problem("Please enter a valid OTP.", "MA500")
        if self._simulator.clock() > self._otp_sent_at + self._otp_life:
            return problem(
                "Entered OTP has been expired. Please regenerate a new one & enter the same.",
                "MA500",
            )
        self._simulator.otp = None
        data = self._open_session(body["refreshToken"]) | {"state": "live"}
        # The docs' sample of a success still asks for the OTP.
        message = "Please enter the OTP that we sent on XXXXXXX452 and XXXX00@GMAIL.COM"
        return envelope("true", message, "", data)

    def totp(self, request: SimRequest) -> SimResponse:
        """Step 2 with the authenticator's code, of this half minute or the one before."""
        body = self._second_step(request, "totp")
        now = self._simulator.clock()
        secret = self._simulator.credentials.get("totp_secret", "")
        good = {totp_code(secret, now), totp_code(secret, now - _STEP)} if secret else set()
        if body["totp"] not in good:
            return type_a_problem("Please enter correct TOTP", "MA400", http=400)
        data = self._open_session(body["refreshToken"]) | {
            "ClientName": "A B",
            "ClientId": self._simulator.credentials["username"],
            "exchanges": ["NSE", "BSE", "NFO", "BFO"],
        }
        return envelope(True, "SUCCESS", "", data)

    def _second_step(self, request: SimRequest, code: str) -> dict[str, Any]:
        check_version(self._simulator, request)
        check_key(self._simulator, request, is_valid=self._simulator.key_valid, code=None)
        body = json_body(request)
        absent = [name for name in ("refreshToken", code) if not isinstance(body.get(name), str)]
        if absent:
            raise missing(*absent)
        good_until = self._request_tokens.get(body["refreshToken"])
        if good_until is None or self._simulator.clock() > good_until:
            raise Rejected(self._simulator.session_expired_response(request))
        return body

    def _open_session(self, request_token: str) -> dict[str, Any]:
        del self._request_tokens[request_token]
        now = self._simulator.clock().astimezone(IST)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        token = self._jwt()
        self._simulator.open_session(
            token,
            client_id=self._simulator.credentials["username"],
            expires_at=min(now + _SESSION_LIFE, midnight),
        )
        return {"jwtToken": token, "refreshToken": self._jwt(), "feedToken": self._jwt()}

    def _jwt(self) -> str:
        signature = "".join(self._simulator.rng.choices(_BASE64URL, k=_JWT_SIGNATURE_CHARS))
        return f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzaW0ifQ.{signature}"

"""Log in to every account that has no session, and ask for what only a person can give.

    morning_login.py [ACCOUNT...]

Every step is made once: brokers lock accounts after some wrong passwords or one-time passwords.
Ends with 0 when all are logged in, and last until the close.
"""

from __future__ import annotations

import sys

from gateway.client import Client, GatewayError
from gateway.client.operating import LoginStep


def main() -> int:
    wanted = sys.argv[1:]
    missing = False
    with Client.from_environment() as client:
        for session in client.sessions():
            if wanted and session.account not in wanted:
                continue
            if not session.is_active:
                try:
                    log_in(client, session.account)
                except GatewayError as error:
                    print(f"{session.account}: {error}")
        for session in client.sessions():
            if not wanted or session.account in wanted:
                until = session.expires_at or "-"
                late = "" if session.covers_close else ", which is before the close"
                print(f"{session.account}: {session.state}, until {until}{late}")
                missing = missing or not session.is_active
    return 1 if missing else 0


def log_in(client: Client, account: str) -> None:
    step: LoginStep = client.login(account)
    if step.state == "otp_required":
        otp = input(f"{account}: {step.prompt}: ")
        step = client.submit_otp(account, step.challenge_id or "", otp.strip())
    if step.state == "redirect_required":
        print(f"{account}: log in at {step.login_url}")
        # Where the broker redirects to the gateway itself, the session is there by now.
        url = input(f"{account}: paste the address that the browser ended on, or leave empty: ")
        if url.strip():
            step = client.submit_redirect(account, url.strip())
    if step.state == "parked":
        input(f"{account}: press Enter if it was you who logged in just now: ")
        client.confirm_redirect(account)


if __name__ == "__main__":
    sys.exit(main())

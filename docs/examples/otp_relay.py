"""Hand a one-time password from a phone or a mailbox to the gateway, once.

    otp_relay.py ACCOUNT phone PORT
    otp_relay.py ACCOUNT mail

Begins the login of ACCOUNT, waits for the message that the broker then sends, takes the code out of
it and answers with it. Every step is made once: whatever goes wrong, a person looks at it, since
wrong tries lock accounts. Its API key needs no more than the scope `login`.

phone: an app that forwards text messages posts each to http://HOST:PORT/ with the header
`X-Relay-Secret`. Environment: RELAY_SECRET (long and random), RELAY_HOST (127.0.0.1; let a web
server with a certificate stand before it).

mail: reads the newest messages of a mailbox, over TLS, and changes nothing in it. Environment:
IMAP_HOST, IMAP_PORT (993), IMAP_USER, IMAP_PASSWORD, IMAP_FROM (the broker's address; without it
anybody's mail would do), IMAP_FOLDER (INBOX).

RELAY_PATTERN is where the code stands in the message, in a group. The usual one takes what reads
like "123456 is your OTP" or "the code for your login is 123456", and nothing that might be meant.
"""

from __future__ import annotations

import email
import email.policy
import hmac
import imaplib
import os
import queue
import re
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway.client import Client, GatewayError

_NUMBER, _NAME = r"(?<![\w.,/:-])(\d{4,8})(?![\w/:-]|[.,]\d)", r"\b(?:otp|code|password)\b"
CODE = rf"(?i){_NUMBER} is (?:your|the)\b\D{{0,60}}?{_NAME}|{_NAME}\D{{0,40}}?{_NUMBER}"
MOST_BYTES = 4096
LOOK_S = 5.0
WAIT_S = 180.0


def main() -> int:
    if len(sys.argv) < 3 or sys.argv[2] not in ("phone", "mail"):
        print(__doc__)
        return 2
    account, pattern = sys.argv[1], re.compile(os.environ.get("RELAY_PATTERN", CODE))
    source = Phone(int(sys.argv[3]), pattern) if sys.argv[2] == "phone" else Mailbox(pattern)
    with Client.from_environment() as client:
        try:
            return log_in(client, account, source)
        except GatewayError as error:
            print(f"{account}: {error}")
            return 1


def log_in(client: Client, account: str, source: Phone | Mailbox) -> int:
    # What came before the login was begun is of another one.
    source.begin()
    step = client.login(account)
    if step.state == "active":
        print(f"{account}: logged in already, until {step.expires_at}")
        return 0
    if step.state != "otp_required":
        print(f"{account}: asks for no one-time password but stands at {step.state}")
        return 1
    left_s = WAIT_S
    if step.expires_at is not None:
        left_s = min(left_s, (step.expires_at - datetime.now(UTC)).total_seconds())
    print(f"{account}: {step.prompt}; waiting for it", flush=True)
    code = source.wait(left_s)
    if code is None:
        print(f"{account}: no code came in time")
        return 1
    step = client.submit_otp(account, step.challenge_id or "", code)
    print(f"{account}: {step.state}, until {step.expires_at}")
    return 0 if step.state == "active" else 1


class Phone:
    """Listens for forwarded messages."""

    def __init__(self, port: int, pattern: re.Pattern[str]) -> None:
        secret = os.environ.get("RELAY_SECRET", "")
        if len(secret) < 20:
            sys.exit("RELAY_SECRET is too short: make one with `openssl rand -hex 20`")
        self.codes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.has_begun = threading.Event()
        phone = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = self.headers.get("X-Relay-Secret", "")
                length = int(self.headers.get("Content-Length") or 0)
                if not hmac.compare_digest(given.encode(), secret.encode()):
                    self.send_error(403)
                    return
                if not 0 < length <= MOST_BYTES:
                    self.send_error(413)
                    return
                code = code_in(self.rfile.read(length).decode(errors="replace"), pattern)
                if code and phone.has_begun.is_set():
                    phone.codes.put(code)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing: a request's line may hold what is nobody's business."""

        server = ThreadingHTTPServer((os.environ.get("RELAY_HOST", "127.0.0.1"), port), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"listening on http://{server.server_address[0]}:{server.server_port}/", flush=True)

    def begin(self) -> None:
        self.has_begun.set()

    def wait(self, left_s: float) -> str | None:
        try:
            return self.codes.get(timeout=max(0.0, left_s))
        except queue.Empty:
            return None


class Mailbox:
    """Looks into a mailbox."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.sender = os.environ.get("IMAP_FROM", "")
        if not self.sender or '"' in self.sender or "\\" in self.sender:
            sys.exit("IMAP_FROM is the address that the broker sends one-time passwords from")
        self.pattern = pattern
        self.seen: set[bytes] = set()

    def begin(self) -> None:
        self.seen = set(messages(self.sender))

    def wait(self, left_s: float) -> str | None:
        deadline = time.monotonic() + left_s
        while time.monotonic() < deadline:
            for number, text in messages(self.sender, self.seen).items():
                self.seen.add(number)
                if code := code_in(text, self.pattern):
                    return code
            time.sleep(min(LOOK_S, max(0.0, deadline - time.monotonic())))
        return None


def code_in(text: str, pattern: re.Pattern[str]) -> str | None:
    found = pattern.search(text)
    return next((group for group in found.groups() if group), None) if found else None


def messages(sender: str, known: set[bytes] | None = None) -> dict[bytes, str]:
    """Read the messages of today that are not `known`; without it only their numbers."""
    with opened() as box:
        box.select(os.environ.get("IMAP_FOLDER", "INBOX"), readonly=True)
        since = datetime.now(UTC).strftime("%d-%b-%Y")
        _, [numbers] = box.uid("SEARCH", f'(FROM "{sender}" SINCE {since})')
        found: dict[bytes, str] = {}
        for number in (numbers or b"").split():
            if known is None:
                found[number] = ""
            elif number not in known:
                _, parts = box.uid("FETCH", number.decode(), "(BODY.PEEK[])")
                raw = next(part[1] for part in parts if isinstance(part, tuple))
                found[number] = text_of(raw)
        return found


def opened() -> imaplib.IMAP4:
    host, port = os.environ["IMAP_HOST"], int(os.environ.get("IMAP_PORT", "993"))
    # Plain only for a mail server, or a tunnel to one, on this very machine.
    plain = host == "127.0.0.1" and port != 993
    box = imaplib.IMAP4(host, port) if plain else imaplib.IMAP4_SSL(host, port)
    box.login(os.environ["IMAP_USER"], os.environ["IMAP_PASSWORD"])
    return box


def text_of(raw: bytes) -> str:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    text = body.get_content() if body is not None else ""
    return f"{message['subject'] or ''}\n{re.sub(r'<[^>]*>', ' ', text)}"


if __name__ == "__main__":
    sys.exit(main())

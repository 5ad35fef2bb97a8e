"""docs/examples/otp_relay.py against a gateway, a simulated broker, a phone and a mailbox."""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS
from tests.docs.test_programs import running
from tests.gateway.rig import Rig

SECRET = "a-long-and-random-secret-word"
ACCOUNT = "mstock-main"
SENDER = "otp@broker.example"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path / "data", brokers=("mstock",), log_in=False) as rig:
        await rig.gateway.store.set_credentials(ACCOUNT, dict(rig.sims["mstock"].credentials), {})
        yield rig


async def state(rig: Rig) -> str:
    reply = await rig.call("GET", "/v1/sessions")
    return str(reply.json["sessions"][0]["state"])


def post(url: str, text: str, secret: str = SECRET) -> int:
    request = urllib.request.Request(url, text.encode(), {"X-Relay-Secret": secret}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_a_forwarded_message_logs_in(rig: Rig) -> None:
    key = await rig.new_key("otp-relay", ["login"])
    environ = {"RELAY_SECRET": SECRET, "BROKERGATE_KEY": key}
    async with running(rig, "otp_relay.py", ACCOUNT, "phone", "0", **environ) as program:
        text = await program.until("waiting for it")
        url = next(word for word in text.split() if word.startswith("http://"))
        otp = await rig.sims["mstock"].read_otp()  # type: ignore[attr-defined]
        message = f"{otp} is your OTP to log in. Do not share it. Helpline 1800-123-4567"

        assert 403 == await asyncio.to_thread(post, url, message, "guessed")
        assert 204 == await asyncio.to_thread(post, url, "Your balance is 50000")
        assert 413 == await asyncio.to_thread(post, url, "x" * 5000)
        assert 204 == await asyncio.to_thread(post, url, message)
        status, said = await program.end()

    assert (0, "active") == (status, await state(rig))
    assert otp not in said
    assert SECRET not in said


async def test_a_wrong_code_is_sent_once_and_a_person_is_told(rig: Rig) -> None:
    async with running(rig, "otp_relay.py", ACCOUNT, "phone", "0", RELAY_SECRET=SECRET) as program:
        text = await program.until("waiting for it")
        url = next(word for word in text.split() if word.startswith("http://"))
        right = await rig.sims["mstock"].read_otp()  # type: ignore[attr-defined]
        wrong = "000000" if right != "000000" else "111111"
        await asyncio.to_thread(post, url, f"OTP: {wrong}")
        status, said = await program.end()

    assert 1 == status
    assert "valid OTP" in said
    shown = (await rig.call("GET", "/v1/sessions")).json["sessions"][0]
    assert ("otp_required", 1) == (shown["state"], shown["refused_logins"])


async def test_a_message_in_the_mailbox_logs_in_and_older_ones_do_not(rig: Rig) -> None:
    async with Mailbox() as box:
        box.put("999999 is your OTP of yesterday")
        environ = {
            "IMAP_HOST": "127.0.0.1",
            "IMAP_PORT": str(box.port),
            "IMAP_USER": "owner",
            "IMAP_PASSWORD": "mail-password",
            "IMAP_FROM": SENDER,
        }
        async with running(rig, "otp_relay.py", ACCOUNT, "mail", **environ) as program:
            await program.until("waiting for it")
            otp = await rig.sims["mstock"].read_otp()  # type: ignore[attr-defined]
            box.put(f"Dear client,\r\n\r\nthe OTP for your login is {otp}.\r\n")
            status, said = await program.end()

    assert (0, "active") == (status, await state(rig))
    assert box.was_asked_for_sender
    assert box.only_looked
    assert otp not in said
    assert "mail-password" not in said


async def test_it_wants_a_long_secret(rig: Rig) -> None:
    async with running(rig, "otp_relay.py", ACCOUNT, "phone", "0", RELAY_SECRET="short") as program:
        status, said = await program.end()

    assert (1, True) == (status, "too short" in said)
    assert "missing" == await state(rig)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("123456 is your OTP for login. Valid till 12:30:45", "123456"),
        ("Dear Customer, OTP is 4821. Ref 99887766", "4821"),
        ("Use code: 987654 to log in on 22-11-2026", "987654"),
        ("Your login OTP\n445566", "445566"),
        ("OTP for a/c XX1234 is 555666", None),
        ("Never share your OTP. Call 1800-123-4567", None),
        ("Your balance is 50000", None),
        ("Your OTP for Rs 1,20,000.00 was used", None),
    ],
)
def test_only_what_reads_like_a_code_is_taken(
    text: str, code: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    import otp_relay

    assert code == otp_relay.code_in(text, re.compile(otp_relay.CODE))
    sys.modules.pop("otp_relay")


class Mailbox:
    """As much of an IMAP server as a program that looks for mail needs (RFC 3501)."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.was_asked_for_sender = False
        self.only_looked = True

    def put(self, text: str) -> None:
        head = f"From: {SENDER}\r\nSubject: Your login\r\nContent-Type: text/plain\r\n\r\n"
        self.messages.append(f"{head}{text}".encode())

    async def __aenter__(self) -> Mailbox:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: Any) -> None:
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            tag, _, rest = line.decode().rstrip("\r\n").partition(" ")
            writer.write(self._answer(rest) + f"{tag} OK done\r\n".encode())
            await writer.drain()
            if rest.upper().startswith("LOGOUT"):
                break
        writer.close()

    def _answer(self, command: str) -> bytes:
        word = command.upper()
        if word.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1\r\n"
        if word.startswith("SELECT"):
            self.only_looked = False
        if word.startswith("EXAMINE"):
            return f"* {len(self.messages)} EXISTS\r\n".encode()
        if word.startswith("UID SEARCH"):
            self.was_asked_for_sender = f'FROM "{SENDER}"' in command
            numbers = "".join(f" {n}" for n in range(1, len(self.messages) + 1))
            return f"* SEARCH{numbers}\r\n".encode()
        if word.startswith("UID FETCH"):
            self.only_looked &= "BODY.PEEK[]" in command
            number = int(command.split()[2])
            raw = self.messages[number - 1]
            head = f"* {number} FETCH (UID {number} BODY[] {{{len(raw)}}}\r\n".encode()
            return head + raw + b")\r\n"
        if word.startswith("LOGOUT"):
            return b"* BYE\r\n"
        return b""

"""Alerts by e-mail, through an SMTP server, each message in a connection of its own.

The library waits on its socket, so it runs in a thread; a thread of its own each time, which the
end of the process need not wait for.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import msgspec

from gateway.alerts.alert import Rule
from gateway.alerts.receivers import DELIVERY_S, NotDelivered

_MOST_SUBJECT = 150


class Mailbox:
    """`security`: `starttls`, `ssl`, or `none` for a server on this machine."""

    kind = "email"

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        security: str,
        username: str | None,
        sender: str,
        to: tuple[str, ...],
        rules: frozenset[Rule],
        ca_file: str | None,
    ) -> None:
        self.name = name
        self.address = f"{host}:{port}"
        self.rules = rules
        self.needs_secret = username is not None
        self._host, self._port = host, port
        self._security = security
        self._username = username
        self._sender, self._to = sender, to
        self._ca_file = ca_file

    def takes_heads(self) -> bool:
        return False

    async def deliver(self, alert: str, body: bytes, secret: str | None) -> None:
        message = self._message(alert, body)
        try:
            async with asyncio.timeout(DELIVERY_S * 2):
                await _in_thread(lambda: self._send(message, secret))
        except TimeoutError as error:
            raise NotDelivered(f"{self.address}: no answer in time") from error
        except smtplib.SMTPResponseException as error:
            # The server's words may repeat what it was sent, the password included.
            raise NotDelivered(f"{self.address} answered SMTP {error.smtp_code}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered(f"{self.address} refused every recipient") from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotDelivered(f"{self.address}: {type(error).__name__}") from error

    async def close(self) -> None:
        """Hold nothing between messages, so there is nothing to close."""

    def _message(self, alert: str, body: bytes) -> EmailMessage:
        told = msgspec.json.decode(body)
        severity, rule = str(told.get("severity", "")).upper(), told.get("rule", told["type"])
        text = str(told.get("text", ""))
        message = EmailMessage()
        message["Subject"] = f"[brokergate] {severity} {rule}: {text}"[:_MOST_SUBJECT]
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{alert}@brokergate.invalid>"
        message["Auto-Submitted"] = "auto-generated"
        lines = [text, ""]
        lines += [f"{name}: {told[name]}" for name in _LINES if told.get(name) not in (None, 0)]
        message.set_content("\n".join(lines) + "\n")
        return message

    def _send(self, message: EmailMessage, secret: str | None) -> None:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._security == "ssl":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=DELIVERY_S, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=DELIVERY_S)
        with server:
            if self._security == "starttls":
                server.starttls(context=context)
            if self._username is not None and secret is not None:
                server.login(self._username, secret)
            server.send_message(message)


_LINES = ("rule", "severity", "at", "account", "order_id", "seq", "repeated", "id")


async def _in_thread(work: Callable[[], Any]) -> None:
    """Run blocking work in a daemon thread and wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as failure:
            error = failure
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:
            return  # the gateway has stopped meanwhile

    threading.Thread(target=run, name="alert-mail", daemon=True).start()
    await done

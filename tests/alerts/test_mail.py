"""Alerts by e-mail, over real SMTP with and without TLS."""

from __future__ import annotations

from gateway.alerts.alert import Rule, Severity, make_alert
from tests.alerts.receivers import HookServer, MailServer, until
from tests.alerts.test_alerts import mail_settings, rig_with, seal
from tests.simulator.certificates import make_certificate


async def test_mail_goes_out_over_starttls_with_the_sealed_password(tmp_path):
    server_side, _ = make_certificate(tmp_path)
    async with MailServer(server_side, "the password") as server:
        mail = await mail_settings(server.port, "starttls", tmp_path / "server.pem", "gate")
        async with rig_with(tmp_path, emails=[mail]) as rig:
            await seal(rig, "owner", "the password")
            rig.gateway.alerts.tell(
                make_alert(Rule.DISK, Severity.CRITICAL, "full\r\nBcc: x@example.com", "disk")
            )
            await until(lambda: server.messages)

            assert [True] == server.was_encrypted
            text = server.messages[0].decode()
            assert "Subject: [brokergate] CRITICAL disk: full Bcc:" in text
            assert "the password" not in text


async def test_mail_that_cannot_be_encrypted_is_not_sent(tmp_path):
    async with MailServer() as server:
        mail = await mail_settings(server.port, "starttls")
        async with rig_with(tmp_path, emails=[mail]) as rig:
            reply = await rig.call("POST", "/v1/alerts/test", {"receiver": "owner"})

            assert not reply.json["ok"]
            assert [] == server.messages


async def test_a_refused_password_is_not_repeated_in_the_error(tmp_path):
    server_side, _ = make_certificate(tmp_path)
    async with MailServer(server_side, "right") as server:
        mail = await mail_settings(server.port, "starttls", tmp_path / "server.pem", "gate")
        async with rig_with(tmp_path, emails=[mail]) as rig:
            await seal(rig, "owner", "wrong-password")
            reply = await rig.call("POST", "/v1/alerts/test", {})

            assert "SMTP 535" in reply.json["results"][0]["error"]
            assert b"wrong-password" not in reply.content


async def test_an_untrusted_certificate_is_refused(tmp_path):
    server_side, _ = make_certificate(tmp_path)
    async with HookServer(tls=server_side) as server:
        receiver = {"name": "hook", "url": f"https://127.0.0.1:{server.port}/"}
        async with rig_with(tmp_path, receiver) as rig:
            await seal(rig)
            assert not (await rig.call("POST", "/v1/alerts/test", {})).json["ok"]
            assert [] == server.got

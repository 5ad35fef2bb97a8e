"""Alerts from a whole gateway to real receivers, and the ways receivers fail."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.alerts.alert import Rule, Severity, make_alert
from gateway.alerts.receivers import vault_account
from gateway.alerts.watch import Watch
from gateway.orders.times import now_us
from gateway.store import alerts as queue_file
from gateway.store.alerts import AlertQueue, Waiting
from gateway.store.audit import RowFilter
from tests.alerts.receivers import HookServer, closed_port, until
from tests.gateway.rig import Rig

SECRET = "a-secret-of-more-than-sixteen"
HALT = {"scope": "global", "level": "HALT_NEW", "reason": "a test"}


def hook(port, name="hook", **more):
    return {"name": name, "url": f"http://127.0.0.1:{port}/told?by=brokergate", **more}


def rig_with(tmp_path, *hooks, emails=(), log_in=False, **alerts):
    settings = {
        "alerts": {"webhooks": hooks, "emails": emails, **alerts},
        "session": {"warn_ahead": ["30m"]},
    }
    return Rig(tmp_path / "data", brokers=("fyers",), settings=settings, log_in=log_in)


async def seal(rig, name="hook", secret=SECRET):
    await rig.gateway.store.set_credentials(vault_account(name), {"secret": secret}, {})


def retry_fast(rig):
    rig.gateway.alerts._first_retry_s = 0.02


async def mail_settings(port, security, pem=None, username=None):
    return {
        "name": "owner",
        "host": "127.0.0.1",
        "port": port,
        "security": security,
        "username": username,
        "sender": "gate@example.com",
        "to": ["owner@example.com"],
        "ca_file": pem,
    }


async def halt(rig):
    assert (await rig.call("POST", "/v1/kill-switch/engage", HALT)).status in (200, 201, 202)


def verify(secret, header, body, now, tolerance_s=300):
    """As docs/alerts.md tells receivers to."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    expected = hmac.new(
        secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(expected, parts["v1"]) and abs(now - int(parts["t"])) <= tolerance_s


async def test_a_kill_switch_reaches_a_webhook_signed(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        await halt(rig)

        [got] = await until(lambda: server.got)

        assert got.head.startswith(b"POST /told?by=brokergate HTTP/1.1\r\n")
        signature = got.headers["brokergate-signature"]
        assert verify(SECRET, signature, got.body, time.time())
        assert not verify(SECRET, signature, got.body + b" ", time.time())
        assert not verify("another", signature, got.body, time.time())
        assert not verify(SECRET, signature, got.body, time.time() + 3600)
        alert = got.json
        assert ("alert", "kill_switch", "critical") == (
            alert["type"],
            alert["rule"],
            alert["severity"],
        )
        assert "HALT_NEW" in alert["text"]
        assert alert["id"] == got.headers["brokergate-delivery"]


async def test_a_failing_receiver_gets_the_alert_again_until_it_takes_it(tmp_path):
    statuses = (500, 503, 429, 400)
    async with (
        HookServer(statuses=statuses) as server,
        rig_with(tmp_path, hook(server.port)) as rig,
    ):
        retry_fast(rig)
        await seal(rig)
        await halt(rig)

        await until(lambda: len(server.got) == 5)

        assert 1 == len({got.body for got in server.got})
        state = rig.gateway.alerts.states["hook"]
        await until(lambda: state.delivered == 1)
        assert 4 == state.failed
        assert {"hook": 0} == await rig.gateway.alerts.waiting()


async def test_what_could_not_be_told_is_told_after_a_restart_and_only_once(tmp_path):
    port = closed_port()
    async with rig_with(tmp_path, hook(port)) as rig:
        await seal(rig)
        await halt(rig)
        await until(lambda: rig.gateway.alerts.states["hook"].failed)
        await rig.stop_gateway()

        async with HookServer() as server:
            rig._settings["alerts"]["webhooks"] = [hook(server.port)]
            await rig.start_gateway()
            rig.gateway.alerts.wake("hook")
            first = await until(lambda: server.of("kill_switch"))
            await rig.restart_gateway()
            await rig.call("POST", "/v1/alerts/test", {})
            await until(lambda: server.of("test"))

            assert 1 == len(first) == len(server.of("kill_switch"))


async def test_rows_written_while_nobody_followed_are_told_at_the_next_start(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        store = rig.gateway.store
        await rig.gateway.alerts.stop()
        await store.audit("alarm", {"event": "late_found", "text": "it was there"}, account="x")
        await rig.restart_gateway()

        [alert] = await until(lambda: server.of("late_order"))

        assert "it was there" in alert["text"]


async def test_neither_a_failing_read_nor_an_unreadable_row_ends_the_following(tmp_path):
    async with HookServer() as server:
        rig = rig_with(tmp_path, hook(server.port))
        async with rig:
            await seal(rig)
            retry_fast(rig)
            store, faults = rig.gateway.store, ["spoil", "fail"]
            read = store.audit_rows

            async def faulty(wanted):
                rows, at = await read(wanted)
                if not any(row.kind == "kill" for row in rows) or not faults:
                    return rows, at
                if faults.pop() == "fail":
                    raise OSError("a bad sector")
                return [msgspec.structs.replace(row, body=b"{") for row in rows], at

            store.audit_rows = faulty
            await halt(rig)
            assert await until(lambda: server.of("audit_failure"))
            await halt(rig)
            assert await until(lambda: server.of("kill_switch"))


async def test_redirects_are_not_followed(tmp_path):
    async with HookServer() as other:
        to = f"http://127.0.0.1:{other.port}/"
        moved = HookServer(statuses=(307,) * 50, location=to)
        async with moved as server, rig_with(tmp_path, hook(server.port)) as rig:
            await seal(rig)
            reply = await rig.call("POST", "/v1/alerts/test", {"receiver": "hook"})

            assert not reply.json["ok"]
            assert "redirects are not followed" in reply.json["results"][0]["error"]
            assert [] == other.got


async def test_nothing_goes_out_unsigned(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        reply = await rig.call("POST", "/v1/alerts/test", {})
        assert "brokergate alerts secret hook" in reply.json["results"][0]["error"]
        await halt(rig)
        await until(lambda: rig.gateway.alerts.states["hook"].failed)
        assert [] == server.got

        made = await rig.call("PUT", "/v1/alerts/hook/secret", {})

        [got] = await until(lambda: server.of("kill_switch") and server.got)
        secret = made.json["secret"]
        assert verify(secret, got.headers["brokergate-signature"], got.body, time.time())
        seen = (await rig.call("GET", "/v1/alerts")).content + (
            await rig.call("GET", "/v1/audit?limit=1000")
        ).content
        assert secret.encode() not in seen
        assert b"by=brokergate" not in seen


async def test_a_hanging_receiver_holds_up_neither_orders_nor_another_receiver(tmp_path):
    async with HookServer(hangs=True) as dead, HookServer() as good:
        hooks = (hook(dead.port, "dead"), hook(good.port, "good"))
        async with rig_with(tmp_path, *hooks, log_in=True) as rig:
            await seal(rig, "dead")
            await seal(rig, "good")
            for n in range(5):
                body = {"event": "late_found", "text": str(n), "leg_id": str(n)}
                await rig.gateway.store.audit("alarm", body, account="fyers-main")
            await until(lambda: dead.got)
            for n in range(20):
                reply = await rig.place(f"k{n}", accounts=["fyers-main"])
                assert 201 == reply.status, reply.content

            await until(lambda: len(good.of("late_order")) == 5)

            # The first is still being told to the one that hangs, whatever went on meanwhile.
            assert 1 == len(dead.got)
            assert 20 == len(rig.ledger("fyers"))


async def test_no_row_of_an_order_is_written_for_an_alert(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port), log_in=True) as rig:
        await seal(rig)
        before = await rig.gateway.store.last_audit_seq()
        await halt(rig)
        await until(lambda: server.got)
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(after=before))

        assert {"kill"} == {row.kind for row in rows}


async def test_the_same_is_told_once_and_how_often_it_came(tmp_path):
    rig = rig_with(tmp_path, {"name": "hook", "url": f"http://127.0.0.1:{closed_port()}/"})
    async with HookServer() as server:
        rig._settings["alerts"]["webhooks"] = [hook(server.port)]
        rig._settings["alerts"]["repeat_after_s"] = 1
        async with rig:
            await seal(rig)
            desk = rig.gateway.alerts

            def same():
                return make_alert(Rule.DISK, Severity.CRITICAL, "full", "disk")

            desk._repeats.repeat_after_us = 3600 * 10**6
            desk.tell(same())
            await until(lambda: server.of("disk"))
            desk.tell(same())
            desk.tell(same())
            desk.tell(make_alert(Rule.DISK, Severity.CRITICAL, "other", "other disk"))
            await until(lambda: len(server.of("disk")) == 2)
            desk._repeats.repeat_after_us = 0
            desk.tell(same())
            await until(lambda: len(server.of("disk")) == 3)

            assert [0, 0, 2] == [alert["repeated"] for alert in server.of("disk")]


async def test_a_flood_of_one_rule_ends_in_one_word_about_it(tmp_path):
    async with (
        HookServer() as server,
        rig_with(tmp_path, hook(server.port), most_per_hour=3) as rig,
    ):
        await seal(rig)
        for n in range(50):
            rig.gateway.alerts.tell(make_alert(Rule.ALARM, Severity.WARNING, str(n), str(n)))
        rig.gateway.alerts.tell(make_alert(Rule.DISK, Severity.CRITICAL, "full", "disk"))

        await until(lambda: server.of("disk"))

        told = [alert["text"] for alert in server.of("alarm")]
        assert 4 == len(told)
        assert "held back" in told[-1]


async def test_the_queue_is_bounded_and_drops_the_oldest(tmp_path):
    async with rig_with(tmp_path, hook(closed_port()), most_waiting=5, most_per_hour=1000) as rig:
        await seal(rig)
        for n in range(20):
            rig.gateway.alerts.tell(make_alert(Rule.ALARM, Severity.WARNING, str(n), str(n)))
        await until(lambda: rig.gateway.alerts.states["hook"].dropped == 15)
        assert {"hook": 5} == await rig.gateway.alerts.waiting()

        [view] = (await rig.call("GET", "/v1/alerts")).json["receivers"]
        assert (5, 15) == (view["waiting"], view["dropped"])


async def test_what_is_too_old_is_dropped(tmp_path):
    async with rig_with(tmp_path, hook(closed_port())) as rig:
        retry_fast(rig)
        await seal(rig)
        desk = rig.gateway.alerts
        desk._oldest_us = lambda: 1
        desk.tell(make_alert(Rule.ALARM, Severity.WARNING, "old", "old"))

        await until(lambda: desk.states["hook"].dropped == 1)

        assert {"hook": 0} == await desk.waiting()


async def test_a_receiver_gets_only_the_rules_it_names(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port, rules=["disk"])) as rig:
        await seal(rig)
        await halt(rig)
        rig.gateway.alerts.tell(make_alert(Rule.DISK, Severity.CRITICAL, "full", "disk"))
        await until(lambda: server.got)

        assert [] == server.of("kill_switch")


async def test_a_queue_that_cannot_be_written_is_told_from_memory(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        desk = rig.gateway.alerts
        await until(lambda: desk._queue is not None)
        desk._queue._connection.execute("PRAGMA query_only=1")
        desk.tell(make_alert(Rule.DISK, Severity.CRITICAL, "full", "disk"))

        assert await until(lambda: server.of("disk"))


async def test_a_damaged_queue_is_begun_anew(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "alerts.db").write_bytes(b"not a database" * 100)
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        await halt(rig)

        assert await until(lambda: server.of("kill_switch"))
        assert (tmp_path / "data" / "alerts.db.damaged").exists()


@pytest.mark.parametrize("page", [2, 4])
async def test_a_queue_with_a_damaged_page_is_begun_anew(tmp_path, page):
    queue = AlertQueue(tmp_path / "data" / "alerts.db", most=10)
    told = [queue_file.Told(f"subject {number}", now_us(), 0) for number in range(500)]
    await queue.add([], told, 1, 0)
    queue.close()
    content = bytearray((tmp_path / "data" / "alerts.db").read_bytes())
    content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    (tmp_path / "data" / "alerts.db").write_bytes(content)
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        await halt(rig)

        assert await until(lambda: server.of("kill_switch"))
        assert (tmp_path / "data" / "alerts.db.damaged").exists()


async def test_a_queue_that_takes_no_writes_keeps_no_gateway_from_starting(tmp_path):
    queue = AlertQueue(tmp_path / "data" / "alerts.db", most=10)
    await queue.add([Waiting(0, "gone", "alr_1", now_us(), 0, 0, b"{}")], [], 1, 0)
    queue.close()

    def open_queue(*given, **named):
        queue = AlertQueue(*given, **named)
        queue._connection.execute("PRAGMA query_only=1")
        return queue

    async with HookServer() as server:
        rig = rig_with(tmp_path, hook(server.port))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.runtime.AlertQueue", open_queue)
            async with rig:
                await seal(rig)
                await halt(rig)

                assert await until(lambda: server.of("kill_switch"))


async def test_the_audit_head_goes_to_who_asked_for_it(tmp_path):
    async with (
        HookServer() as server,
        rig_with(tmp_path, hook(server.port, audit_heads=True)) as rig,
    ):
        retry_fast(rig)
        await seal(rig)
        rig.gateway.alerts.wake("hook")
        [head] = await until(
            lambda: [got for got in server.alerts() if got["type"] == "audit.head"]
        )
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(after=head["seq"] - 1, limit=1))

        assert rows[0].mac.hex() == head["mac"]


@pytest.mark.parametrize(
    ("kind", "body", "rule"),
    [
        ("session", {"event": "expired"}, "session_ended"),
        ("session", {"event": "expiring"}, "session_expiring"),
        ("breaker", {"to": "open", "from": "closed", "class": "orders"}, "breaker"),
        ("alarm", {"event": "needs_operator", "text": "t"}, "unresolved_leg"),
        ("alarm", {"event": "late_found", "text": "t"}, "late_order"),
        ("alarm", {"event": "duplicate_detected", "text": "t"}, "duplicate_order"),
        ("alarm", {"event": "audit_broken", "text": "t"}, "audit_failure"),
        ("alarm", {"event": "max_daily_loss", "text": "t"}, "max_daily_loss"),
        ("alarm", {"event": "certificate_expiring", "text": "t"}, "certificate"),
        ("alarm", {"event": "something_new", "text": "t"}, "alarm"),
        ("key", {"event": "keys_refused", "refused": {"10.0.0.1": 5}}, "keys_refused"),
    ],
)
async def test_each_rule_tells_of_its_row(tmp_path, kind, body, rule):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        await rig.gateway.store.audit(kind, body, account="fyers-main")

        [alert] = await until(lambda: server.of(rule))

        assert "fyers-main" in (alert["account"] or "")


async def test_wrong_keys_are_told_of(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port)) as rig:
        await seal(rig)
        assert 401 == (await rig.call("GET", "/v1/accounts", key="bg_live_x_y")).status

        [alert] = await until(lambda: server.of("keys_refused"))

        assert "127.0.0.1" in alert["text"]


class Told:
    """A watch over a rig, with what it tells."""

    def __init__(self, rig, **alerts):
        settings = rig.gateway.settings.alerts.model_copy(update=alerts)
        self.alerts = []
        self.watch = Watch(
            settings,
            rig.gateway.store,
            rig.gateway.accounts,
            rig.gateway.switch,
            rig.data_dir,
            self.alerts.append,
            rig.gateway.sessions.views,
        )


async def test_a_disk_that_is_nearly_full_is_told_and_recorded_once(tmp_path):
    async with rig_with(tmp_path) as rig:
        told = Told(rig, disk_free_mb=10**9)
        await told.watch._look_at_disk()
        await told.watch._look_at_disk()
        rows, _ = await rig.gateway.store.audit_rows(RowFilter(kinds=frozenset({"alarm"})))

        assert {Rule.DISK} == {alert.rule for alert in told.alerts}
        assert ["disk"] == [msgspec.json.decode(row.body)["event"] for row in rows]


async def test_an_unwritable_journal_is_an_audit_failure(tmp_path):
    async with rig_with(tmp_path) as rig:
        told = Told(rig)
        told.watch._look_at_journal()
        assert [] == told.alerts
        rig.gateway._journal_broke(OSError("no space"))
        told.watch._look_at_journal()

        assert [Rule.AUDIT_FAILURE] == [alert.rule for alert in told.alerts]
        assert "no space" in told.alerts[0].text


async def test_a_session_is_warned_of_once_before_it_ends_and_told_when_it_has(tmp_path):
    async with HookServer() as server, rig_with(tmp_path, hook(server.port), log_in=True) as rig:
        await seal(rig)
        account = rig.gateway.accounts["fyers-main"]
        soon = datetime.now(UTC) + timedelta(minutes=20)
        account.session = msgspec.structs.replace(account.session, expires_at=soon)
        told = Told(rig)
        told.watch._look_at_sessions()
        told.watch._look_at_sessions()
        await until(lambda: server.of("session_expiring"))
        past = datetime.now(UTC) - timedelta(seconds=1)
        account.session = msgspec.structs.replace(account.session, expires_at=past)
        told.watch._look_at_sessions()
        await until(lambda: server.of("session_ended"))

        assert 1 == len(server.of("session_expiring"))
        stored = await rig.gateway.store.load_sessions()
        assert [None] == [session.secret for session in stored]


async def test_a_leg_in_doubt_for_long_is_told(tmp_path):
    async with rig_with(tmp_path, log_in=True) as rig:
        rig.sims["fyers"].faults.add(
            [
                {"call": "place", "action": "reset_before_accept"},
                {"call": "book", "action": "book_fail", "count": None, "params": {"status": 500}},
            ]
        )
        await rig.place(accounts=["fyers-main"], wait_ms=0)
        moving = rig.gateway.accounts["fyers-main"].moving
        await until(lambda: any(leg.state == "UNKNOWN" for leg in moving.values()))
        patient, told = Told(rig, unresolved_after_s=3600), Told(rig, unresolved_after_s=0)
        patient.watch._look_at_legs()
        told.watch._look_at_legs()

        assert [] == patient.alerts
        [alert] = told.alerts
        assert (Rule.UNRESOLVED_LEG, "fyers-main") == (alert.rule, alert.account)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/alerts/nobody/secret", {}, 404, "receiver_unknown"),
        ("/v1/alerts/hook/secret", {"secret": "short"}, 422, "invalid_request"),
        ("/v1/alerts/owner/secret", {}, 422, "invalid_request"),
    ],
)
async def test_a_wrong_secret_is_refused(tmp_path, path, body, status, code):
    mail = await mail_settings(closed_port(), "none")
    async with rig_with(tmp_path, hook(closed_port()), emails=[mail]) as rig:
        reply = await rig.call("PUT", path, body)
        assert (status, code) == (reply.status, reply.json["code"])
        test = await rig.call("POST", "/v1/alerts/test", {"receiver": "nobody"})
        assert 422 == test.status


async def test_without_receivers_there_is_nothing_to_test(tmp_path):
    async with rig_with(tmp_path) as rig:
        reply = await rig.call("POST", "/v1/alerts/test", {})
        assert (409, "no_receivers") == (reply.status, reply.json["code"])
        assert not (tmp_path / "data" / "alerts.db").exists()

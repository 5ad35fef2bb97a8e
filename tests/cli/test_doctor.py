"""What `brokergate doctor` finds wrong outside the gateway, and how it says to mend it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.cli.conftest import Program

HEAD = "\naccounts:\n"


class Broker(BaseHTTPRequestHandler):
    ahead_s = 0.0

    def do_HEAD(self) -> None:
        self.send_response_only(404)
        now = datetime.now(UTC) + timedelta(seconds=self.ahead_s)
        self.send_header("Date", format_datetime(now, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def broker() -> Iterator[HTTPServer]:
    Broker.ahead_s = 0.0
    with HTTPServer(("127.0.0.1", 0), Broker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def doctor(program: Program, broker: HTTPServer) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run the doctor on a configuration with one account at the broker above."""

    def run(account: str = "", more: str = "", *options: str) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{broker.server_port}"
        config = program.folder / "brokergate.yaml"
        config.write_text(
            f"{more}{HEAD}  - id: m\n    broker: mstock\n    base_urls: {{api: '{url}'}}\n{account}"
        )
        if not (program.folder / "master.key").exists():
            config.unlink()
            assert program.run("init", "--broker", "mstock").returncode == 0
            config.write_text(
                f"{more}{HEAD}  - id: m\n    broker: mstock\n"
                f"    base_urls: {{api: '{url}'}}\n{account}"
            )
        done = program.run("doctor", "--json", *options)
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, {each["name"]: each for each in checks}

    return run


def test_a_good_set_up_has_no_findings(doctor: Any) -> None:
    status, checks = doctor("    registered_ips: [127.0.0.1]\n")

    assert 0 == status
    for name in ("file modes", "disk", "clock", "broker hosts", "address of m"):
        assert checks[name]["ok"], checks[name]


@pytest.mark.parametrize("ahead_s", [-3600, 40])
def test_a_wrong_clock_is_bad(doctor: Any, ahead_s: float) -> None:
    Broker.ahead_s = ahead_s

    status, checks = doctor()

    assert (1, False) == (status, checks["clock"]["ok"])
    assert "behind" in checks["clock"]["detail"] if ahead_s > 0 else "ahead"
    assert "NTP" in checks["clock"]["fix"]


def test_offline_asks_nobody(doctor: Any) -> None:
    Broker.ahead_s = 3600

    status, checks = doctor("", "", "--offline")

    assert (0, False) == (status, "clock" in checks)


@pytest.mark.parametrize(
    ("account", "ok", "word"),
    [
        ("    source_address: 192.0.2.1\n", False, "no address of this machine"),
        ("    registered_ips: [203.0.113.7]\n", None, "router translates"),
        ("    source_address: 127.0.0.2\n    registered_ips: [127.0.0.2]\n", True, "registered"),
    ],
)
def test_addresses_are_compared(doctor: Any, account: str, ok: bool | None, word: str) -> None:
    status, checks = doctor(account)

    assert ok is checks["address of m"]["ok"]
    assert word in checks["address of m"]["detail"]
    assert (1 if ok is False else 0) == status


def test_a_full_disk_and_a_receiver_without_a_secret_are_bad(doctor: Any) -> None:
    alerts = (
        "alerts: {disk_free_mb: 10000000, webhooks: [{name: hook, url: 'https://h.example'}]}\n"
    )

    status, checks = doctor("", alerts)

    assert (1, False, False) == (status, checks["disk"]["ok"], checks["alerts"]["ok"])
    assert "brokergate alerts secret hook" == checks["alerts"]["fix"]


def test_files_that_others_can_read_or_change_are_bad(doctor: Any, program: Program) -> None:
    doctor()
    (program.folder / "brokergate.yaml").chmod(0o666)

    status, checks = doctor()

    assert (1, False) == (status, checks["configuration file"]["ok"])
    (program.folder / "brokergate.yaml").chmod(0o644)
    (program.folder / "master.key").chmod(0o640)
    status, checks = doctor()
    assert (1, False) == (status, checks["file modes"]["ok"])
    assert checks["file modes"]["fix"].startswith("chmod 600")

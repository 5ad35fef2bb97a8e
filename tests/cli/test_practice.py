"""A gateway with one account at a simulator: the way a newcomer practises."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from typing import Any

import pytest

from gateway.cli.client import HttpApi, ask
from gateway.cli.demo.browser import follow_login_page
from gateway.cli.simulators import SimulatorInfo
from tests.cli.conftest import DEADLINE_S, Program, read_until, stop

ORDER = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "812.50",
    "wait_for": "book",
}


class Practice:
    """A simulator, and a gateway with one account there whose credentials are sealed."""

    def __init__(self, program: Program, broker: str) -> None:
        self.program = program
        self.simulator = program.start("simulate", broker, "--port", "0", "--json")
        assert self.simulator.stdout is not None
        self.info: dict[str, Any] = json.loads(self.simulator.stdout.readline())
        self.account = f"{broker}-main"
        assert 0 == program.run("init").returncode
        account = {"id": self.account, "broker": broker, "base_urls": self.info["base_urls"]}
        account["market_hours"] = "ignore"
        (program.folder / "brokergate.yaml").write_text(f"accounts: [{json.dumps(account)}]")
        sealed = json.dumps(self.info["credentials"])
        done = program.run("vault", "set", self.account, "--stdin", stdin=sealed)
        assert 0 == done.returncode, done.stderr
        self.gateway = program.start("serve", "--port", "0")
        self.url = read_until(self.gateway, "ready on")[-1].split()[3]

    def otp(self) -> str:
        with urllib.request.urlopen(self.info["control"]["otp"]) as answer:
            return str(json.load(answer)["otp"])

    def api(self) -> HttpApi:
        key = self.program.json("keys", "create", "--name", "bot", "--scope", "operate")["key"]
        return HttpApi(self.url, key)

    def log_in(self) -> None:
        login = self.program.start("login", self.account)
        self.wait_for("otp")
        self.answer(login, self.otp())
        assert 0 == login.wait(DEADLINE_S), self.program.log()

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until the program that was started last has written `words` to stderr."""
        deadline = time.monotonic() + DEADLINE_S
        while self.program.log().lower().count(words) < times:
            assert time.monotonic() < deadline, self.program.log()
            time.sleep(0.02)

    def answer(self, process: subprocess.Popen[str], text: str) -> None:
        assert process.stdin is not None
        process.stdin.write(text + "\n")
        process.stdin.flush()

    def stop(self) -> None:
        assert 0 == stop(self.gateway)
        assert 0 == stop(self.simulator)


@pytest.mark.parametrize("broker", ["mstock", "hdfc"])
def test_login_asks_for_the_otp_again_after_a_wrong_one(program: Program, broker: str) -> None:
    practice = Practice(program, broker)
    login = program.start("login", practice.account)
    practice.wait_for("otp")
    practice.answer(login, "000000")
    practice.wait_for("otp", times=3)  # the question, what was wrong with the answer, again
    practice.answer(login, practice.otp())

    assert 0 == login.wait(DEADLINE_S), program.log()
    assert f"{practice.account}: logged in, until " in program.log()
    practice.stop()


def test_login_shows_the_page_and_takes_the_address_that_it_ends_on(program: Program) -> None:
    practice = Practice(program, "fyers")
    # What a desktop opens an address with.
    opener, opened = program.folder / "bin" / "xdg-open", program.folder / "opened"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    opener.chmod(0o755)
    program.environ["PATH"] = f"{opener.parent}:{program.environ['PATH']}"
    login = program.start("login", "--all", "--open")
    practice.wait_for("paste the address")
    page = next(word for word in program.log().split() if "generate-authcode" in word)
    deadline = time.monotonic() + DEADLINE_S
    while not opened.exists() or not opened.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert page == opened.read_text().strip()
    simulator = SimulatorInfo(
        broker="fyers",
        title="Fyers",
        **{name: practice.info[name] for name in SimulatorInfo.__struct_fields__[2:]},
    )
    practice.answer(login, follow_login_page(page, simulator))

    assert 0 == login.wait(DEADLINE_S), program.log()
    again = program.run("login", "--all", "--json")
    # Fyers' sessions end at 06:00 in India: in the half hour before, one is new and ends soon.
    assert json.loads(again.stdout)["sessions"][0]["state"] in ("active", "expiring")
    practice.stop()


def test_orders_show_the_same_on_a_running_and_on_a_stopped_gateway(program: Program) -> None:
    practice = Practice(program, "mstock")
    practice.log_in()
    loaded = program.json("instruments", "refresh")["masters"]["mstock"]
    assert loaded["ok"] is True
    order = {**ORDER, "accounts": [practice.account]}
    placed = ask(practice.api(), "POST", "/v1/orders", order, headers={"Idempotency-Key": "k"})
    order_id = placed["order_id"]
    assert "accepted" == placed["summary"]
    running = program.run("orders", "--account", practice.account)
    history = program.run("orders", order_id, "--history")

    practice.stop()

    assert "BUY 10 NSE:SBIN LIMIT 812.50 CNC" in running.stdout
    assert placed["legs"][0]["broker_order_id"] in running.stdout
    assert "SENDING" in history.stdout
    stopped = program.run("orders", "--account", practice.account)
    assert running.stdout == stopped.stdout
    assert order_id == program.json("orders", order_id)["order_id"]
    assert [] == program.json("orders", "--open")["orders"]
    missing = program.run("orders", "ord_nothing")
    assert (1, True) == (missing.returncode, "no order ord_nothing" in missing.stderr)


def test_failed_login_exits_1_and_says_which_account(program: Program) -> None:
    practice = Practice(program, "mstock")
    assert 0 == stop(practice.simulator)

    done = program.run("login", "--all")

    assert 1 == done.returncode
    assert done.stderr.startswith("mstock-main: ")
    assert 0 == stop(practice.gateway)

"""The real command in a real terminal over three brokers: what a person at 09:14 does."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.cli.client import HttpApi, ask
from gateway.cli.demo.browser import follow_login_page, read_otp
from gateway.cli.simulators import SimulatorInfo
from tests.cli.conftest import Program, read_until, stop
from tests.cli.conftest import program as program  # the fixture

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux is not installed: nothing to drive the console in"
)
BROKERS = ("fyers", "mstock", "hdfc")
# A person reads a question before answering it; the console takes no earlier answer.
READ_S = 0.6
ORDER = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "760.00",
    "wait_for": "book",
}


class Terminal:
    """A tmux server of its own with one window of 80x24."""

    def __init__(self, program: Program, command: list[str]) -> None:
        self._tmux = ["tmux", "-S", str(program.folder / "tmux.sock"), "-f", "/dev/null"]
        environ = {**program.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        size = ["-x", "80", "-y", "24"]
        subprocess.run(
            [*self._tmux, "-u", "new-session", "-d", *size, shlex.join(command)],
            env=environ,
            cwd=program.folder,
            check=True,
            timeout=30,
        )

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True, timeout=30)

    def types(self, text: str) -> None:
        self.keys("-l", text)

    @property
    def screen(self) -> str:
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def sees(self, *words: str) -> None:
        for each in words:
            self.until(lambda each=each: each in self.screen, each)  # type: ignore[misc]

    def until(self, holds: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + 60
        while not holds():
            if time.monotonic() > give_up:
                raise AssertionError(f"never came: {what}\n{self.screen}")
            time.sleep(0.05)

    def boxed(self, begin: str) -> str:
        """What stands in a dialog's lines after the one that holds `begin`, up to a field."""
        lines = self.screen.splitlines()
        at = next(place for place, line in enumerate(lines) if begin in line)
        words = ""
        for line in lines[at + 1 :]:
            if "▔" in line:
                return words
            words += line.strip().strip("█").strip()
        raise AssertionError(f"no field after {begin}\n{self.screen}")

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=30)


class Morning:
    """Three simulators and a gateway with an account at each, credentials sealed, no session."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._started = []
        self.simulators: dict[str, SimulatorInfo] = {}
        accounts = []
        assert 0 == program.run("init").returncode
        for broker in BROKERS:
            hidden = ("--option", 'echo="none"') if broker == "mstock" else ()
            process = program.start("simulate", broker, "--port", "0", "--json", *hidden)
            self._started.append(process)
            assert process.stdout is not None
            told: dict[str, Any] = json.loads(process.stdout.readline())
            fields = {name: told[name] for name in SimulatorInfo.__struct_fields__[2:]}
            self.simulators[broker] = SimulatorInfo(broker=broker, title=broker, **fields)
            account = {"id": f"{broker}-main", "broker": broker, "base_urls": told["base_urls"]}
            accounts.append({**account, "market_hours": "ignore"})
        (program.folder / "brokergate.yaml").write_text(f"accounts: {json.dumps(accounts)}")
        for broker, simulator in self.simulators.items():
            sealed = json.dumps(simulator.credentials)
            done = program.run("vault", "set", f"{broker}-main", "--stdin", stdin=sealed)
            assert 0 == done.returncode, done.stderr
        self.start_gateway()

    def start_gateway(self) -> None:
        self.gateway = self.program.start("serve", "--port", "0")
        self.url = read_until(self.gateway, "ready on")[-1].split()[3]

    def api(self) -> HttpApi:
        key = self.program.json("keys", "create", "--name", "bot", "--scope", "operate")["key"]
        return HttpApi(self.url, key)

    def lose_answer(self, broker: str) -> None:
        """Let the next order reach the broker and its answer be lost."""
        request = urllib.request.Request(
            f"{self.simulators[broker].control_url}/_sim/faults",
            data=json.dumps([{"call": "place", "action": "accept_then_reset"}]).encode(),
        )
        with urllib.request.urlopen(request) as answer:
            assert 200 == answer.status

    def stop(self) -> None:
        for process in (self.gateway, *self._started):
            assert 0 == stop(process)


@pytest.fixture
def morning(program: Program) -> Iterator[Morning]:
    morning = Morning(program)
    yield morning
    morning.stop()


@pytest.fixture
def terminal(program: Program, morning: Morning) -> Iterator[Terminal]:
    terminal = Terminal(program, [sys.executable, "-m", "gateway.cli.main", "console"])
    yield terminal
    terminal.close()


def log_in_everywhere(terminal: Terminal, morning: Morning) -> None:
    """One key; then the page of one broker and the one-time passwords of two."""
    terminal.sees("● connected", "✗ missing")
    terminal.keys("l")
    terminal.sees("? fyers-main", "paste the address")
    page = terminal.boxed("open this page")
    terminal.types(follow_login_page(page, morning.simulators["fyers"]))
    terminal.keys("Enter")
    for broker in ("mstock", "hdfc"):
        terminal.sees(f"? {broker}-main", "one-time password")
        terminal.types(read_otp(morning.simulators[broker]))
        terminal.keys("Enter")
    terminal.sees("3 of 3 logged in")
    terminal.keys("Escape")

    def usable() -> int:
        # Fyers' sessions end at 06:00 in India: in the half hour before, one is new and ends soon.
        return terminal.screen.count("● active") + terminal.screen.count("◔ expiring")

    terminal.until(lambda: usable() == 3, "three sessions")


def test_morning_login_an_ambiguous_order_settled_kill_and_release(
    morning: Morning, terminal: Terminal
) -> None:
    log_in_everywhere(terminal, morning)

    # An order whose answer is lost at a broker that gives no tags back.
    api = morning.api()
    assert morning.program.json("instruments", "refresh")["masters"]["mstock"]["ok"]
    morning.lose_answer("mstock")
    order = {**ORDER, "accounts": ["mstock-main"]}
    placed = ask(api, "POST", "/v1/orders", order, headers={"Idempotency-Key": "morning"})
    assert "unknown" == placed["legs"][0]["outcome"]
    terminal.sees("? 1 UNRESOLVED")
    terminal.keys("2")
    terminal.sees("[2 Unresolved]", "BUY 10 NSE:SBIN")
    terminal.keys("a")
    terminal.sees("Adopt an order as this leg", "█   suspect ")
    terminal.keys("Enter")
    terminal.types("seen in the broker's app")
    terminal.keys("Enter")
    terminal.sees("On your word?", "because: seen in the broker's app")
    time.sleep(READ_S)
    terminal.keys("Tab", "Enter")
    terminal.sees("✓ Nothing is unresolved")
    leg = ask(api, "GET", f"/v1/orders/{placed['order_id']}")["legs"][0]
    assert "accepted" == leg["outcome"], leg

    # All of it stopped with two keys, its order cancelled, and let go again.
    terminal.types("!")
    terminal.sees("▶ HALT_NEW")
    terminal.keys("Down", "Enter")
    terminal.sees("KILL SWITCH ENGAGED: CANCEL_ALL", "cancels 1 of 1, done")
    terminal.keys("x")
    terminal.sees("Release CANCEL_ALL")
    # In one go, as over a slow line.
    terminal.keys("a", "l", "l", "Space", "w", "e", "l", "l", "Enter", *"RELEASE", "Enter")
    terminal.sees("Kill switch: not engaged")
    leg = ask(api, "GET", f"/v1/orders/{placed['order_id']}")["legs"][0]
    assert "CANCELLED" == leg["state"], leg
    terminal.keys("Escape")
    terminal.keys("q")


def test_a_gateway_that_is_killed_and_started_again_is_found_by_the_same_console(
    morning: Morning, terminal: Terminal
) -> None:
    terminal.sees("● connected", "✗ missing")
    morning.gateway.kill()
    morning.gateway.communicate(timeout=30)
    terminal.sees("GATEWAY GONE", "! As it was")
    terminal.types("!")
    terminal.sees("The gateway is gone")
    terminal.keys("Enter")
    terminal.sees("NOT CONFIRMED")
    terminal.keys("Escape")

    morning.start_gateway()

    terminal.sees("● connected", "Kill switch: not engaged")
    terminal.until(lambda: "As it was" not in terminal.screen, "fresh again")

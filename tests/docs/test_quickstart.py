"""docs/quickstart.md, word for word, with simulators in the brokers' place.

What differs from a reader's day is said by the mark over a block: credentials are piped in, a
person's answers come from the simulators, and the gateway takes a free port instead of 8080.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import urllib.request
from typing import Any

import msgspec
import yaml

from gateway.cli.demo.browser import follow_login_page
from gateway.cli.ports import free_port
from gateway.cli.simulators import SimulatorInfo
from tests.cli.conftest import DEADLINE_S, PROGRAM, Program, read_until
from tests.cli.conftest import program as program  # the fixture
from tests.docs.pages import DOCS, Block, blocks

PAGE = DOCS / "quickstart.md"
BROKERS = ("fyers", "mstock", "hdfc")


class Newcomer:
    """Follows the page in an empty folder."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.folder = program.folder
        self.port = free_port("127.0.0.1")
        self.variables = self.folder / "variables"
        self.variables.touch()
        shim = self.folder / "bin" / "brokergate"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
        shim.chmod(0o755)
        self.sims: dict[str, dict[str, Any]] = {}
        for broker in BROKERS:
            process = program.start("simulate", broker, "--port", "0", "--json")
            assert process.stdout is not None
            self.sims[broker] = json.loads(process.stdout.readline())

    def shell(self, text: str) -> str:
        """Run lines as a reader types them; what they export stays."""
        text = text.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{self.port}")
        kept = f"export -p | grep BROKERGATE > {self.variables} || true"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". {self.variables}\n{text}\n{kept}"],
            cwd=self.folder,
            env=self.program.environ
            | {"PATH": f"{self.folder / 'bin'}:{self.program.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def point_at_simulators(self) -> None:
        """Put the simulators' addresses into the configuration that `init` wrote."""
        file = self.folder / "brokergate.yaml"
        settings = yaml.safe_load(file.read_text())
        settings.setdefault("server", {})["port"] = self.port
        for account in settings["accounts"]:
            account["base_urls"] = self.sims[account["broker"]]["base_urls"]
            account["market_hours"] = "ignore"
        file.write_text(yaml.safe_dump(settings))

    def seal(self, text: str) -> None:
        for line in text.strip().splitlines():
            _, *words = shlex.split(line)
            broker = words[-1].partition("-")[0]
            sealed = json.dumps(self.sims[broker]["credentials"])
            done = self.program.run(*words, "--stdin", stdin=sealed)
            assert done.returncode == 0, done.stderr

    def log_in(self, text: str) -> None:
        """Answer each account's question as its owner would."""
        process = self.program.start(*shlex.split(text)[1:])
        assert process.stdin is not None
        for broker in BROKERS:
            self._wait_for(f"{broker}-main: ", process)
            if broker == "fyers":
                self._wait_for("paste", process)
                answer = follow_login_page(self._page(), self._simulator(broker))
            else:
                self._wait_for("otp", process)
                answer = self._otp(broker)
            process.stdin.write(f"{answer}\n")
            process.stdin.flush()
            self._wait_for(f"{broker}-main: logged in", process)
        assert process.wait(DEADLINE_S) == 0, self.program.log()

    def _simulator(self, broker: str) -> SimulatorInfo:
        return msgspec.convert(
            {"broker": broker, "title": broker, **self.sims[broker]}, SimulatorInfo
        )

    def _page(self) -> str:
        return next(w for w in self.program.log().split() if w.startswith("http://"))

    def _otp(self, broker: str) -> str:
        with urllib.request.urlopen(self.sims[broker]["control"]["otp"], timeout=10) as answer:
            return str(json.load(answer)["otp"])

    def _wait_for(self, words: str, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 2 * DEADLINE_S
        while words not in self.program.log().lower():
            assert process.poll() is None or words in self.program.log().lower(), self.program.log()
            assert time.monotonic() < deadline, self.program.log()
            time.sleep(0.02)


def test_every_command_is_run_or_says_why_not() -> None:
    marks = [block.mark for block in blocks(PAGE) if block.language == "sh"]
    assert len(marks) > 10
    assert [mark for mark in marks if not mark.startswith(("run", "not run: "))] == []


def test_newcomer_gets_to_the_first_order(program: Program) -> None:
    newcomer = Newcomer(program)
    for block in blocks(PAGE):
        said = follow(newcomer, block)
        if "brokergate init" in block.text:
            newcomer.point_at_simulators()
        if block.mark == "run: the order is accepted":
            order = json.loads(said)
            again = json.loads(newcomer.shell(block.text))
            assert "OPEN" == order["legs"][0]["state"]
            assert order["order_id"] == again["order_id"]
    with urllib.request.urlopen(newcomer.sims["fyers"]["control"]["ledger"], timeout=10) as ledger:
        [placed] = json.load(ledger)["orders"]
    assert "CANCELLED" == placed["status"]
    assert (newcomer.folder / "monday.tar").stat().st_size > 0


def follow(newcomer: Newcomer, block: Block) -> str:
    match block.mark:
        case "run: the credentials are given":
            newcomer.seal(block.text)
        case "run: it goes on":
            process = newcomer.program.start(*shlex.split(block.text)[1:])
            read_until(process, "ready on")
        case "run: the person answers":
            newcomer.log_in(block.text)
        case "run" | "run: the order is accepted":
            return newcomer.shell(block.text)
    return ""

"""Every program of docs/examples, run as it is against a gateway with simulated brokers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.between import LOSE, Between
from tests.docs.pages import DOCS, ROOT, links
from tests.gateway.rig import Rig

EXAMPLES = DOCS / "examples"
ACCOUNTS = ("fyers-main", "mstock-main", "hdfc-main")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path / "data") as rig:
        yield rig


class Running:
    """A program under way, its output read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def until(self, words: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while words not in self.text:
                piece = await self.process.stdout.read(4096)
                assert piece, f"it ended before it said {words!r}: {self.text}"
                self.text += piece.decode()
        return self.text

    async def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def end(self) -> tuple[int, str]:
        out, _ = await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode or 0, self.text + out.decode()


@asynccontextmanager
async def running(rig: Rig, *words: str, **environ: str) -> AsyncIterator[Running]:
    name, *given = words
    call = ["sh"] if name.endswith(".sh") else [sys.executable]
    process = await asyncio.create_subprocess_exec(
        *call,
        str(EXAMPLES / name),
        *given,
        cwd=rig.data_dir,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "BROKERGATE_URL": f"http://127.0.0.1:{rig.port}",
            "BROKERGATE_KEY": rig.key,
            **environ,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(rig: Rig, *words: str, **environ: str) -> tuple[int, str]:
    async with running(rig, *words, **environ) as program:
        return await program.end()


def test_every_program_is_described_and_run_here() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")}
    assert files <= set(links(EXAMPLES / "README.md"))
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in files if f'"{name}"' not in tests] == []


async def test_order_over_three_accounts_is_placed_once_however_often_it_is_run(
    rig: Rig, tmp_path: Path
) -> None:
    words = ("place_over_accounts.py", str(tmp_path / "key"), "NSE:SBIN", "BUY", "10", "760.00")
    first = await run(rig, *words, *ACCOUNTS)
    again = await run(rig, *words, *ACCOUNTS)

    assert (0, 3) == (first[0], first[1].count("OPEN"))
    assert first == again
    assert [1, 1, 1] == [len(rig.ledger(broker)) for broker in rig.sims]


async def test_order_says_who_has_to_log_in(rig: Rig, tmp_path: Path) -> None:
    await rig.call("DELETE", "/v1/sessions/hdfc-main")
    words = ("place_over_accounts.py", str(tmp_path / "key"), "NSE:SBIN", "BUY", "10", "760.00")

    assert 2 == (await run(rig, *words, "hdfc-main"))[0]


async def test_events_are_told_from_where_it_stopped(rig: Rig, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("0")
    await rig.place(price="760.00", wait_for="book", accounts=["fyers-main"])
    async with running(rig, "watch_events.py", str(place), "order") as program:
        first = await program.until("OPEN")
        told = first.splitlines()[-1].split()[0]
        async with asyncio.timeout(60):
            while place.read_text() != told:
                await asyncio.sleep(0.01)
    await rig.place("k2", price="760.00", wait_for="book", accounts=["fyers-main"])
    async with running(rig, "watch_events.py", str(place), "order") as program:
        more = await program.until("OPEN")

    numbers = [int(line.split()[0]) for line in (first + more).splitlines()]
    assert sorted(set(numbers)) == numbers
    assert numbers[-1] > int(told)


async def test_morning_login_asks_for_what_each_broker_wants(rig: Rig) -> None:
    for account in ACCOUNTS:
        await rig.call("DELETE", f"/v1/sessions/{account}")
    async with running(rig, "morning_login.py") as program:
        for account in sorted(ACCOUNTS, key=list(rig.gateway.accounts).index):
            simulator: Any = rig.sims[account.split("-")[0]]
            if account == "fyers-main":
                await program.until(f"{account}: paste")
                step = next(
                    line.rpartition(" ")[2]
                    for line in program.text.splitlines()
                    if "log in at" in line
                )
                await program.tell(await simulator.complete_login(step))
            else:
                await program.until(f"{account}: ")
                await program.tell(await simulator.read_otp())
        status, text = await program.end()

    assert 3 == text.count(": active, until ")
    assert 0 == status


async def test_alert_is_one_order_however_often_it_comes(rig: Rig) -> None:
    secret = "a-long-and-random-secret-word"
    environ = {
        "WEBHOOK_SECRET": secret,
        "WEBHOOK_ACCOUNTS": "fyers-main",
        "WEBHOOK_MOST": "5",
    }
    alert = {
        "secret": secret,
        "id": "breakout NSE:SBIN 2026-11-23T10:00:00Z",
        "instrument": "NSE:SBIN",
        "side": "buy",
        "quantity": 5,
        "price": 760.00,
    }
    async with running(rig, "webhook.py", "0", **environ) as program:
        text = await program.until("\n")
        url = text.split()[-1]
        first = await asyncio.to_thread(post, url, alert)
        again = await asyncio.to_thread(post, url, alert)
        wrong = [
            (await asyncio.to_thread(post, url, {**alert, **change}))[0]
            for change in (
                {"secret": "guessed"},
                {"quantity": 6},
                {"quantity": "many"},
                {"price": "cheap"},
                {"more": 1},
                {"id": "tick", "price": "760.01"},
            )
        ]

    assert 200 == first[0]
    assert first == again
    assert [403, 422, 422, 422, 422, 422] == wrong
    [order] = rig.ledger("fyers")
    assert 5 == order.quantity
    assert secret not in program.text


async def test_receiver_wants_a_long_secret(rig: Rig) -> None:
    environ = {"WEBHOOK_SECRET": "short", "WEBHOOK_ACCOUNTS": "fyers-main"}
    status, text = await run(rig, "webhook.py", "0", **environ)

    assert 1 == status
    assert "too short" in text


ORDER = ("NSE:SBIN", "BUY", "10", "760.00", "fyers-main")


async def test_shell_places_once_though_an_answer_is_lost(rig: Rig) -> None:
    async with Between(rig.port) as between:
        between.todo.append(LOSE)
        status, text = await run(rig, "plain.sh", *ORDER, BROKERGATE_URL=between.url)

    assert (0, "accepted") == (status, json.loads(text)["summary"])
    assert (2, 1) == (len(between.keys()), len(set(between.keys())))
    assert 1 == len(rig.ledger("fyers"))


async def test_shell_waits_for_what_is_pending(rig: Rig) -> None:
    rig.sims["fyers"].faults.add([{"call": "place", "action": "accept_then_reset"}])
    status, text = await run(rig, "plain.sh", *ORDER)

    assert (0, "accepted") == (status, json.loads(text)["summary"])
    assert 1 == len(rig.ledger("fyers"))


async def test_shell_tells_what_was_not_placed(rig: Rig) -> None:
    refused = await run(rig, "plain.sh", *ORDER[:-1], "nobody")
    denied = await run(rig, "plain.sh", "NSE:SBIN", "BUY", "10", "760.01", "fyers-main")

    assert (1, "invalid_order") == (refused[0], json.loads(refused[1])["code"])
    assert (1, "not_sent") == (denied[0], json.loads(denied[1])["summary"])
    assert [] == rig.ledger("fyers")


def post(url: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

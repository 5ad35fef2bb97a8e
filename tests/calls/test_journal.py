"""What a restart remembers of the calls before it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from adapters.fyers.config import CAPABILITIES
from gateway.calls.account_calls import AccountCalls
from gateway.calls.bulkhead import Priority
from gateway.calls.journal import RecentCalls
from gateway.calls.limits import WindowView
from tests.gateway.rig import Rig

FYERS = ["fyers-main"]


class Sends:
    """A journal that holds nothing but begun sends, `ago` seconds old."""

    def __init__(self, *ago: float) -> None:
        now = time.time()
        self._sends = [int((now - seconds) * 1_000_000) for seconds in ago]

    async def sends_since(self, since_us: int) -> dict[str, list[int]]:
        return {"a": [at for at in self._sends if at >= since_us]}


def new_calls() -> AccountCalls:
    adapter: Any = None
    return AccountCalls(
        "a", adapter, CAPABILITIES, orders_per_second=8, current_session=lambda: None
    )


def make_reads(calls: AccountCalls, n: int) -> None:
    windows = calls.limits.for_reads()
    for _ in range(n):
        calls.limits.take(windows, calls.limits.clock(), Priority.READ, 1)
        calls.limits.sent(windows, 1)


def used(views: list[WindowView], scope: str, per_s: float, exchange: str | None = None) -> int:
    return next(v.used for v in views if (v.scope, v.per_s, v.exchange) == (scope, per_s, exchange))


async def restarted(path: Path, store: Any) -> AccountCalls:
    calls = new_calls()
    await RecentCalls(store, path, {"a": calls}).load()
    return calls


async def test_an_order_that_was_about_to_go_out_lately_counts_as_sent_now(tmp_path):
    calls = await restarted(tmp_path / "calls.json", Sends(0.2, 3, 14, 16, 30))
    calls.limits.for_orders("NSE")
    views = calls.limits.views()

    assert 3 == used(views, "orders", 1.0, "NSE")
    assert 3 == used(views, "orders", 1.1, "NSE")


async def test_order_messages_fill_the_windows_over_all_calls_too(tmp_path):
    calls = await restarted(tmp_path / "calls.json", Sends(0.2, 30, 50, 70))

    assert 3 == used(calls.limits.views(), "all", 60)


async def test_reads_before_the_restart_still_count(tmp_path):
    path = tmp_path / "calls.json"
    before = new_calls()
    make_reads(before, 20)
    RecentCalls(Sends(), path, {"a": before}).save(is_whole=True)  # type: ignore[arg-type]

    assert 20 == used((await restarted(path, Sends())).limits.views(), "all", 60)


async def test_a_late_write_takes_nothing_back_that_was_written_since(tmp_path):
    path = tmp_path / "calls.json"
    calls = new_calls()
    kept = RecentCalls(Sends(), path, {"a": calls})  # type: ignore[arg-type]
    make_reads(calls, 1)
    late = kept._news(is_whole=False)
    make_reads(calls, 19)
    kept.save(is_whole=True)
    kept._write(late, 0)

    assert 20 == used((await restarted(path, Sends())).limits.views(), "all", 60)


async def test_a_killed_process_may_have_read_for_one_more_second(tmp_path):
    path = tmp_path / "calls.json"
    before = new_calls()
    make_reads(before, 20)
    RecentCalls(Sends(), path, {"a": before}).save()  # type: ignore[arg-type]
    views = (await restarted(path, Sends())).limits.views()

    assert 28 == used(views, "all", 60)
    assert 8 <= used(views, "all", 1)


async def test_a_file_that_cannot_be_read_is_passed_over(tmp_path):
    path = tmp_path / "calls.json"
    path.write_text("{")
    assert 0 == used((await restarted(path, Sends())).limits.views(), "all", 60)


async def test_a_gateway_that_restarts_counts_on(tmp_path):
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        for n in range(3):
            await rig.place(f"k{n}", accounts=FYERS)
        before = rig.gateway.accounts["fyers-main"].calls.limits.views()
        await rig.restart_gateway()
        after = rig.gateway.accounts["fyers-main"].calls.limits.views()

        assert 3 == used(after, "orders", 86_400)
        assert used(after, "all", 60) >= used(before, "all", 60) >= 6

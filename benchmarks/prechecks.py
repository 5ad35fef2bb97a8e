"""What all checks before sending cost a leg, on a warm cache: `python -m benchmarks.prechecks`.

One gateway in this process against one simulator. The checks are timed alone, leg by leg, with
every limit set, and beside them whole orders over HTTP: the ratio holds on any machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import niquests

from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.models import InstrumentType, OrderType, Product, RedirectRequired, Side
from gateway.api.server import ApiServer, Listen
from gateway.brokers import load_plugins
from gateway.cli.ports import free_port
from gateway.config import Settings
from gateway.orders.request import Precheck
from gateway.prechecks.contract import Draft
from gateway.prechecks.ledger import Ledger
from gateway.prechecks.limits import RiskLimits
from gateway.runtime import Gateway
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring

BUDGET_MS = 0.3
_ACCOUNT = "fyers-main"
_LIMITS: dict[str, Any] = {
    "max_order_quantity": 1_000_000,
    "max_order_value": 1_000_000_000,
    "max_day_quantity": 900_000_000,
    "max_day_value": 900_000_000_000,
    "max_instrument_quantity": 900_000_000,
    "max_instrument_value": 900_000_000_000,
    "max_open_orders": 1_000_000,
    "max_orders_per_minute": 1_000_000,
    "lookalike_s": 5,
    "price_collar_percent": {"EQ": 20, "OPT": 50},
    "allowed_exchanges": ["NSE", "NFO"],
    "banned_instruments": ["NFO:BANKNIFTY*"],
    "allowed_products": ["CNC", "MIS", "NRML"],
}


async def run(legs: int, orders: int, entered: int) -> dict[str, float]:
    """Return medians in milliseconds: `bare` without limits, `all` with every limit, `order`."""
    simulator = FyersSimulator(options={"fill_delay_ms": 0, "book_lag_ms": 0, "cash": 10**12})
    await simulator.start()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder) / "data",
            accounts=[  # type: ignore[arg-type]
                {
                    "id": _ACCOUNT,
                    "broker": "fyers",
                    "base_urls": simulator.base_urls,
                    "market_hours": "ignore",
                    "limits": {"broker_windows": "ignore"},
                }
            ],
        )
        gateway = Gateway(settings, load_plugins(), Keyring(generate_master_key()))
        await gateway.start()
        try:
            await _log_in(gateway, simulator)
            bare = await _checks(gateway, legs, entered)
            order = await _orders(gateway, Path(folder), orders)
            await gateway.limits.put(None, _limits(), {"client": "benchmark"}, "benchmark")
            await gateway.limits.put(_ACCOUNT, _limits(), {"client": "benchmark"}, "benchmark")
            everything = await _checks(gateway, legs, entered)
        finally:
            await gateway.stop()
            await simulator.stop()
    return {"bare": bare, "all": everything, "order": order}


def _limits() -> RiskLimits:
    return msgspec.convert(_LIMITS, RiskLimits)


async def _log_in(gateway: Gateway, simulator: FyersSimulator) -> None:
    account = gateway.accounts[_ACCOUNT]
    await gateway.store.set_credentials(_ACCOUNT, dict(simulator.credentials), {})
    answer = await gateway.sessions.login(account)
    step = RedirectRequired(
        login_url=answer.login_url or "",
        state=None,
        expires_at=answer.expires_at,  # type: ignore[arg-type]
        pending={},
    )
    url = await simulator.complete_login(step)
    await gateway.sessions.redirected(account, url, trusted=True)
    while await gateway.instruments.missing():
        await asyncio.sleep(0.02)


async def _checks(gateway: Gateway, legs: int, entered: int) -> float:
    """Time `judge` with funds and a price at hand and `entered` orders of the day in the sums."""
    account, desk = gateway.accounts[_ACCOUNT], gateway.prechecks
    desk._ledgers[_ACCOUNT], desk._all = Ledger(), Ledger()
    instrument = await gateway.instruments.find("fyers", "NSE:SBIN")
    assert instrument is not None and instrument.type is InstrumentType.EQ
    times = []
    for n in range(entered + legs):
        if n % 200 == 0:
            await gateway.funds.get(account, 5.0)
            await gateway.quotes.one(account, "NSE:SBIN")
        draft = Draft(
            instrument=instrument,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            product=Product.CNC,
            quantity=1 + n % 10,
            price=700 + Decimal("0.05") * (n % 4000),
        )
        begun = time.perf_counter()
        judged = await desk.judge(
            account, draft, n + 1, Precheck.BEST_EFFORT, desk.deadline(), request=n + 1
        )
        if n >= entered:
            times.append(time.perf_counter() - begun)
        assert judged.entered, judged.checks
        for ledger in (desk._ledgers[_ACCOUNT], desk._all):
            ledger.answered(n + 1, time.monotonic())
    return statistics.median(times) * 1000


async def _orders(gateway: Gateway, folder: Path, orders: int) -> float:
    """Time whole orders over HTTP, one after the other."""
    port = free_port("127.0.0.1")
    server = ApiServer(gateway.app(), Listen("127.0.0.1", port), folder)
    ready = asyncio.Event()
    serving = asyncio.create_task(server.run(ready))
    await ready.wait()
    key = await gateway.keys.create("benchmark", ["admin"], None, None, {"client": "benchmark"})
    times = []
    async with niquests.AsyncSession() as session:
        session.trust_env = False
        for n in range(orders):
            begun = time.perf_counter()
            response = await session.post(
                f"http://127.0.0.1:{port}/v1/orders",
                json={
                    "instrument": "NSE:SBIN",
                    "side": "BUY",
                    "order_type": "LIMIT",
                    "product": "CNC",
                    "quantity": 1,
                    "price": "812.50",
                    "accounts": [_ACCOUNT],
                },
                headers={
                    "Authorization": f"Bearer {key.text}",
                    "Idempotency-Key": f"bench-{n}",
                },
            )
            times.append(time.perf_counter() - begun)
            assert response.status_code == 201, response.text
            await asyncio.sleep(0.13)
    gateway.feed.close()
    server.stop()
    await serving
    return statistics.median(times[len(times) // 10 :]) * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legs", type=int, default=2000)
    parser.add_argument("--orders", type=int, default=60)
    parser.add_argument("--entered", type=int, default=2000, help="orders of the day before that")
    asked = parser.parse_args(arguments)
    found = asyncio.run(run(asked.legs, asked.orders, asked.entered))
    print(f"checks without limits  {found['bare']:8.4f} ms")
    print(f"checks, every limit    {found['all']:8.4f} ms   (budget {BUDGET_MS} ms)")
    print(f"order over HTTP        {found['order']:8.4f} ms")
    print(f"checks / order         {found['all'] / found['order']:8.4f}")
    return 0 if found["all"] <= BUDGET_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""A gateway that is told to stop while a broker does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.brokers import load_plugins
from gateway.orders.states import LegState
from gateway.runtime import Gateway
from gateway.secrets.sealing import Keyring
from gateway.serve import serve
from tests.gateway.rig import Reply, Rig

HANGS = [{"call": "place", "action": "hang"}]


class Served(Rig):
    """A rig whose gateway is run by `serve`, and stops when `stop` is set."""

    async def start_gateway(self) -> None:
        if not self.key:
            await super().start_gateway()
            return
        self.stop = asyncio.Event()
        ready: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
        settings = self.gateway.settings.model_copy(
            update={"server": self.gateway.settings.server.model_copy(update={"port": self.port})}
        )
        keyring = Keyring(self.master_key)
        run = serve(settings, load_plugins(), keyring, stop=self.stop, on_ready=ready.set_result)
        self.running = asyncio.create_task(run)
        await asyncio.wait({ready, self.running}, return_when=asyncio.FIRST_COMPLETED)
        self.gateway = ready.result()

    async def stop_gateway(self) -> None:
        if not hasattr(self, "stop"):
            await super().stop_gateway()
            return
        self.stop.set()
        await self.running


@asynccontextmanager
async def placing_at_a_broker_that_hangs(
    folder: Path,
) -> AsyncIterator[tuple[Served, asyncio.Task[Reply]]]:
    """An order on the wire of a gateway that was just told to stop."""
    async with Served(folder, brokers=("fyers",)) as rig:
        await rig.restart_gateway()
        rig.sims["fyers"].faults.add(HANGS)
        placing = asyncio.create_task(
            rig.place("on-the-wire", accounts=["fyers-main"], wait_ms=25_000)
        )
        account = rig.gateway.accounts["fyers-main"]
        await until(lambda: any(leg.on_wire for leg in account.moving.values()))
        rig.stop.set()
        yield rig, placing


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.01)


async def leg_in_journal(rig: Rig, order_id: str) -> LegState:
    """What a new process finds."""
    gateway = Gateway(rig.gateway.settings, load_plugins(), Keyring(rig.master_key))
    try:
        found = await gateway.store.load_order(order_id)
        assert found is not None
        return found[1][0].state
    finally:
        gateway.store.close()


async def wait_for(call: Callable[[], Awaitable[Reply]], status: int) -> Reply:
    async with asyncio.timeout(60):
        while (reply := await call()).status != status:
            await asyncio.sleep(0.01)
    return reply


async def test_nothing_new_is_taken_while_the_last_orders_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.serve._FINISH_S", 60.0)
    async with placing_at_a_broker_that_hangs(tmp_path / "data") as (rig, placing):
        await wait_for(lambda: rig.call("GET", "/readyz"), 503)
        refused = await rig.place("too-late", accounts=["fyers-main"])
        assert (503, "stopping") == (refused.status, refused.json["code"])
        assert 200 == (await rig.call("GET", "/livez")).status
        assert not placing.done()

        await rig.sims["fyers"].stop()
        answer = await placing
        await rig.running

        assert "unknown" == answer.leg("fyers-main")["outcome"]
        assert LegState.UNKNOWN is await leg_in_journal(rig, answer.json["order_id"])


async def test_a_broker_that_never_answers_holds_the_end_up_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.serve._FINISH_S", 0.2)
    async with placing_at_a_broker_that_hangs(tmp_path / "data") as (rig, placing):
        answer = await placing
        await rig.running

        leg = answer.leg("fyers-main")
        assert ("unknown", "UNKNOWN") == (leg["outcome"], leg["state"])
        assert "stopped while the order was on its way" in leg["reason"]["message"]
        assert LegState.UNKNOWN is await leg_in_journal(rig, answer.json["order_id"])


async def test_a_client_that_waits_for_more_does_not_hold_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.serve._HANG_UP_S", 0.2)
    async with Served(
        tmp_path / "data", brokers=("fyers",), options={"fill_delay_ms": 600_000}
    ) as rig:
        await rig.restart_gateway()
        waiting = asyncio.create_task(
            rig.place(
                "rests", accounts=["fyers-main"], price="700", wait_for="final", wait_ms=25_000
            )
        )
        account = rig.gateway.accounts["fyers-main"]
        await until(lambda: any(leg.record.broker_order_id for leg in account.moving.values()))
        rig.stop.set()
        done, _ = await asyncio.wait({rig.running}, timeout=20)

        assert done
        rig.running.result()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

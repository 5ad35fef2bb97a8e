"""A whole gateway for tests: three simulators, a real store, a real HTTP listener, real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import niquests

from adapters.fyers.simulator import FyersSimulator
from adapters.hdfc.simulator import HdfcSimulator
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.models import RedirectRequired
from adapters.sdk.simulator import BrokerSimulator
from gateway.api.server import ApiServer, Listen
from gateway.brokers import load_plugins
from gateway.cli.ports import free_port
from gateway.config import Settings
from gateway.runtime import Gateway
from gateway.secrets.master_key import MasterKey, generate_master_key
from gateway.secrets.sealing import Keyring

ORDER: dict[str, Any] = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "812.50",
    "accounts": ["fyers-main", "mstock-main", "hdfc-main"],
}
_SIMULATORS: dict[str, type[BrokerSimulator]] = {
    "fyers": FyersSimulator,
    "mstock": MstockSimulator,
    "hdfc": HdfcSimulator,
}
_OPTIONS = {"fill_delay_ms": 0, "book_lag_ms": 0}


class Rig:
    """Start with `async with`. `sims` by broker, `http` speaks with an admin key.

    `file` stands for the configuration file when the gateway is told to reload it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        brokers: tuple[str, ...] = ("fyers", "mstock", "hdfc"),
        settings: dict[str, Any] | None = None,
        account_settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        log_in: bool = True,
    ) -> None:
        self.data_dir = data_dir
        self.master_key: MasterKey = generate_master_key()
        self.sims = {
            broker: _SIMULATORS[broker](options={**_OPTIONS, **(options or {})})
            for broker in brokers
        }
        self._settings = settings or {}
        self._account_settings = account_settings or {}
        self._log_in = log_in
        self.port = free_port("127.0.0.1")
        self.key = ""

    async def __aenter__(self) -> Rig:
        for simulator in self.sims.values():
            await simulator.start()
        await self.start_gateway()
        self.key = await self.new_key("tests", ["admin"])
        if self._log_in:
            for account_id in self.gateway.accounts:
                await self.log_in(account_id)
            await self.masters_loaded()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop_gateway()
        for simulator in self.sims.values():
            await simulator.stop()

    async def masters_loaded(self) -> None:
        """Wait, bounded, for the masters that the first logins fetch."""
        for _ in range(1000):
            if not await self.gateway.instruments.missing():
                return
            await asyncio.sleep(0.01)
        raise TimeoutError("the instrument masters were not loaded")

    async def start_gateway(self) -> None:
        accounts = [
            {
                "id": f"{broker}-main",
                "broker": broker,
                "base_urls": simulator.base_urls,
                "market_hours": "ignore",
                **self._account_settings,
            }
            for broker, simulator in self.sims.items()
        ]
        given = {"data_dir": self.data_dir, "accounts": accounts, **self._settings}
        # Simulators end sessions when the brokers do: near that hour all would be `expiring`.
        settings = Settings(**{"session": {"warn_ahead": []}, **given})
        self.file: Settings = settings
        self.gateway = Gateway(
            settings, load_plugins(), Keyring(self.master_key), lambda: self.file
        )
        await self.gateway.start()
        self._server = ApiServer(self.gateway.app(), Listen("127.0.0.1", self.port), self.data_dir)
        ready = asyncio.Event()
        self._serving = asyncio.create_task(self._server.run(ready))
        await ready.wait()
        await wait_for_port(self.port)

    async def stop_gateway(self) -> None:
        self.gateway.feed.close()
        self._server.stop()
        await self._serving
        await self.gateway.stop()

    async def restart_gateway(self) -> None:
        await self.stop_gateway()
        await self.start_gateway()

    async def new_key(self, name: str, scopes: list[str], accounts: list[str] | None = None) -> str:
        minted = await self.gateway.keys.create(name, scopes, accounts, None, {"client": "rig"})
        return minted.text

    async def log_in(self, account_id: str) -> None:
        """Log in as an owner would, without HTTP."""
        account = self.gateway.accounts[account_id]
        simulator = self.sims[account.broker]
        await self.gateway.store.set_credentials(account_id, dict(simulator.credentials), {})
        sessions = self.gateway.sessions
        answer = await sessions.login(account)
        if answer.state == "otp_required":
            otp = await simulator.read_otp()  # type: ignore[attr-defined]
            answer = await sessions.submit_otp(account, answer.challenge_id or "", otp)
        elif answer.state == "redirect_required":
            step = RedirectRequired(
                login_url=answer.login_url or "",
                state=None,
                expires_at=answer.expires_at,  # type: ignore[arg-type]
                pending={},
            )
            url = await simulator.complete_login(step)  # type: ignore[attr-defined]
            answer = await sessions.redirected(account, url, trusted=True)
        assert answer.state == "active", answer

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Make one HTTP request; `key` "" sends no Authorization."""
        sent = dict(headers or {})
        token = self.key if key is None else key
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if idempotency_key is not None:
            sent["Idempotency-Key"] = idempotency_key
        data = raw if raw is not None else (None if body is None else msgspec.json.encode(body))
        async with niquests.AsyncSession() as session:
            session.trust_env = False
            response = await session.request(
                method,
                f"http://127.0.0.1:{self.port}{path}",
                data=data,
                headers=sent,
                timeout=30,
                allow_redirects=False,
            )
            content = response.content or b""
            return Reply(
                status=response.status_code or 0,
                headers={k.lower(): v for k, v in response.headers.items()},
                content=content,
            )

    async def place(self, idempotency_key: str = "k1", **changes: Any) -> Reply:
        return await self.call(
            "POST", "/v1/orders", {**ORDER, **changes}, idempotency_key=idempotency_key
        )

    def ledger(self, broker: str) -> list[Any]:
        """Every order that the broker's exchange accepted."""
        return list(self.sims[broker].engine.orders)


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    def leg(self, account: str) -> dict[str, Any]:
        return next(leg for leg in self.json["legs"] if leg["account"] == account)


async def wait_for_port(port: int) -> None:
    """Wait, bounded, until something accepts connections there."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise TimeoutError(f"nothing listens on {port}")

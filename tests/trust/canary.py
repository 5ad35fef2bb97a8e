"""Known secrets through every login, order and failure, and then a search for them everywhere.

    python -m tests.trust.canary

The real program runs against the three simulators, with secrets that are like nothing else. What it
left in its data directory, its write-ahead logs, its log at level debug, its answers, its figures
and the process list is then searched for each of them, in every spelling that HTTP and JSON have.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import niquests
import yaml

from adapters.fyers.simulator import FyersSimulator
from adapters.hdfc.simulator import HdfcSimulator
from adapters.mstock.simulator import MstockSimulator
from adapters.sdk.models import RedirectRequired
from gateway.cli.ports import free_port
from tests.alerts.receivers import HookServer
from tests.gateway.rig import ORDER, wait_for_port

ROOT = Path(__file__).parents[2]
_SECRET_FIELDS = ("secret_key", "api_key", "api_secret", "password", "totp_secret")
_FAULTS = (
    "reject",
    "accept_then_reset",
    "accept_then_500",
    "accept_then_html",
    "accept_then_truncated",
    "reset_before_accept",
    "session_expired",
)


@dataclass
class Found:
    """`secrets`: each by what it is. `leaks`: which was found where."""

    secrets: dict[str, str] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    logins: int = 0
    leaks: list[str] = field(default_factory=list)

    def look(self, place: str, content: bytes, *, but: tuple[str, ...] = ()) -> None:
        """Search one place. `but`: secrets that may be there, since it is what they are for."""
        self.places[place] = self.places.get(place, 0) + len(content)
        for name, secret in self.secrets.items():
            if name not in but and any(each in content for each in spellings(secret)):
                self.leaks.append(f"{name} in {place}")


def spellings(secret: str) -> set[bytes]:
    """A secret as it stands, in a URL, in JSON, in base64 and in hexadecimal."""
    raw = secret.encode()
    encoded = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    written = {
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
        json.dumps(secret)[1:-1].encode(),
    }
    return {raw, raw.hex().encode(), *written, *(each.rstrip(b"=") for each in encoded)}


def canary(what: str) -> str:
    return f"canary-{what}-{secrets.token_hex(12)}"


class Stage:
    """The program, its simulators, and everything that it ever answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = Found()
        self.answers: list[tuple[str, bytes]] = []
        self.port = free_port("127.0.0.1")
        options = {"fill_delay_ms": 0, "book_lag_ms": 0}
        self.sims: dict[str, Any] = {
            "fyers": FyersSimulator(options=options),
            "mstock": MstockSimulator(options=options),
            "hdfc": HdfcSimulator(options=options),
        }
        for broker in ("fyers", "hdfc"):
            simulator = self.sims[broker]
            new = {
                name: canary(f"{broker}-{name}")
                for name in simulator.credentials
                if name in _SECRET_FIELDS and not (broker == "hdfc" and name == "password")
            }
            simulator.credentials = {**simulator.credentials, **new}
        for broker, simulator in self.sims.items():
            for name, value in simulator.credentials.items():
                if name in _SECRET_FIELDS:
                    self.found.secrets[f"{broker} {name}"] = value
        self.key = ""

    async def run(self) -> Found:
        async with contextlib.AsyncExitStack() as stack:
            for simulator in self.sims.values():
                await simulator.start()
                stack.push_async_callback(simulator.stop)
            hook = await stack.enter_async_context(HookServer())
            self._configure(hook.port)
            master = self._environ["BROKERGATE_MASTER_KEY"]
            self.found.secrets["master key"] = master
            made = await self._program(
                "keys", "create", "--name", "canary", "--scope", "admin", "--json"
            )
            self.key = msgspec.json.decode(made)["key"]
            self.found.secrets["API key"] = self.key.split("_", 3)[3]
            log = (self.folder / "log").open("wb")
            stack.callback(log.close)
            process = await self._serve(log)
            try:
                await wait_for_port(self.port)
                await self._live(hook)
                self._look_while_running(process.pid)
            finally:
                process.terminate()
                await process.wait()
        self._collect_tokens()
        self._look_after()
        return self.found

    async def _live(self, hook: HookServer) -> None:
        """Log in rightly and wrongly, trade, have everything fail, ask every reader."""
        self.found.secrets["webhook secret"] = canary("webhook")
        await self._call(
            "PUT", "/v1/alerts/hook/secret", {"secret": self.found.secrets["webhook secret"]}
        )
        for broker, simulator in self.sims.items():
            await self._login_wrongly(broker, simulator)
            await self._login(broker, simulator)
        for _ in range(600):
            masters = (await self._call("GET", "/v1/accounts"))["accounts"]
            if all(row["master"] is not None for row in masters):
                break
            await asyncio.sleep(0.1)
        await self._place("good")
        for fault in _FAULTS:
            for simulator in self.sims.values():
                with contextlib.suppress(ValueError):
                    simulator.faults.add([{"call": "place", "action": fault}])
            await self._place(fault)
        for read in ("book", "positions", "funds"):
            for simulator in self.sims.values():
                with contextlib.suppress(ValueError):
                    simulator.faults.add([{"call": read, "action": "accept_then_html"}])
        wrong = canary("wrong-key")
        self.found.secrets["a wrong API key"] = wrong
        await self._call("GET", "/v1/accounts", key=f"bg_live_abcdefghij_{wrong}")
        await self._call("GET", f"/v1/accounts?api_key={wrong}")
        await self._call("POST", "/v1/orders", raw=b'{"instrument": "' + wrong.encode())
        for path in (
            "/v1/accounts",
            "/v1/sessions",
            "/v1/orders",
            "/v1/orderbook",
            "/v1/trades",
            "/v1/positions",
            "/v1/holdings",
            "/v1/funds",
            "/v1/quotes?instruments=NSE:SBIN",
            "/v1/audit?limit=1000",
            "/v1/audit/verify",
            "/v1/vault",
            "/v1/keys",
            "/v1/alerts",
            "/v1/kill-switch",
            "/v1/breakers",
            "/v1/unresolved",
            "/v1/limits",
            "/metrics",
            "/openapi.json",
        ):
            await self._call("GET", path)
        await self._call("POST", "/v1/alerts/test", {})
        self._collect_tokens()
        for simulator in self.sims.values():
            simulator.expire_sessions()
        await self._place("expired")
        for broker, simulator in self.sims.items():
            await self._login(broker, simulator)
        await self._call("DELETE", "/v1/sessions/fyers-main")
        for got in hook.got:
            self.answers.append(("webhooks", got.head + got.body))

    async def _login_wrongly(self, broker: str, simulator: Any) -> None:
        """Give the broker secrets that it refuses."""
        wrong = dict(simulator.credentials)
        for name in wrong.keys() & set(_SECRET_FIELDS):
            wrong[name] = self.found.secrets[f"wrong {broker} {name}"] = canary(f"wrong-{broker}")
        account = f"{broker}-main"
        await self._call("PUT", f"/v1/accounts/{account}/credentials", {"fields": wrong})
        await self._call("POST", f"/v1/sessions/{account}/login", {})
        code = self.found.secrets[f"wrong {broker} code"] = canary("code")
        await self._call(
            "POST", f"/v1/sessions/{account}/otp", {"challenge_id": "x", "otp": "000000"}
        )
        await self._call("GET", f"/v1/callback/{account}?auth_code={code}&state={code}", key="")
        await self._call("DELETE", f"/v1/sessions/{account}")

    async def _login(self, broker: str, simulator: Any) -> None:
        account = f"{broker}-main"
        fields = {"fields": dict(simulator.credentials)}
        await self._call("PUT", f"/v1/accounts/{account}/credentials", fields)
        answer = await self._call("POST", f"/v1/sessions/{account}/login", {"renew": True})
        if answer.get("state") == "otp_required":
            otp = {"challenge_id": answer["challenge_id"], "otp": await simulator.read_otp()}
            answer = await self._call("POST", f"/v1/sessions/{account}/otp", otp)
        elif answer.get("state") == "redirect_required":
            step = RedirectRequired(
                login_url=answer["login_url"],
                state=None,
                expires_at=msgspec.convert(answer["expires_at"], type=datetime),
                pending={},
            )
            url = await simulator.complete_login(step)
            answer = await self._call("POST", f"/v1/sessions/{account}/callback", {"url": url})
        assert answer.get("state") == "active", (broker, answer)
        self.found.logins += 1
        self._collect_tokens()

    def _collect_tokens(self) -> None:
        for broker, simulator in self.sims.items():
            for token in simulator.sessions:
                count = sum(name.startswith(f"{broker} token") for name in self.found.secrets)
                if token not in self.found.secrets.values():
                    self.found.secrets[f"{broker} token {count + 1}"] = token

    async def _place(self, key: str) -> None:
        await self._call(
            "POST", "/v1/orders", {**ORDER, "wait_ms": 3000}, idempotency_key=f"canary {key}"
        )

    async def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        raw: bytes | None = None,
    ) -> Any:
        headers = {} if key == "" else {"Authorization": f"Bearer {key or self.key}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        data = raw if raw is not None else (msgspec.json.encode(body) if body is not None else None)
        async with niquests.AsyncSession() as session:
            session.trust_env = False
            url = f"http://127.0.0.1:{self.port}{path}"
            reply = await session.request(method, url, data=data, headers=headers, timeout=60)
            content = reply.content or b""
            head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        self.found.requests += 1
        place = "metrics" if path == "/metrics" else "answers"
        # The login page's address holds what the broker's page needs: for the owner's browser.
        shown = b'"login_url":"http' in content
        self.answers.append(("login URLs" if shown else place, head.encode() + content))
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError:
            return {}

    def _configure(self, hook_port: int) -> None:
        accounts = [
            {
                "id": f"{broker}-main",
                "broker": broker,
                "base_urls": dict(simulator.base_urls),
                "market_hours": "ignore",
                "limits": {"broker_windows": "ignore"},
            }
            for broker, simulator in self.sims.items()
        ]
        tree = {
            "data_dir": "./data",
            "server": {"port": self.port},
            "logging": {"level": "debug", "format": "json"},
            "accounts": accounts,
            "alerts": {"webhooks": [{"name": "hook", "url": f"http://127.0.0.1:{hook_port}/"}]},
        }
        (self.folder / "brokergate.yaml").write_text(yaml.safe_dump(tree))
        master = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self._environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("BROKERGATE")
            },
            "PYTHONPATH": str(ROOT),
            "BROKERGATE_MASTER_KEY": master,
        }

    async def _program(self, *arguments: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli.main", *arguments),
            cwd=self.folder,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output
        return output

    async def _serve(self, log: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-m", "gateway.cli.main", "serve"),
            cwd=self.folder,
            env=self._environ,
            stdout=log,
            stderr=log,
        )

    def _look_while_running(self, pid: int) -> None:
        """Search what other users see of the process, and the files as they are before the end."""
        self.found.look("process list", Path(f"/proc/{pid}/cmdline").read_bytes())
        for path in self._files():
            self.found.look(_kind(path), path.read_bytes())

    def _look_after(self) -> None:
        for place, content in self.answers:
            but = (
                tuple(n for n in self.found.secrets if n.endswith("api_key"))
                if place == "login URLs"
                else ()
            )
            self.found.look(place, content, but=but)
        for path in self._files():
            self.found.look(_kind(path), path.read_bytes())
        self.found.look("log", (self.folder / "log").read_bytes())
        cores = [path for path in self.folder.rglob("core*") if path.is_file()]
        self.found.leaks += [f"a core dump: {path.name}" for path in cores]

    def _files(self) -> list[Path]:
        return [path for path in (self.folder / "data").rglob("*") if path.is_file()]


def _kind(path: Path) -> str:
    return "write-ahead log" if path.name.endswith("-wal") else "data directory"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(Stage(Path(folder)).run())
    lines = [
        f"secrets searched for: {len(found.secrets)}",
        f"requests made: {found.requests}, logins: {found.logins}",
        *(f"searched {place}: {size} bytes" for place, size in sorted(found.places.items())),
        f"found: {len(found.leaks)}",
        *(f"  {leak}" for leak in dict.fromkeys(found.leaks)),
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if found.leaks else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a start waits for, and what it loads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from gateway.brokers import load_plugins
from gateway.runtime import Gateway
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring
from tests.gateway.rig import Rig
from tests.gateway.test_stopping import until

ROOT = Path(__file__).resolve().parents[2]

# Each is loaded where it is first used: HTTP to brokers, mail, settings in the environment.
NOT_AT_START = {"niquests", "urllib3", "smtplib", "pydantic_settings", "textual"}
LOADED_UNTIL_READY = """
import asyncio, sys
from gateway.cli.main import main
import gateway.serve

def listening(gateway):
    print(*sys.modules, file=sys.stderr)
    asyncio.get_running_loop().call_soon(__import__("signal").raise_signal, 15)

run = gateway.serve.run
gateway.serve.run = lambda *args, **options: run(*args, **{**options, "on_ready": listening})
sys.argv = ["brokergate", "serve", "--config", sys.argv[1]]
main()
"""


async def test_a_session_of_an_earlier_run_is_there_before_clients_and_its_warm_connection_after(
    tmp_path: Path,
) -> None:
    async with Rig(tmp_path / "data", brokers=("fyers",)) as rig:
        await rig.stop_gateway()

        gateway = Gateway(rig.gateway.settings, load_plugins(), Keyring(rig.master_key))
        warmed: list[object] = []

        async def warm(session: object) -> None:
            warmed.append(session)

        account = gateway.accounts["fyers-main"]
        account.adapter.warm = warm  # type: ignore[method-assign]
        listening = asyncio.Event()
        try:
            await gateway.start(listening)
            assert account.session is not None
            await asyncio.sleep(0.05)
            assert warmed == []
            listening.set()
            await until(lambda: warmed == [account.session])
        finally:
            await gateway.stop()
            await rig.start_gateway()


def test_a_start_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    config = tmp_path / "brokergate.yaml"
    server = {"host": "127.0.0.1", "port": 0}
    account = {"id": "main", "broker": "paper"}
    settings = {"data_dir": str(tmp_path / "data"), "server": server, "accounts": [account]}
    config.write_text(json.dumps(settings))
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BROKERGATE_")}
    done = subprocess.run(
        [sys.executable, "-c", LOADED_UNTIL_READY, str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "BROKERGATE_MASTER_KEY": generate_master_key().text()},
    )

    loaded = set(done.stderr.split())
    assert "gateway.runtime" in loaded, done.stderr
    assert "adapters.paper.adapter" in loaded
    assert set() == NOT_AT_START & loaded
    assert not {"adapters.fyers.adapter", "adapters.mstock.adapter"} & loaded

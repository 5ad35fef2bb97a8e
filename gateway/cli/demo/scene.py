"""What the demo plays with: three accounts at simulators, and one order for all of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.simulators import SimulatorInfo

if TYPE_CHECKING:
    from gateway.config import Settings

HOST = "127.0.0.1"
ACCOUNTS = {"fyers-main": "fyers", "mstock-main": "mstock", "hdfc-main": "hdfc"}
ORDER: dict[str, Any] = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "812.50",
    "accounts": list(ACCOUNTS),
    "strategy": "demo",
    "wait_for": "book",
    "wait_ms": 10_000,
}
IDEMPOTENCY_KEY = "demo-1"


def simulator_options(port: int) -> dict[str, dict[str, Any]]:
    """Say which simulators to run; an app at Fyers is registered with its redirect URI."""
    redirect_uri = f"http://{HOST}:{port}/v1/callback/fyers-main"
    return {"fyers": {"redirect_uri": redirect_uri}, "mstock": {}, "hdfc": {}}


def demo_settings(data_dir: Path, port: int, simulators: Iterable[SimulatorInfo]) -> Settings:
    """Make the gateway's settings. The user's own file and environment play no part in them."""
    from gateway.config import Settings

    urls = {info.broker: info.base_urls for info in simulators}
    accounts = [
        {"id": name, "broker": broker, "base_urls": urls[broker], "market_hours": "ignore"}
        for name, broker in ACCOUNTS.items()
    ]
    return Settings.model_validate(
        {
            "data_dir": data_dir,
            "server": {"host": HOST, "port": port},
            # Simulators end sessions when the brokers do, of which nobody here needs a warning.
            "session": {"warn_ahead": ()},
            "groups": {"all": dict.fromkeys(ACCOUNTS, 1)},
            "accounts": accounts,
        }
    )


def order_words() -> str:
    """Say the order as traders do."""
    fields = ("side", "quantity", "instrument", "order_type", "price", "product")
    return " ".join(str(ORDER[field]) for field in fields)


def curl_line(port: int, key: str) -> str:
    """Write a command that places one more order, ready to paste into a shell."""
    order = {**ORDER, "accounts": ["@all"]}
    headers = (
        f"Authorization: Bearer {key}",
        "Idempotency-Key: try-1",
        "Content-Type: application/json",
    )
    parts = ["curl", "-s", f"http://{HOST}:{port}/v1/orders"]
    for header in headers:
        parts += ["-H", header]
    parts += ["-d", msgspec.json.encode(order).decode()]
    return shlex.join(parts)

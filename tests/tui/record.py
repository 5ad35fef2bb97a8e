"""Write `canned.json`: a real gateway's answers, which the snapshot tests give to the console.

Run it again when an answer that the console shows has another shape:

    python -m tests.tui.record
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from adapters.mstock.simulator import MstockSimulator
from tests.gateway.rig import Rig

CANNED = Path(__file__).with_name("canned.json")
_READS = {
    "accounts": "/v1/accounts",
    "kill": "/v1/kill-switch",
    "unresolved": "/v1/unresolved",
    "orders": "/v1/orders?limit=100",
    "breakers": "/v1/breakers",
    "limits": "/v1/limits",
    "positions": "/v1/positions",
    "holdings": "/v1/holdings",
    "funds": "/v1/funds",
    "keys": "/v1/keys",
    "audit": "/v1/audit?before=end&limit=12",
    "instruments": "/v1/instruments?query=SBIN&limit=8",
}
_FIGURES = (
    "brokergate_info",
    "brokergate_leg_overhead_seconds_bucket",
    "brokergate_broker_call_seconds_bucket",
    "brokergate_journal_broken",
    "process_",
)
_ORDER = {
    "instrument": "NSE:SBIN",
    "side": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": "760.00",
    "accounts": ["fyers-main", "hdfc-main"],
}


async def record() -> dict[str, Any]:
    """Let a day's events happen at a gateway and return what it then answers."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(
            Path(folder) / "data",
            settings={"risk": {"max_order_value": "500000", "max_open_orders": 20}},
        )
        # It hides the tags of its book: what is lost there stays unresolved.
        quick = {"fill_delay_ms": 0, "book_lag_ms": 0, "echo": "none"}
        rig.sims["mstock"] = MstockSimulator(options=quick)
        async with rig:
            await rig.place("k1", price="760.00", strategy="momentum", wait_for="book")
            await rig.place("k2", price="830.00", product="MIS", accounts=["fyers-main"])
            rig.sims["hdfc"].faults.add([{"call": "place", "action": "reject"}])
            await rig.place("k3", price="812.50", accounts=["hdfc-main"])
            rig.sims["mstock"].faults.add([{"call": "place", "action": "accept_then_reset"}])
            await rig.place("k4", side="SELL", quantity=5, accounts=["mstock-main"])
            held = {"account": "hdfc-main", "class": "data", "hold": True, "reason": "slow today"}
            await rig.call("POST", "/v1/breakers/reset", held)
            halt = {"scope": "account", "target": "mstock-main", "level": "CANCEL_ALL"}
            await rig.call("POST", "/v1/kill-switch/engage", {**halt, "reason": "looks odd"})
            await asyncio.sleep(4)
            found = {name: (await rig.call("GET", path)).json for name, path in _READS.items()}
            newest = found["orders"]["orders"][-1]
            path = f"/v1/orders/{newest['order_id']}"
            found["order"] = (await rig.call("GET", path)).json
            found["history"] = (await rig.call("GET", f"{path}/history")).json
            lost = found["unresolved"]["unresolved"][0]["order_id"]
            found["lost"] = (await rig.call("GET", f"/v1/orders/{lost}")).json
            found["validated"] = (await rig.call("POST", "/v1/orders/validate", _ORDER)).json
            metrics = (await rig.call("GET", "/metrics")).content.decode()
            found["metrics"] = [
                line
                for line in metrics.splitlines()
                if line.startswith(_FIGURES) and "{}" not in line
            ]
            return found


if __name__ == "__main__":
    CANNED.write_text(json.dumps(asyncio.run(record()), indent=1, ensure_ascii=False) + "\n")

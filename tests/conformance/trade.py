"""Run a real gateway over an adapter that only its entry point names, and place an order there.

Prints what the gateway answered and what the adapter's simulator has, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from gateway.brokers import load_plugins
from tests.gateway import rig


async def trade(broker: str) -> dict[str, object]:
    plugin = load_plugins()[broker]
    assert plugin.simulator is not None
    rig._SIMULATORS[broker] = plugin.simulator  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        async with rig.Rig(Path(folder), brokers=(broker,)) as ready:
            account = f"{broker}-main"
            reply = await ready.place(accounts=[account], price="812.00")
            book = await ready.call("GET", f"/v1/orders/{reply.json['order_id']}")
            return {
                "from": plugin.create.__module__,
                "status": reply.status,
                "placed": reply.leg(account),
                "read": book.leg(account),
                "ledger": [
                    {"id": order.broker_order_id, "tag": order.tag, "quantity": order.quantity}
                    for order in ready.ledger(broker)
                ],
            }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(trade(sys.argv[1]))))

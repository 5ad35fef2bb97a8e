"""Take alerts over HTTP, as charting services send them, and place an order for each.

    webhook.py PORT

Environment, beside the gateway's: WEBHOOK_SECRET (long and random), WEBHOOK_ACCOUNTS (separated by
commas), WEBHOOK_MOST (the largest quantity of an alert). The alert's message is JSON:

    {"secret": "...", "id": "breakout {{ticker}} {{timenow}}", "instrument": "NSE:SBIN",
     "side": "BUY", "quantity": 1, "price": "812.50"}

`id` names the alert: the same alert sent twice is one order. The gateway has the order in its
journal before this answers, so nothing waits in memory here. Listens on this machine only; let a
web server with a certificate stand before it. Give its API key no more than the accounts it needs.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.client import Client, GatewayError, LookFirst, OrderFields, Policy, RetryLater

MOST_BYTES = 4096
FIELDS = {"secret", "id", "instrument", "side", "quantity", "price"}
# A sender gives up after a few seconds; what is still pending then goes on in the gateway.
HASTE = Policy(retry_for_s=2.0, wait_s=0.0)


class Receiver(BaseHTTPRequestHandler):
    client: Client
    secret: str
    accounts: list[str]
    most: int

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BYTES:
            self.answer(413, "too long, or empty")
            return
        try:
            alert = json.loads(self.rfile.read(length), parse_float=str)
            self.assert_known(alert)
            order, key = self.order_of(alert)
        except PermissionError:
            self.answer(403, "no")
            return
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            self.answer(422, f"not an alert: {error}")
            return
        self.place(order, key)

    def assert_known(self, alert: Any) -> None:
        given = alert.get("secret") if isinstance(alert, dict) else None
        if not hmac.compare_digest(str(given).encode(), self.secret.encode()):
            raise PermissionError
        if set(alert) != FIELDS:
            raise ValueError(f"its members are {sorted(FIELDS)}")

    def order_of(self, alert: dict[str, Any]) -> tuple[OrderFields, str]:
        quantity = int(alert["quantity"])
        if not 0 < quantity <= self.most:
            raise ValueError(f"quantity is not between 1 and {self.most}")
        if not str(alert["id"]).strip():
            raise ValueError("id is empty")
        order: OrderFields = {
            "instrument": str(alert["instrument"]),
            "side": str(alert["side"]).upper(),
            "order_type": "LIMIT",
            "product": "MIS",
            "quantity": quantity,
            "price": Decimal(str(alert["price"])),
            "accounts": self.accounts,
            "strategy": "webhook",
            "wait_ms": 1000,
        }
        return order, f"webhook {alert['id']}"[:255]

    def place(self, order: OrderFields, key: str) -> None:
        try:
            placed = self.client.place(key=key, **order)
        except LookFirst as error:
            # In the journal and pending, or its answer was lost: the same alert may come again.
            known = error.order.order_id if error.order else "unknown"
            self.answer(202 if error.order else 503, f"look for it: {known}")
        except RetryLater as error:
            self.answer(503, f"not placed: {error}")
        except GatewayError as error:
            self.answer(422, f"not placed: {error}")
        else:
            self.answer(200, f"{placed.order_id} {placed.summary}")

    def answer(self, status: int, text: str) -> None:
        print(status, text, flush=True)
        body = json.dumps({"result": text}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Keep quiet: `answer` says what matters, and no secret."""


def main() -> None:
    Receiver.secret = os.environ["WEBHOOK_SECRET"]
    Receiver.accounts = os.environ["WEBHOOK_ACCOUNTS"].split(",")
    Receiver.most = int(os.environ.get("WEBHOOK_MOST", "1"))
    if len(Receiver.secret) < 24:
        sys.exit("WEBHOOK_SECRET is too short: take 24 characters or more")
    with Client.from_environment(HASTE) as Receiver.client:
        server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
        print(f"waiting for alerts on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

"""What happens in the demo, every step of it over the gateway's REST API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.client import HttpApi, ask
from gateway.cli.demo.browser import follow_login_page, read_otp
from gateway.cli.demo.scene import ACCOUNTS, HOST, IDEMPOTENCY_KEY, ORDER, order_words
from gateway.cli.demo.show import Progress
from gateway.cli.failure import Failure
from gateway.cli.ports import CONTROL_SOCKET
from gateway.cli.simulators import SimulatorInfo

_MASTERS_S = 10.0
_PAUSE_S = 0.02


class Outcome:
    """The collated answer, and the API key that the order was placed with."""

    def __init__(self, order: dict[str, Any], key: str, titles: Mapping[str, str]) -> None:
        self.order = order
        self.key = key
        self.titles = titles

    @property
    def all_accepted(self) -> bool:
        return all(leg["outcome"] == "accepted" for leg in self.order["legs"])


def play(
    progress: Progress, data_dir: Path, port: int, simulators: Mapping[str, SimulatorInfo]
) -> Outcome:
    """Seal credentials, log in everywhere, place the order. Raises `Failure`."""
    control = HttpApi(f"unix:{data_dir / CONTROL_SOCKET}")
    with progress.step("Seal credentials, make an API key"):
        for account, broker in ACCOUNTS.items():
            sealed = {"fields": simulators[broker].credentials}
            ask(control, "PUT", f"/v1/accounts/{account}/credentials", sealed)
        made = ask(control, "POST", "/v1/keys", {"name": "demo", "scopes": ["operate"]})
    api = HttpApi(f"http://{HOST}:{port}", made["key"])
    for account, broker in ACCOUNTS.items():
        with progress.step(f"Log in {account}") as note:
            note.text = _log_in(api, account, simulators[broker])
    with progress.step("Load the brokers' instrument masters"):
        _wait_for_masters(api)
    with progress.step(f"Place {order_words()} at {len(ACCOUNTS)} accounts"):
        order = ask(api, "POST", "/v1/orders", ORDER, headers={"Idempotency-Key": IDEMPOTENCY_KEY})
    titles = {info.broker: info.title for info in simulators.values()}
    return Outcome(order, made["key"], titles)


def _log_in(api: HttpApi, account: str, simulator: SimulatorInfo) -> str:
    """Go through the broker's own steps and say which they were."""
    base = f"/v1/sessions/{account}"
    answer = ask(api, "POST", f"{base}/login", {})
    if answer["state"] == "redirect_required":
        url = follow_login_page(answer["login_url"], simulator)
        answer = ask(api, "POST", f"{base}/callback", {"url": url})
        steps = "login page, one-time password, redirect"
    elif answer["state"] == "otp_required":
        otp = read_otp(simulator)
        body = {"challenge_id": answer["challenge_id"], "otp": otp}
        answer = ask(api, "POST", f"{base}/otp", body)
        steps = f"password, one-time password {otp}"
    else:
        steps = "password"
    if answer["state"] != "active":
        raise Failure(f"{account} is not logged in after all steps: {answer['state']}")
    return steps


def _wait_for_masters(api: HttpApi) -> None:
    """Wait until every broker's master, which each login starts to load, has the instrument."""
    deadline = time.monotonic() + _MASTERS_S
    path = f"/v1/instruments/{ORDER['instrument']}"
    while True:
        reply = api.call("GET", path)
        listed = reply.body["brokers"] if reply.status == 200 else {}
        missing = [broker for broker in ACCOUNTS.values() if broker not in listed]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise Failure(f"no instrument master of {', '.join(missing)} was loaded")
        time.sleep(_PAUSE_S)

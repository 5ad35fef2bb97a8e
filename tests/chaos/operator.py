"""The owner of the accounts: logs in again when a session is lost, answers alarms, collects."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from adapters.fyers.simulator_login import complete_login
from tests.chaos.evidence import Did
from tests.chaos.history import History, now_us, shortened
from tests.chaos.http import NoReply, Reply, call
from tests.chaos.simulators import Place

NAME = "operator"


class Operator:
    """Speaks with an admin key."""

    def __init__(self, token: str, port: int, places: dict[str, Place], history: History) -> None:
        self._token = token
        self._port = port
        self._places = places
        self._history = history
        self.logins = 0
        self.resolved = 0

    async def watch(self) -> None:
        """Keep every account logged in, and lift what a doubled order stopped. Never ends."""
        while True:
            try:
                await self.log_in_where_needed()
                await self._release()
                await self._resolve()
            except (NoReply, OSError, RuntimeError, ValueError, http.client.HTTPException):
                # The gateway or a broker is down at the moment: the next round tries again.
                pass
            await asyncio.sleep(0.25)

    async def log_in_where_needed(self) -> bool:
        """Log in every account that is out; whether all were in."""
        reply = await self.get("/v1/sessions")
        if reply.status != 200:
            return False
        out = [
            row["account"]
            for row in reply.json["sessions"]
            if row["state"] not in ("active", "expiring")
        ]
        for account in out:
            await self._log_in(account)
        return not out

    async def get(self, path: str) -> Reply:
        return await call(self._port, "GET", path, token=self._token)

    async def post(self, path: str, body: Any) -> Reply:
        return await call(self._port, "POST", path, token=self._token, body=body)

    async def final_views(self, order_ids: list[str]) -> None:
        """Ask once more for every order that anybody was ever told of."""
        for order_id in order_ids:
            reply = await self.get(f"/v1/orders/{order_id}")
            order = shortened(reply.json) if reply.status == 200 else None
            self._history.note(
                Did.FINAL, NAME, status=reply.status, order=order, request={"order_id": order_id}
            )

    async def unresolved(self) -> list[str] | None:
        """The legs on the operator's list; None where there is no such list."""
        reply = await self.get("/v1/unresolved")
        if reply.status != 200:
            return None
        rows = reply.json.get("unresolved", [])
        return [row["leg"]["leg_id"] for row in rows]

    async def engage(self, scope: str, target: str | None, level: str) -> bool:
        """Engage the kill switch; False when there is none."""
        body = {"scope": scope, "target": target, "level": level, "reason": "chaos"}
        reply = await self.post("/v1/kill-switch/engage", body)
        self._history.note(
            Did.ENGAGED, NAME, status=reply.status, scope=scope, target=target, level=level
        )
        return reply.status == 200

    async def release(self, scope: str, target: str | None) -> bool:
        begun = now_us()
        body = {"scope": scope, "target": target, "reason": "chaos", "confirm": "RELEASE"}
        reply = await self.post("/v1/kill-switch/release", body)
        # Orders may go out again from when it was asked for, not from when it was answered.
        self._history.note(
            Did.RELEASED, NAME, at_us=begun, status=reply.status, scope=scope, target=target
        )
        return reply.status == 200

    async def _release(self) -> None:
        """Lift the stops that the gateway set by itself."""
        reply = await self.get("/v1/kill-switch")
        if reply.status != 200:
            return
        for row in reply.json["switches"]:
            if row["scope"] == "account" and row["source"] != "api":
                await self.release("account", row["target"])

    async def _resolve(self) -> None:
        """Settle what only a person can: look at the broker's own screen, adopt or declare absent.

        Every third such leg is left alone, so that some are still there at the end.
        """
        reply = await self.get("/v1/unresolved")
        if reply.status != 200:
            return
        for row in reply.json["unresolved"]:
            leg = row["leg"]
            tag = leg["broker_tag"]
            if leg["state"] != "NEEDS_OPERATOR" or row["age_s"] < 2 or int(tag) % 3 == 0:
                continue
            screen = await asyncio.to_thread(
                control, self._places[leg["account"]], "GET", f"/_sim/ledger?tag={tag}"
            )
            word: dict[str, Any] = {"action": "absent", "reason": "not on the broker's screen"}
            if screen["orders"]:
                found = screen["orders"][0]["broker_order_id"]
                word = {"action": "adopt", "broker_order_id": found, "reason": "on the screen"}
            await self.post(f"/v1/unresolved/{leg['leg_id']}/resolve", word)
            self.resolved += 1

    async def _log_in(self, account: str) -> None:
        place = self._places[account]
        reply = await self.post(f"/v1/sessions/{account}/login", {"renew": False})
        if reply.status != 200:
            return
        answer = reply.json
        if answer["state"] == "otp_required":
            otp = str((await asyncio.to_thread(control, place, "GET", "/_sim/otp"))["otp"])
            await self.post(
                f"/v1/sessions/{account}/otp",
                {"challenge_id": answer["challenge_id"], "otp": otp},
            )
        elif answer["state"] == "redirect_required":
            url = await complete_login(answer["login_url"], place.control_url)
            await self.post(f"/v1/sessions/{account}/callback", {"url": url})
        self.logins += 1


def control(place: Place, method: str, path: str, body: Any = None) -> Any:
    """Ask a simulator's control plane."""
    parts = urlsplit(place.control_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()

"""A raw HTTP client for the simulator, and the comparison with the dossier's samples."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.models import OptionType
from adapters.sdk.simulator import IST, Contract
from tests.hdfc.support import payload

KEY = str(HdfcSimulator.credentials["api_key"])
NOON = datetime(2026, 4, 30, 12, 40, 12, tzinfo=IST)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """Writes requests byte by byte as the samples stand, with nothing added but what is asked."""

    def __init__(self, simulator: HdfcSimulator) -> None:
        self.simulator = simulator
        self.token = ""

    async def __call__(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        fields = {"Host": "developer.hdfcsec.com", "User-Agent": "Mozilla/5.0"}
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        if form is not None:
            content = urlencode(form).encode()
            kind = "application/x-www-form-urlencoded"
            fields |= {"Content-Type": kind, "Content-Length": str(len(content))}
        if signed and self.token:
            fields["Authorization"] = self.token
        fields |= {"Accept": "application/json", "Connection": "close"} | dict(headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        port = urlsplit(self.simulator.url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + content)
        raw = await reader.read()
        writer.close()
        await writer.wait_closed()
        return _read(raw)

    async def log_in(self) -> None:
        token_id = (await self("GET", f"/oapi/v1/login?api_key={KEY}")).json["tokenId"]
        known = self.simulator.credentials
        query = f"api_key={KEY}&token_id={token_id}"
        password = {"username": known["username"], "password": known["password"]}
        await self("POST", f"/oapi/v1/login/validate?{query}", password)
        otp = {"answer": await self.simulator.read_otp()}
        factor = (await self("POST", f"/oapi/v1/twofa/validate?{query}", otp)).json
        consent = f"{query}&consent=true&request_token={factor['requestToken']}"
        given = (await self("GET", f"/oapi/v1/authorise?{consent}")).json
        exchange = f"api_key={KEY}&request_token={given['requestToken']}"
        secret = {"apiSecret": known["api_secret"]}
        self.token = (await self("POST", f"/oapi/v1/access-token?{exchange}", secret)).json[
            "accessToken"
        ]


def _read(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body and not body.startswith(b"0\r\n"):
            size, _, rest = body.partition(b"\r\n")
            whole += rest[: int(size, 16)]
            body = rest[int(size, 16) + 2 :]
        body = whole
    return Answer(int(first.split()[1]), headers, body)


def assert_same_shape(sample: Any, answer: Any, path: str = "$", *, partial: bool = False) -> None:
    """Compare members and JSON types; lists by their first element.

    `partial`: the dossier's sample is trimmed, so the answer may have more members.
    """
    assert type(sample) is type(answer), f"{path}: {sample!r} against {answer!r}"
    if isinstance(sample, dict):
        missing, more = set(sample) - set(answer), set(answer) - set(sample)
        assert not missing, f"{path}: missing {missing}"
        assert partial or not more, f"{path}: too many {more}"
        for name, value in sample.items():
            assert_same_shape(value, answer[name], f"{path}.{name}", partial=partial)
    elif isinstance(sample, list) and sample:
        assert answer, f"{path}: empty"
        assert_same_shape(sample[0], answer[0], f"{path}[0]", partial=partial)


def sample(name: str) -> Any:
    return json.loads(payload(name))


def an_option(simulator: HdfcSimulator, kind: OptionType = OptionType.CE) -> Contract:
    return next(
        contract
        for contract in simulator.universe.contracts()
        if contract.option_type is kind and contract.underlying == "BANKNIFTY"
    )


def option_order(simulator: HdfcSimulator, **changes: Any) -> dict[str, Any]:
    """The option sample of the documents, for a contract that the simulator has."""
    contract = an_option(simulator, changes.pop("kind", OptionType.CE))
    body: dict[str, Any] = sample("post_orders_regular_request_option.json") | {
        "security_id": str(contract.token),
        "strike_price": int(contract.strike or 0),
        "expiry_date": f"{contract.expiry:%Y%m%d}",
        "option_type": contract.option_type,
        "quantity": contract.lot_size,
        "price": float(contract.price),
    }
    return body | changes

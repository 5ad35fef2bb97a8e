"""The simulator's proof, since no official SDK exists: the dossier's wire samples, sent by a raw
HTTP client, get the dossier's answers (dossier hdfc 13), compared member by member with types.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from adapters.hdfc.master import HEADER
from adapters.hdfc.simulator import HdfcSimulator
from adapters.sdk.models import OptionType
from adapters.sdk.simulator import IST, CallKind, Contract, ManualClock
from tests.hdfc.conftest import INSTANT
from tests.hdfc.support import payload

KEY = str(HdfcSimulator.credentials["api_key"])
HEX = re.compile(r"[0-9a-f]{32}")
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


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    simulator = HdfcSimulator(
        options=INSTANT | {"market_orders": "accept"}, clock=ManualClock(NOON)
    )
    await simulator.start()
    yield RawClient(simulator)
    await simulator.stop()


@pytest.fixture
async def logged_in(client: RawClient) -> RawClient:
    await client.log_in()
    return client


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


async def test_login_steps_answer_as_the_samples(client: RawClient) -> None:
    simulator = client.simulator
    begun = await client("GET", f"/oapi/v1/login?api_key={KEY}")
    assert begun.status == 200
    assert_same_shape(sample("get_login.json"), begun.json)
    assert HEX.fullmatch(begun.json["tokenId"])
    query = f"api_key={KEY}&token_id={begun.json['tokenId']}"
    password = {"username": "1234567", "password": simulator.credentials["password"]}
    question = await client("POST", f"/oapi/v1/login/validate?{query}", password)
    assert sample("post_login_validate.json") == question.json
    resent = await client("GET", f"/oapi/v1/twofa/resend?{query}")
    assert resent.status == 200
    otp = {"answer": await simulator.read_otp()}
    factor = await client("POST", f"/oapi/v1/twofa/validate?{query}", otp)
    assert_same_shape(sample("post_twofa_validate.json"), factor.json)
    assert factor.json["authorised"] is False
    consent = f"{query}&consent=true&request_token={factor.json['requestToken']}"
    given = await client("GET", f"/oapi/v1/authorise?{consent}")
    assert_same_shape(sample("get_authorise.json"), given.json)
    assert given.json["requestToken"] != factor.json["requestToken"]
    exchange = f"/oapi/v1/access-token?api_key={KEY}&request_token={given.json['requestToken']}"
    secret = {"apiSecret": simulator.credentials["api_secret"]}
    token = await client("POST", exchange, secret)
    assert_same_shape(sample("post_access_token.json"), token.json)
    part = token.json["accessToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert (claims["sub"], claims["merchant_api_key"]) == ("1234567", KEY)
    assert claims["exp"] - claims["iat"] == 28_800
    assert (await client("POST", exchange, secret)).status == 401
    assert not simulator.violations


async def test_hosted_login_is_a_page_that_redirects_without_state(client: RawClient) -> None:
    browser = {"Accept": "text/html"}
    page = await client("GET", f"/oapi/v1/login?api_key={KEY}", headers=browser)
    assert page.headers["content-type"].startswith("text/html")
    form = {
        "username": "1234567",
        "password": client.simulator.credentials["password"],
        "otp": await client.simulator.read_otp(),
        "consent": "true",
    }
    done = await client("POST", f"/oapi/v1/login?api_key={KEY}", headers=browser, form=form)
    assert done.status == 302
    location = urlsplit(done.headers["location"])
    assert (location.netloc, list(parse_qs(location.query))) == (
        "gateway.example",
        ["request_token"],
    )


async def test_cash_sample_is_accepted_with_its_bare_number_reference(
    logged_in: RawClient,
) -> None:
    body = sample("post_orders_regular_request_equity.json")
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert answer.status == 200
    assert_same_shape(sample("post_orders_regular.json"), answer.json)
    assert re.fullmatch(r"260430\d{8}", answer.json["data"]["order_id"])
    (order,) = logged_in.simulator.engine.orders
    assert (order.tag, order.contract.instrument) == ("176300000012301", "NSE:WIPRO")
    assert not logged_in.simulator.violations


async def test_traded_option_row_is_the_sample_row(logged_in: RawClient) -> None:
    await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(logged_in.simulator, order_type="MARKET", price=0),
    )
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert_same_shape(sample("get_orders.json"), book.json)
    row = book.json["data"][0]
    assert row["status"] == "Traded"
    assert row["order_timestamp"] == "30/04/2026 12:40:12"
    assert (row["transaction_type"], row["option_type"]) == ("Sell", "Call")
    assert (row["underlying_symbol"], row["product"]) == ("BANKNIFTY", "OVERNIGHT")
    assert re.fullmatch(r"\d\d [A-Z]{3} 2026", row["expiry_date"])
    assert row["average_price"] == 0.0
    assert row["total_traded_value"] > 0
    assert row["tradingsymbol"] == row["security_id"]
    assert row["token_id"].endswith(row["security_id"])
    assert row["external_reference_number"] == "176300000012302"
    single = await logged_in("GET", f"/oapi/v1/orders/{row['order_id']}?api_key={KEY}")
    assert single.json == book.json


async def test_rejection_shows_in_the_book_only(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json") | {"quantity": 10**9, "price": 240}
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert answer.json["status"] == "success"
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert_same_shape(sample("get_orders_rejected.json"), book.json, partial=True)
    row = book.json["data"][0]
    assert (row["status"], row["filled_quantity"]) == ("Rejected", 0)
    assert "Margin" in row["status_message"]


async def test_generated_reference_replaces_ours() -> None:
    simulator = HdfcSimulator(
        options=INSTANT | {"external_reference": "generated"}, clock=ManualClock(NOON)
    )
    await simulator.start()
    client = RawClient(simulator)
    await client.log_in()
    body = sample("post_orders_regular_request_equity.json")
    await client("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    book = await client("GET", f"/oapi/v1/orders?api_key={KEY}")
    reference = book.json["data"][0]["external_reference_number"]
    assert re.fullmatch(r"STAPI\d{15}", reference)
    await simulator.stop()


async def test_modify_and_cancel_samples(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json") | {"price": 230, "quantity": 5}
    placed = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    target = f"/oapi/v1/orders/regular/{placed.json['data']['order_id']}?api_key={KEY}"
    change = {
        "quantity": 3,
        "order_type": "LIMIT",
        "validity": "DAY",
        "disclosed_quantity": 0,
        "product": "DELIVERY",
        "price": 229.5,
        "trigger_price": 0,
        "amo": False,
    }
    modified = await logged_in("PUT", target, change)
    assert modified.json == placed.json
    (order,) = logged_in.simulator.engine.orders
    assert (order.quantity, order.price) == (3, Decimal("229.5"))
    cancelled = await logged_in("DELETE", target)
    assert cancelled.json == placed.json
    again = await logged_in("DELETE", target)
    assert (again.status, again.json) == (200, sample("delete_orders_regular_refused.json"))
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    assert book.json["data"][0]["status"] == "CANCELLED"
    assert not logged_in.simulator.violations


async def test_trades_positions_holdings_funds_and_profile(logged_in: RawClient) -> None:
    placed = await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(
            logged_in.simulator,
            kind=OptionType.PE,
            order_type="MARKET",
            price=0,
            transaction_type="Buy",
        ),
    )
    trades = await logged_in("GET", f"/oapi/v1/trades?api_key={KEY}")
    assert_same_shape(sample("get_trades.json"), trades.json)
    trade = trades.json["data"][0]
    assert (trade["security_id"], trade["transaction_type"]) == ("BANKNIFTY", "BUY")
    order_id = placed.json["data"]["order_id"]
    own = await logged_in("GET", f"/oapi/v1/orders/{order_id}/trades?api_key={KEY}")
    row = own.json["data"][0]
    assert {"client_id", "tradeId", "orderId", "securityId", "averagePrice"} <= set(row)
    assert (row["orderId"], row["fillTimestamp"], row["validity"]) == (order_id, None, "1")
    positions = await logged_in("GET", f"/oapi/v1/portfolio/cumulative-positions?api_key={KEY}")
    wanted = sample("get_portfolio_cumulative_positions.json")
    assert_same_shape(wanted, positions.json, partial=True)
    net = positions.json["data"]["net"][0]
    assert (net["option_type"], net["net_qty"]) == ("Put", 30)
    assert re.fullmatch(r"\d\d-[A-Z]{3}-26", net["expiry_date"])
    holdings = await logged_in("GET", f"/oapi/v1/portfolio/holdings?api_key={KEY}")
    assert_same_shape(sample("get_portfolio_holdings.json"), holdings.json)
    funds = await logged_in("GET", f"/oapi/v1/user/margins?api_key={KEY}")
    assert set(funds.json["data"]["equity"]) == set(
        sample("get_user_margins.json")["data"]["equity"]
    )
    profile = await logged_in("GET", f"/oapi/v3/user/profile?api_key={KEY}")
    assert_same_shape(sample("get_user_profile.json"), profile.json, partial=True)
    assert (await logged_in("POST", f"/oapi/v3/user/profile?api_key={KEY}")).status == 405


async def test_last_price_by_put_has_no_status(logged_in: RawClient) -> None:
    wipro = {"exchange": "NSE", "token": "3787"}
    target = f"/oapi/v1/fetch-ltp?api_key={KEY}"
    answer = await logged_in("PUT", target, {"data": [wipro]})
    assert_same_shape(sample("put_fetch_ltp.json"), answer.json)
    assert answer.json["data"][0]["token"] == 3787
    nifty = {"exchange": "NSE", "token": "26000"}
    option = {"exchange": "BFO", "token": "810001"}
    answer = await logged_in(
        "PUT", target, {"data": [nifty, nifty | {"exchange": "NSE_INDEX"}, option]}
    )
    assert [(row["exchange"], row["token"]) for row in answer.json["data"]] == [
        ("NSE_INDEX", 26000),
        ("", 810001),
    ]
    many = await logged_in("PUT", target, {"data": [wipro] * 11})
    assert (many.status, many.json["message"]) == (400, "maximum 10 items allowed")


async def test_master_is_the_documented_csv_without_any_key(client: RawClient) -> None:
    answer = await client("GET", "/oapi/v1/security-master")
    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"] == "text/csv"
    assert "ir-security-master.csv" in answer.headers["content-disposition"]
    assert lines[0] == HEADER
    assert "NSE,STABANEQNR,EQUITY,,,,1,5,812.00,3045,SBIN,,812.00" in lines
    assert {len(line.split(",")) for line in lines} == {13}
    future = next(line for line in lines if ",FUTIDX," in line and line.startswith("NSE"))
    assert ",-.01,XX," in future
    option = next(line for line in lines if ",OPTIDX," in line and line.startswith("BSE"))
    assert re.match(r"BSE,B\d+,OPTIDX,\d{4}-\d\d-\d\d,\d+,(CE|PE),20,5,", option)
    assert option.split(",")[11] == "SENSEXEQ"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"exchange": "NFO"}, "exchange"),
        ({"security_id": "3787"}, "security_id"),
        ({"security_id": 3787}, "security_id"),
        ({"instrument_segment": "OPTIDX"}, "security_id"),
        ({"transaction_type": "B"}, "transaction_type"),
        ({"product": "CNC"}, "product"),
        ({"order_type": "SLM"}, "order_type"),
        ({"quantity": "1"}, "quantity"),
        ({"quantity": 1.0}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"price": "458"}, "price"),
        ({"price": 0}, "price"),
        ({"validity": "GTD"}, "validity"),
        ({"amo": "false"}, "amo"),
        ({"external_reference_number": "momentum-1"}, "external_reference_number"),
        ({"external_reference_number": 10**20}, "external_reference_number"),
        ({"client_id": "1234567"}, "client_id"),
    ],
)
async def test_wrong_members_are_refused_and_counted(
    logged_in: RawClient, change: dict[str, Any], field: str
) -> None:
    body = sample("post_orders_regular_request_equity.json") | change
    answer = await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    message = f"`{field}` is invalid"
    assert (answer.status, answer.json) == (400, {"status": "error", "message": message})
    assert logged_in.simulator.violations[CallKind.PLACE, message] == 1
    assert logged_in.simulator.engine.orders == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"underlying_symbol": "BANKNIFTY"}, "underlying_symbol"),
        ({"expiry_date": "2026-05-26"}, "expiry_date"),
        ({"option_type": "CALL"}, "option_type"),
        ({"strike_price": "58100"}, "strike_price"),
    ],
)
async def test_response_vocabulary_is_refused_in_requests(
    logged_in: RawClient, change: dict[str, Any], field: str
) -> None:
    answer = await logged_in(
        "POST",
        f"/oapi/v1/orders/regular?api_key={KEY}",
        option_order(logged_in.simulator) | change,
    )
    assert answer.json["message"] == f"`{field}` is invalid"


async def test_error_samples(logged_in: RawClient) -> None:
    book = f"/oapi/v1/orders?api_key={KEY}"
    dead = await logged_in("GET", book, signed=False)
    assert (dead.status, dead.json) == (401, sample("error_401.json"))
    bearer = await logged_in("GET", book, headers={"Authorization": f"Bearer {logged_in.token}"})
    assert bearer.status == 401
    keyless = await logged_in("GET", "/oapi/v1/orders")
    assert (keyless.status, keyless.json) == (401, sample("error_401.json"))
    agentless = await logged_in("GET", book, headers={"User-Agent": ""})
    assert agentless.status == 403
    logged_in.simulator.faults.add([{"call": "book", "action": "rate_limit"}])
    throttled = await logged_in("GET", book)
    assert (throttled.status, throttled.json) == (429, sample("error_429.json"))
    missing = await logged_in("GET", f"/oapi/v1/portfolio/overall_positions?api_key={KEY}")
    assert (missing.status, missing.body) == (404, b"")
    wrong_verb = await logged_in("POST", f"/oapi/v1/trades?api_key={KEY}")
    assert wrong_verb.status == 405


async def test_market_order_policy_of_2026() -> None:
    simulator = HdfcSimulator(options=INSTANT)
    await simulator.start()
    client = RawClient(simulator)
    await client.log_in()
    body = option_order(simulator, order_type="MARKET", price=0)
    answer = await client("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    assert (answer.status, answer.json) == (
        403,
        sample("post_orders_regular_limit_only_403.json"),
    )
    await simulator.stop()


async def test_trailing_slash_redirects_and_places_nothing(logged_in: RawClient) -> None:
    body = sample("post_orders_regular_request_equity.json")
    answer = await logged_in("POST", f"/oapi/v1/orders/regular/?api_key={KEY}", body)
    assert answer.status == 307
    assert answer.headers["location"].startswith("/oapi/v1/orders/regular?")
    assert logged_in.simulator.engine.orders == []


async def test_token_dies_after_eight_hours(logged_in: RawClient) -> None:
    clock = logged_in.simulator.clock
    assert isinstance(clock, ManualClock)
    clock.advance(ms=int(timedelta(hours=8).total_seconds() * 1000) - 1)
    book = f"/oapi/v1/orders?api_key={KEY}"
    assert (await logged_in("GET", book)).status == 200
    clock.advance(ms=1)
    assert (await logged_in("GET", book)).status == 401


async def test_after_market_order_waits_in_its_own_words(logged_in: RawClient) -> None:
    logged_in.simulator.engine.set_market(is_open=False)
    body = sample("post_orders_regular_request_equity.json") | {"amo": True, "price": 240}
    await logged_in("POST", f"/oapi/v1/orders/regular?api_key={KEY}", body)
    book = await logged_in("GET", f"/oapi/v1/orders?api_key={KEY}")
    row = book.json["data"][0]
    assert (row["order_slot"], row["status"]) == ("AMO", "AMO Req Received")

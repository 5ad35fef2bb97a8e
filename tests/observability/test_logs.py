from __future__ import annotations

import asyncio
import json
import logging
import sys
import urllib.request

import pytest

from gateway.observability import context
from gateway.observability.logs import JsonFormatter
from tests.cli.conftest import Program, read_until, stop

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def record(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("gateway.x", logging.WARNING, "", 0, message, values, None)


def line_of(log: logging.LogRecord) -> dict[str, str]:
    text = JsonFormatter().format(log)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_object_in_one_line() -> None:
    line = line_of(record('two\nlines, a "quote" and %s', 7))

    at = line.pop("at")
    assert at.endswith("+05:30")
    assert {
        "level": "warning",
        "logger": "gateway.x",
        "message": 'two\nlines, a "quote" and 7',
    } == line


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        log = record("failed")
        log.exc_info = sys.exc_info()

    assert "ValueError: broken" in line_of(log)["error"]


async def test_what_a_request_starts_logs_its_names() -> None:
    async def request() -> dict[str, str]:
        context.enter("req_1", TRACE)
        return await asyncio.create_task(begun())

    async def begun() -> dict[str, str]:
        return line_of(record("x"))

    line = await asyncio.create_task(request())
    assert ("req_1", TRACE) == (line["request_id"], line["traceparent"])
    assert "request_id" not in line_of(record("of nobody"))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        TRACE.upper(),
        TRACE + "-more",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        'x", "level": "none',
    ],
)
async def test_a_traceparent_of_another_form_counts_as_none(given: str) -> None:
    async def request() -> str | None:
        context.enter("req_1", given)
        return context.traceparent.get()

    assert None is await asyncio.create_task(request())


async def test_an_order_keeps_its_traceparent_over_a_restart(rig) -> None:
    placed = await rig.call(
        "POST",
        "/v1/orders",
        {
            "instrument": "NSE:SBIN",
            "side": "BUY",
            "order_type": "LIMIT",
            "product": "CNC",
            "quantity": 1,
            "price": "812.50",
            "accounts": ["fyers-main"],
        },
        idempotency_key="traced",
        headers={"traceparent": TRACE},
    )
    other = await rig.place("untraced", accounts=["fyers-main"])

    await rig.restart_gateway()
    for reply, wanted in ((placed, TRACE), (other, None)):
        order, _ = await rig.gateway.store.load_order(reply.json["order_id"])
        assert wanted == order.traceparent


def test_serve_logs_json_where_it_is_asked_to(tmp_path) -> None:
    program = Program(tmp_path)
    program.environ |= {"BROKERGATE_LOGGING__FORMAT": "json", "BROKERGATE_DATA_DIR": "d"}
    try:
        assert 0 == program.run("init").returncode
        served = program.start("serve", "--port", "0")
        url = read_until(served, "ready on")[-1].split()[3]
        with urllib.request.urlopen(f"{url}/livez"):
            pass
        assert 0 == stop(served)
        lines = [json.loads(line) for line in program.log().splitlines()]
    finally:
        program.stop_all()
    assert {"stopping"} <= {line["message"] for line in lines}

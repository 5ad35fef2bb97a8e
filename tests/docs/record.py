"""Make gateway/api/examples.json: `python -m tests.docs.record`, when calls or answers changed.

Runs docs/calls.md against a demo, and a few orders that go otherwise, and writes what was asked
and answered. What differs at every run (ids, times, tags) is replaced, so that a second run
changes only what really changed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.cli.conftest import Program
from tests.docs.conftest import Demo
from tests.docs.pages import ROOT
from tests.docs.test_calls_page import remember, sections

FILE = ROOT / "gateway" / "api" / "examples.json"
_ROWS = 2
_AT = "2026-11-23T10:15:00.123000+05:30"
_MORE: list[tuple[dict[str, Any], str]] = [
    ({"price": "760.01"}, "record-tick"),
    ({"wait_ms": 0}, "record-pending"),
    ({"qty": 1}, "record-wrong"),
]
_ACTIVE = {
    "state": "active",
    "challenge_id": None,
    "prompt": None,
    "login_url": None,
    "expires_at": _AT,
    "account": "mstock-main",
}
# What the demo cannot answer: it knows no right one-time password and has no receivers.
_WRITTEN = {
    "POST /v1/sessions/{account}/otp": {"200": _ACTIVE},
    "POST /v1/sessions/{account}/callback": {"200": {**_ACTIVE, "account": "fyers-main"}},
    "POST /v1/sessions/{account}/confirm": {"200": {**_ACTIVE, "account": "hdfc-main"}},
    "GET /v1/callback/{account}": {"200": "<!doctype html>..."},
    "GET /readyz": {"503": "no\n"},
    "PUT /v1/alerts/{receiver}/secret": {"200": {"receiver": "phone", "secret": None}},
    "POST /v1/config/reload": {
        "200": {
            "changed": True,
            "added": ["paper-main"],
            "removed": [],
            "replaced": [],
            "updated": [{"account": "fyers-main", "fields": ["limits.orders_per_second"]}],
            "groups": ["family"],
            "risk_changed": False,
            "needs_restart": ["server.port"],
        }
    },
    "POST /v1/alerts/test": {
        "200": {"ok": True, "results": [{"receiver": "phone", "ok": True, "error": None}]}
    },
}
# Bodies that may be left out, and are on the page.
_REQUESTS = {
    "POST /v1/sessions/{account}/otp/resend": {"challenge_id": "chl_0123456789abcdef"},
    "POST /v1/instruments/refresh": {"brokers": ["fyers"], "accept_fewer": False},
}


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bg-record-"))
    program = Program(folder)
    try:
        found = recorded(Demo(program))
    finally:
        program.stop_all()
        shutil.rmtree(folder)
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def recorded(demo: Demo) -> dict[str, Any]:
    variables: dict[str, str] = {}
    found: dict[str, Any] = {}
    for call, curl, _ in sections():
        shown = found[call] = asked(call, curl.text)
        if curl.mark == "run: stream":
            text = f"({curl.text.strip()} || true); printf '\\n200'"
            answer = demo.shell(text, **variables)[1]
            shown["answers"] = {"200": "\n\n".join(settled(answer).split("\n\n")[:2]) + "\n\n"}
            continue
        status, body = demo.shell(curl.text, **variables)
        keep(shown, status, body)
        if body.startswith("{"):
            remember(json.loads(body), variables)
    template = found["POST /v1/orders"]["request"]
    for change, key in _MORE:
        body = json.dumps({**template, **change})
        command = f"""curl -s $GATE/v1/orders -H "Authorization: Bearer $KEY" \\
            -H "Idempotency-Key: {key}" -d '{body}'"""
        keep(found["POST /v1/orders"], *demo.shell(command))
    for call, request in _REQUESTS.items():
        found[call].setdefault("request", request)
    for call, answers in _WRITTEN.items():
        found[call].setdefault("answers", {}).update(answers)
    placed = found["POST /v1/orders"]["answers"]["201"]
    found["POST /v1/unresolved/{leg_id}/resolve"]["answers"] = {"200": placed}
    return found


def asked(call: str, text: str) -> dict[str, Any]:
    """The parameters and the body of a call, out of its line of curl."""
    words = shlex.split(text.replace("\\\n", " "))
    target = next(word for word in words if word.startswith(("$GATE", "http://gateway")))
    parts = urlsplit(target.replace("$GATE", "http://gateway"))
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", call.split(" ")[1])
    matched = re.fullmatch(pattern, parts.path)
    assert matched is not None, call
    parameters = {**matched.groupdict(), **dict(parse_qsl(parts.query))}
    shown: dict[str, Any] = {}
    if parameters:
        shown["parameters"] = {name: named(value) for name, value in parameters.items()}
    if "-d" in words:
        shown["request"] = json.loads(named(words_of_body(text)))
    elif "--data-binary" in words:
        given = (ROOT / words[words.index("--data-binary") + 1].removeprefix("@")).read_text()
        shown["request"] = shortened(json.loads(given))
    return shown


def words_of_body(text: str) -> str:
    words = shlex.split(text.replace("\\\n", " "))
    return words[words.index("-d") + 1]


def keep(shown: dict[str, Any], status: int, body: str) -> None:
    if not body.startswith(("{", "[")):
        if body and status < 400:
            text = "<!doctype html>..." if body.startswith("<") else settled(body[:400])
            shown.setdefault("answers", {})[str(status)] = text
        return
    answer = shortened(json.loads(settled(body)))
    if status >= 400:
        shown["problem"] = answer
    else:
        shown.setdefault("answers", {})[str(status)] = answer


def shortened(value: Any) -> Any:
    """Keep the first rows of lists, and a few members of what has many of one kind."""
    if isinstance(value, list):
        return [shortened(each) for each in value[:_ROWS]]
    if isinstance(value, dict):
        if "openapi" in value:
            return {"openapi": value["openapi"], "info": {"title": "brokergate"}, "paths": {}}
        return {name: shortened(each) for name, each in value.items()}
    return value


def named(text: str) -> str:
    """Give the page's variables values as they are answered."""
    values = {
        "$KEY_ID": "3mK9xQ2bTz",
        "$CHALLENGE": "chl_0123456789abcdef",
        "$ORDER": "ord_0123456789abcdef",
        "$BROKER_ORDER": "26112300000001",
    }
    for name, value in sorted(values.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(name, value)
    return text


def settled(text: str) -> str:
    """Replace what differs at every run."""
    text = re.sub(r"bg_live_\w+", "bg_live_...", text)
    text = re.sub(
        r"\b(ord|leg|chl|req|bsk|bkt|cls|kill)_[0-9a-z]{8,}", r"\1_0123456789abcdef", text
    )
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)", _AT, text)
    text = re.sub(r'"(broker_tag)":"\d{15}"', r'"\1":"123456789012345"', text)
    text = re.sub(r'"id":"[0-9A-Za-z]{10}"', '"id":"3mK9xQ2bTz"', text)
    text = re.sub(r'"(mac)":"[^"]+"', r'"\1":"9f2c...e1"', text)
    text = re.sub(r'"(broker_order_id|exchange_order_id)":"[^"]+"', r'"\1":"26112300000001"', text)
    text = re.sub(r'"(\w+_ms|ms|age_s|retry_in_s)":[\d.]+', r'"\1":12', text)
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://broker.example", text)


if __name__ == "__main__":
    main()

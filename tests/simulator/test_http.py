"""Requests, answers and routes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sdk.simulator import CallKind, Route, SimRequest, SimResponse
from adapters.sdk.simulator.http import Router


def answer(_: SimRequest) -> SimResponse:
    return SimResponse(200)


ROUTER = Router(
    [
        Route("GET", "/orders", CallKind.BOOK, answer),
        Route("GET", "/orders/{order_id}", CallKind.ORDER, answer),
        Route("GET", "/orders/{order_id}/trades", CallKind.TRADES, answer),
        Route("GET", "/orders/special", CallKind.READ, answer),
        Route("GET", "/files/{name...}", CallKind.MASTER, answer),
    ]
)


@pytest.mark.parametrize(
    ("path", "kind", "params"),
    [
        ("/orders", CallKind.BOOK, {}),
        ("/orders/12", CallKind.ORDER, {"order_id": "12"}),
        ("/orders/special", CallKind.READ, {}),
        ("/orders/12/trades", CallKind.TRADES, {"order_id": "12"}),
        ("/orders/a%2Fb", CallKind.ORDER, {"order_id": "a/b"}),
        ("/files/sym/NSE.csv", CallKind.MASTER, {"name": "sym/NSE.csv"}),
    ],
)
def test_routes_literal_first_then_patterns(
    path: str, kind: CallKind, params: dict[str, str]
) -> None:
    found = ROUTER.find("GET", path)
    assert found is not None
    assert (kind, params) == (found[0].kind, found[1])


@pytest.mark.parametrize("path", ["/", "/order", "/orders/12/fills", "/orders/12/trades/x"])
def test_unknown_paths_have_no_route(path: str) -> None:
    assert ROUTER.find("GET", path) is None
    assert not ROUTER.knows_path(path)


def test_known_path_with_another_method_has_no_route_but_is_known() -> None:
    assert ROUTER.find("POST", "/orders/12") is None
    assert ROUTER.knows_path("/orders/12")


def test_request_decodes_its_parts() -> None:
    request = SimRequest(
        "POST",
        "/x",
        raw_query="a=1%3A2&b=&a=3",
        headers={"content-type": "Application/JSON; charset=utf-8"},
        body=b'{"n": 1}',
    )
    assert {"a": "3", "b": ""} == request.query
    assert "application/json" == request.content_type
    assert {"n": 1} == request.json()
    assert {"p": "q r"} == SimRequest("POST", "/", body=b"p=q+r").form()


def test_body_that_is_not_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        SimRequest("POST", "/", body=b"{").json()


@pytest.mark.parametrize(
    ("body", "raw", "content_type"),
    [
        (b"\x00", b"\x00", "application/json"),
        ("text", b"text", "text/plain; charset=utf-8"),
        ({"p": Decimal("812.50")}, b'{"p":812.50}', "application/json"),
        (iter([b"a", b"b"]), b"ab", "application/octet-stream"),
        (None, b"null", "application/json"),
    ],
)
def test_answers_encode_their_bodies(body: object, raw: bytes, content_type: str) -> None:
    response = SimResponse(200, body)
    assert (raw, content_type) == (response.whole_body(), response.headers["content-type"])


def test_head_lists_the_headers_once() -> None:
    response = SimResponse(429, {}, {"retry-after": "3"})
    assert (
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-type: application/json\r\n"
        b"content-length: 2\r\nconnection: close\r\n\r\n"
    ) == response.head(length=2, keep_alive=False)

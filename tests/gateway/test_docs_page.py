"""`/docs`: open to anybody, and nothing on it comes from elsewhere."""

from __future__ import annotations

import re

from tests.gateway.rig import Rig


async def test_the_page_is_served_without_a_key_and_names_no_other_host(one: Rig) -> None:
    reply = await one.call("GET", "/docs", key="")

    text = reply.content.decode()
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert not re.findall(r"https?://|//[a-z]+\.[a-z]+/|<link|src=", text)


async def test_the_page_shows_every_call_of_the_document(one: Rig) -> None:
    document = (await one.call("GET", "/openapi.json", key="")).json

    assert "/v1/orders" in document["paths"]
    assert all(
        operation.get("tags") and operation.get("summary")
        for methods in document["paths"].values()
        for operation in methods.values()
    )

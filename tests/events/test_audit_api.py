"""The audit log over HTTP: pages, filters, the stream."""

from __future__ import annotations

import pytest

from tests.events.listener import listening
from tests.gateway.rig import Rig


async def test_pages_follow_each_other_without_a_gap(one: Rig) -> None:
    await one.place(wait_for="final", accounts=["fyers-main"])
    seen, after = [], 0
    while True:
        page = (await one.call("GET", f"/v1/audit?limit=3&after={after}")).json
        if not page["rows"]:
            break
        assert len(page["rows"]) <= 3
        seen += [row["seq"] for row in page["rows"]]
        after = page["next_after"]

    assert seen == list(range(1, len(seen) + 1))
    assert after == len(seen)


async def test_filters_name_kind_order_and_account(one: Rig) -> None:
    placed = await one.place(wait_for="final", accounts=["fyers-main"])
    order_id = placed.json["order_id"]

    of_order = (await one.call("GET", f"/v1/audit?order_id={order_id}")).json["rows"]
    of_kinds = (await one.call("GET", "/v1/audit?kind=vault,key")).json["rows"]
    of_account = (await one.call("GET", "/v1/audit?account=fyers-main&kind=leg")).json["rows"]

    assert of_order[0]["kind"] == "order"
    assert {row["order_id"] for row in of_order} == {order_id}
    assert {row["kind"] for row in of_kinds} == {"vault", "key"}
    assert [row["body"]["to"] for row in of_account][:2] == ["READY", "SENDING"]
    assert set(of_order[0]) == {"seq", "at", "kind", "account", "order_id", "body", "mac"}


async def test_a_key_for_some_accounts_reads_only_their_rows(rig: Rig) -> None:
    key = await rig.new_key("desk", ["read"], accounts=["mstock-main"])
    await rig.place()

    rows = (await rig.call("GET", "/v1/audit", key=key)).json["rows"]
    other = await rig.call("GET", "/v1/audit?account=fyers-main", key=key)

    assert {row["account"] for row in rows} == {"mstock-main"}
    assert other.status == 422


async def test_the_stream_brings_rows_as_they_are_written(one: Rig) -> None:
    async with listening(one, "/v1/audit/stream?kind=key") as rows:
        await one.new_key("fresh", ["read"])
        row = await rows.event()

    assert (row["kind"], row["body"]["name"]) == ("key", "fresh")


async def test_pages_also_go_backwards_from_the_newest_row_under_every_filter(one: Rig) -> None:
    await one.place(wait_for="final", accounts=["fyers-main"])
    every = (await one.call("GET", "/v1/audit?limit=1000&kind=leg,order")).json["rows"]
    head = (await one.call("GET", "/v1/audit/verify")).json["head"]

    seen, before = [], "end"
    while rows := (
        page := await one.call("GET", f"/v1/audit?limit=3&kind=leg,order&before={before}")
    ).json["rows"]:
        seen[:0] = rows
        assert page.json["next_after"] == (head if before == "end" else int(before) - 1)
        before = str(rows[0]["seq"])

    assert len(every) > 3
    assert seen == every


async def test_the_log_is_checked_in_parts(one: Rig) -> None:
    checked = {"checked_to": 0, "head": 1}
    parts = 0
    while checked["checked_to"] < checked["head"]:
        path = f"/v1/audit/verify?limit=2&after={checked['checked_to']}"
        checked = (await one.call("GET", path)).json
        assert checked["ok"], checked
        parts += 1

    beyond = (await one.call("GET", f"/v1/audit/verify?after={checked['head'] + 1}")).json
    assert parts == -(-checked["head"] // 2)
    assert (beyond["ok"], beyond["first_bad_seq"]) == (False, checked["head"] + 1)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=x", "before=x", "before=-1"]
)
async def test_bad_number_is_refused_with_its_field(one: Rig, query: str) -> None:
    reply = await one.call("GET", f"/v1/audit?{query}")

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, query.partition("=")[0])

"""The switch outlives the process, and whatever cannot be read of it counts as engaged."""

from __future__ import annotations

import pytest

from tests.kill.help import RESTING, elsewhere, engage, legs, release, state, until

DENIED = {"fyers-main": ("DENIED", "kill_switch")}


async def sql(rig, statement, *values):
    await rig.gateway.store.write(lambda c: c.execute(statement, values).fetchall())


async def test_engagement_survives_a_restart(one):
    await engage(one, scope="account", target="fyers-main")
    before = await state(one)
    await one.restart_gateway()

    assert before == await state(one)
    assert DENIED == legs(await one.place(accounts=["fyers-main"]))
    assert [] == one.ledger("fyers")


async def test_release_survives_a_restart(one):
    await engage(one)
    await release(one)
    await one.restart_gateway()

    assert not (await state(one))["engaged"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE kill_switch SET data = x'00ff'",
        "UPDATE kill_switch SET level = 'NOTHING'",
        "UPDATE kill_switch SET level = 'REDUCE_ONLY'",
        "UPDATE kill_switch SET scope = 'galaxy'",
        "UPDATE kill_switch SET data = CAST(replace(data, 'CANCEL_ALL', 'OFF') AS BLOB)",
        "DROP TABLE kill_switch",
    ],
)
async def test_damaged_row_counts_as_engaged_for_everything(one, damage):
    # Engaged for a strategy that the order below does not have: the damage alone stops it.
    await engage(one, level="CANCEL_ALL", scope="strategy", target="other")
    await sql(one, damage)
    await one.restart_gateway()

    seen = await state(one)
    assert "unreadable" in [switch["source"] for switch in seen["switches"]]
    assert DENIED == legs(await one.place(accounts=["fyers-main"]))
    assert [] == one.ledger("fyers")


async def test_release_clears_a_damaged_row(one):
    await engage(one)
    await sql(one, "UPDATE kill_switch SET data = x'00'")
    await one.restart_gateway()
    assert (await state(one))["engaged"]

    assert not (await release(one)).json["engaged"]
    await one.restart_gateway()
    assert not (await state(one))["engaged"]


async def test_kill_file_halts_while_it_exists_and_release_is_refused(one):
    file = one.data_dir / "KILL"
    file.write_text("operator pulled the plug\n")

    async def engaged():
        return (await state(one))["kill_file"]

    await until(engaged, "the KILL file was not noticed")
    placed = await one.place(accounts=["fyers-main"])
    assert DENIED == legs(placed)
    assert "operator pulled the plug" in placed.leg("fyers-main")["reason"]["message"]
    refused = await release(one)
    assert (409, "kill_file_present") == (refused.status, refused.json["code"])
    file.unlink()

    async def gone():
        return not (await state(one))["kill_file"]

    await until(gone, "the end of the KILL file was not noticed")
    placed = await one.place("k2", accounts=["fyers-main"], **RESTING)
    assert "accepted" == placed.json["summary"]


async def test_kill_file_is_seen_at_start_whatever_it_is(one):
    await one.stop_gateway()
    (one.data_dir / "KILL").symlink_to(one.data_dir / "nowhere")
    await one.start_gateway()

    assert (await state(one))["kill_file"]
    assert DENIED == legs(await one.place(accounts=["fyers-main"]))


async def test_release_looks_for_the_file_itself(one):
    await engage(one)
    file = one.data_dir / "KILL"
    file.touch()
    assert 409 == (await release(one)).status
    file.unlink()

    assert not (await release(one)).json["engaged"]


async def test_duplicate_halts_its_account_and_stays_over_a_restart(one):
    one.sims["fyers"].engine.configure({"book_lag_ms": 0})
    placed = await one.place(accounts=["fyers-main"], wait_for="book", **RESTING)
    tag = one.ledger("fyers")[0].tag
    elsewhere(one, "fyers", quantity=10, tag=tag)

    async def engaged():
        return [(s["scope"], s["target"]) for s in (await state(one))["switches"]]

    await until(engaged, "the duplicate was not noticed")
    assert [("account", "fyers-main")] == await engaged()
    await one.restart_gateway()
    switch = (await state(one))["switches"][0]
    assert ("HALT_NEW", "duplicate") == (switch["level"], switch["source"])
    assert DENIED == legs(await one.place("k2", accounts=["fyers-main"]))
    assert 2 == len(one.ledger("fyers")), placed.json

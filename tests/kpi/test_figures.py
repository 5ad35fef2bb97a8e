"""Adding up: rows of the audit log and minutes, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from gateway.kill import KillSwitch
from gateway.kpi.figures import by_adapter, overhead_of, uptimes
from gateway.kpi.journal import JournalFigures
from gateway.kpi.keeper import MinuteKeeper
from gateway.kpi.minutes import MINUTE_US, Condition, Minute
from gateway.store.audit import AuditRow, rows_from, seq_at
from gateway.store.figures import KEPT_US, FigureStore
from gateway.store.schema import prepare

BEGIN = 1_700_000_000_000_000 - 1_700_000_000_000_000 % MINUTE_US


def rows(*steps: tuple[str, str | None, str, dict[str, Any]]) -> list[AuditRow]:
    """Rows of legs of one account: leg id, state before, state after, and the rest of a body."""
    return [
        AuditRow(
            seq=n,
            at_us=BEGIN + n * 1000,
            kind="leg",
            account="a",
            order_id=f"ord_{leg}",
            body=msgspec.json.encode(
                {"leg_id": leg, "from": old, "to": new, "event": "x", "attempt": 1, **body}
            ),
            mac=b"",
        )
        for n, (leg, old, new, body) in enumerate(steps, 1)
    ]


def read(*steps: tuple[str, str | None, str, dict[str, Any]]) -> JournalFigures:
    seen = JournalFigures(BEGIN, BEGIN + MINUTE_US, lambda account: True)
    seen.feed(rows(*steps))
    return seen


def test_overhead_is_the_time_here_without_the_brokers() -> None:
    seen = read(
        ("1", None, "READY", {}),
        ("1", "READY", "SENDING", {}),
        ("1", "SENDING", "ACKED", {"ms": 0.5}),
    )

    assert [1.5] == list(seen.overhead_ms)


def test_a_second_try_is_no_measure_of_overhead() -> None:
    seen = read(
        ("1", None, "READY", {}),
        ("1", "READY", "SENDING", {}),
        ("1", "SENDING", "RETRY_WAIT", {}),
        ("1", "RETRY_WAIT", "SENDING", {"attempt": 2}),
        ("1", "SENDING", "ACKED", {"ms": 0.5, "attempt": 2}),
    )

    assert [] == list(seen.overhead_ms)
    assert (1, 1) == (seen.met, seen.recovered)


def test_what_could_not_be_sent_in_its_time_was_not_recovered() -> None:
    seen = read(
        ("1", None, "READY", {}),
        ("1", "READY", "SENDING", {}),
        ("1", "SENDING", "RETRY_WAIT", {}),
        ("1", "RETRY_WAIT", "LAPSED", {}),
    )

    assert (1, 0, 1) == (seen.met, seen.recovered, seen.ends["lapsed"])


def test_what_its_client_took_back_counts_neither_way() -> None:
    seen = read(
        ("1", None, "READY", {}),
        ("1", "READY", "SENDING", {}),
        ("1", "SENDING", "RETRY_WAIT", {}),
        ("1", "RETRY_WAIT", "RETRY_WAIT", {"event": "cancel_requested"}),
        ("1", "RETRY_WAIT", "LAPSED", {}),
    )

    assert (0, 0) == (seen.met, seen.recovered)
    assert {"cancelled": 1} == seen.ends


@pytest.mark.parametrize(
    ("end", "event", "recovered"),
    [
        ("ABSENT", "absent", 1),
        ("ABSENT", "declared_absent", 0),
        ("ACKED", "found", 1),
        ("ACKED", "adopted_by_operator", 0),
    ],
)
def test_only_what_needed_nobody_was_recovered(end: str, event: str, recovered: int) -> None:
    seen = read(
        ("1", None, "READY", {}),
        ("1", "READY", "SENDING", {}),
        ("1", "SENDING", "UNKNOWN", {}),
        ("1", "UNKNOWN", "NOT_FOUND", {}),
        ("1", "NOT_FOUND", end, {"event": event}),
    )

    assert (1, recovered) == (seen.met, seen.recovered)
    assert set() == seen.unproven


def test_nothing_is_remembered_of_legs_that_ended() -> None:
    steps = [
        step
        for leg in map(str, range(50))
        for step in (
            (leg, None, "READY", {}),
            (leg, "READY", "SENDING", {}),
            (leg, "SENDING", "ACKED", {}),
        )
    ]
    seen = read(*steps)

    assert (50, 50) == (seen.orders, seen.ends["accepted"])
    assert not seen._began and not seen.struck and not seen._cancelled


def test_percentiles_are_values_that_were_measured() -> None:
    overhead = overhead_of([float(value) for value in range(1, 101)])

    assert overhead is not None
    assert (50, 95, 99, 100) == (overhead.p50, overhead.p95, overhead.p99, overhead.max)
    assert None is overhead_of([])


def minute(n: int, **seconds: float) -> Minute:
    spent = {Condition(name): value for name, value in seconds.items()}
    at_us = BEGIN + n * MINUTE_US
    return Minute(at_us=at_us, since_us=at_us, seconds=sum(spent.values()), accounts={"a": spent})


def test_what_the_broker_or_the_owner_stood_in_the_way_of_is_apart() -> None:
    minutes = [minute(0, up=30, outage=30), minute(1, logged_out=60), minute(2, held=30, up=30)]
    [seen] = uptimes(minutes, {"a": "fyers"}, {"a": 2}, (BEGIN, BEGIN + 3 * MINUTE_US))

    assert (1.0, 60, 0) == (seen.share, seen.up_s, seen.stopped_s)
    assert (30, 60, 30) == (seen.broker_outage_s, seen.logged_out_s, seen.held_s)
    assert 2 == seen.outages


def test_minutes_of_which_nothing_is_known_the_gateway_did_not_run() -> None:
    minutes = [minute(0, up=60), minute(3, up=60)]
    [seen] = uptimes(minutes, {"a": "fyers"}, {}, (BEGIN, BEGIN + 4 * MINUTE_US))

    assert (0.5, 120) == (seen.share, seen.stopped_s)


def test_an_adapter_has_the_time_of_all_its_accounts() -> None:
    minutes = [minute(0, up=60), minute(1, recovering=60)]
    brokers = {"a": "fyers", "b": "fyers", "c": "hdfc"}
    for each in minutes:
        each.accounts["b"] = {Condition.UP: 60.0}
    fyers, hdfc = by_adapter(uptimes(minutes, brokers, {}, (BEGIN, BEGIN + 2 * MINUTE_US)))

    assert (180, 60, 0.75) == (fyers.up_s, fyers.recovering_s, fyers.share)
    assert ("hdfc", None) == (hdfc.broker, hdfc.share)


async def test_minutes_are_kept_added_up_and_forgotten(tmp_path: Path) -> None:
    store = FigureStore(tmp_path / "figures.db")
    try:
        await store.add(minute(-KEPT_US // MINUTE_US - 1, up=60))
        await store.add(minute(0, up=20))
        await store.add(minute(0, up=10, held=5))
        [kept] = await store.between(0, BEGIN + MINUTE_US)

        assert {"a": {Condition.UP: 30.0, Condition.HELD: 5.0}} == kept.accounts
        assert (35, BEGIN) == (kept.seconds, await store.first_us())
    finally:
        store.close()


async def test_a_file_that_is_no_database_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "figures.db").write_bytes(b"no database" * 1000)
    store = FigureStore(tmp_path / "figures.db")
    try:
        await store.add(minute(0, up=60))
        assert 1 == len(await store.between(0, BEGIN + MINUTE_US))
    finally:
        store.close()
    assert (tmp_path / "figures.db.damaged").exists()


async def test_a_file_that_cannot_be_opened_is_left_alone_and_memory_serves(tmp_path: Path) -> None:
    (tmp_path / "figures.db").mkdir()
    store = FigureStore(tmp_path / "figures.db")
    try:
        await store.add(minute(0, up=60))
        assert 1 == len(await store.between(0, BEGIN + MINUTE_US))
    finally:
        store.close()
    assert (tmp_path / "figures.db").is_dir()


async def test_a_file_that_takes_no_writes_is_not_thrown_away(tmp_path: Path) -> None:
    store = FigureStore(tmp_path / "figures.db")
    await store.add(minute(0, up=60))
    store.close()
    holder = apsw.Connection(str(tmp_path / "figures.db"))
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    before = (tmp_path / "figures.db").stat().st_ino
    store = FigureStore(tmp_path / "figures.db")
    try:
        await store.add(minute(1, up=60))
    finally:
        store.close()
        holder.close()
    assert before == (tmp_path / "figures.db").stat().st_ino


def test_a_time_is_found_among_the_rows_by_halving(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    prepare(connection)
    for seq in range(1, 100):
        connection.execute(
            "INSERT INTO audit (seq, at_us, kind, body, mac) VALUES (?, ?, 'x', x'', x'')",
            (seq, seq * 10),
        )
    assert [1, 1, 5, 6, 99, 100] == [seq_at(connection, at) for at in (0, 10, 50, 51, 990, 991)]
    assert [98, 99] == [row.seq for row in rows_from(connection, 98, 10)]
    connection.close()


async def test_sleeping_machines_are_not_taken_for_running_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("gateway.kpi.keeper.time.monotonic", lambda: clock[0])
    store = FigureStore(tmp_path / "figures.db")
    watch = MinuteKeeper(store, {}, KillSwitch(), lambda: 0)
    for passed in (3600.0, 1.0):
        clock[0] += passed
        watch.look()
    monkeypatch.undo()
    await watch.keep()
    [kept] = await store.between(0, 1 << 62)
    store.close()

    assert 1.0 == kept.seconds


def test_a_time_is_found_among_rows_of_which_the_oldest_were_let_go(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    prepare(connection)
    for seq in range(500, 600):
        connection.execute(
            "INSERT INTO audit (seq, at_us, kind, body, mac) VALUES (?, ?, 'x', x'', x'')",
            (seq, seq * 10),
        )
    assert [500, 500, 505] == [seq_at(connection, at) for at in (0, 5000, 5050)]
    connection.close()

"""Whatever is done to the audit log or an export of it shows, and is called by its name."""

from __future__ import annotations

import apsw
import pytest

from gateway.store.audit import Fault
from gateway.store.audit.anchors import Anchor, noted_anchor
from gateway.store.audit.check import check_log
from gateway.store.audit.checkpoint import BadPublicKey, parse_public_key, public_pem
from gateway.store.audit.export import Selection, export_lines
from gateway.store.audit.imported import NoExport, check_export
from gateway.store.audit.records import ExportFormat
from tests.trust.tamper import Log, tamper

ROWS = 30


def test_every_tampering_is_caught(tmp_path):
    counts = tamper(tmp_path, rows=4)

    assert [] == [missed for count in counts.values() for missed in count.missed]
    assert all(count.tried for count in counts.values())
    assert 5000 < sum(count.tried for count in counts.values())


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path, ROWS)


def changed(log, statement):
    connection = apsw.Connection(str(log.journal))
    connection.execute("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete")
    connection.execute(statement)
    connection.close()
    return log.check()


@pytest.mark.parametrize(
    ("statement", "fault", "seq"),
    [
        ("UPDATE audit SET at_us=at_us+1 WHERE seq=7", Fault.CHANGED, 7),
        ("UPDATE audit SET account='b' WHERE seq=7", Fault.CHANGED, 7),
        ("UPDATE audit SET kind=CAST(x'ff' AS TEXT) WHERE seq=7", Fault.CHANGED, 7),
        ("UPDATE audit SET body=CAST(body AS TEXT) WHERE seq=7", Fault.CHANGED, 7),
        ("UPDATE audit SET body=replace(body, 'rows', 'time') WHERE seq=12", Fault.CHANGED, 12),
        ("DELETE FROM audit WHERE seq=7", Fault.MISSING, 7),
        ("DELETE FROM audit WHERE seq<7", Fault.MISSING, 1),
        ("DELETE FROM audit WHERE seq<12", Fault.MISSING, 1),
        (
            "DELETE FROM audit WHERE seq=7; UPDATE audit SET seq=-seq WHERE seq>7;"
            " UPDATE audit SET seq=-seq-1 WHERE seq<0",
            Fault.MISSING,
            7,
        ),
        (
            "UPDATE audit SET seq=-7 WHERE seq=7; UPDATE audit SET seq=7 WHERE seq=8;"
            " UPDATE audit SET seq=8 WHERE seq=-7",
            Fault.REORDERED,
            7,
        ),
        (
            "UPDATE audit SET seq=-seq WHERE seq>7; UPDATE audit SET seq=1-seq WHERE seq<0;"
            " INSERT INTO audit SELECT 8, at_us, kind, account, order_id, 'x', mac"
            " FROM audit WHERE seq=7",
            Fault.ADDED,
            8,
        ),
        ("DELETE FROM audit WHERE seq>20", Fault.TRUNCATED, 21),
        ("DELETE FROM audit WHERE seq>11", Fault.TRUNCATED, 12),
        ("DELETE FROM audit", Fault.TRUNCATED, 1),
    ],
)
def test_what_was_done_and_where_is_said(log, statement, fault, seq):
    assert log.check().ok

    verdict = changed(log, statement)

    assert (fault, seq) == (verdict.fault, verdict.first_bad_seq), verdict.problem
    assert verdict.problem


def test_the_end_cut_off_shows_by_an_anchor_only(log):
    changed(log, "DELETE FROM audit WHERE seq>20")
    connection = apsw.Connection(str(log.journal))

    alone = check_log(connection, log.key, log.public_key)
    noted = noted_anchor("21:0123456789ab")
    anchored = check_log(connection, log.key, log.public_key, anchors=[noted])
    connection.close()

    assert alone.ok
    assert Fault.TRUNCATED is anchored.fault


def test_an_anchor_noted_by_hand_is_the_beginning_of_a_hash(log):
    connection = apsw.Connection(str(log.journal))
    mac = connection.execute("SELECT mac FROM audit WHERE seq=5").get.hex()

    good = check_log(connection, log.key, log.public_key, anchors=[noted_anchor(f"5:{mac[:12]}")])
    other = check_log(connection, log.key, log.public_key, anchors=[Anchor(5, beginning="0" * 12)])
    connection.close()

    assert good.ok
    assert 1 == good.anchors
    assert (Fault.REWRITTEN, 1) == (other.fault, other.first_bad_seq)


def test_a_part_can_be_checked_and_gone_on_from(log):
    connection = apsw.Connection(str(log.journal))
    after, parts = 0, []
    while not parts or after < parts[-1].head:
        parts.append(check_log(connection, log.key, log.public_key, after=after, most=7))
        after = parts[-1].checked_to
    connection.close()

    assert all(part.ok for part in parts)
    assert [7] * (len(parts) - 1) == [part.rows for part in parts[:-1]]
    assert parts[-1].head == sum(part.rows for part in parts)


def test_an_export_needs_only_the_public_key_and_says_whose_word_it_takes(log):
    path = log.folder / "whole.jsonl"

    given = check_export(path, parse_public_key(public_pem(log.public_text)))
    taken = check_export(path, None)

    assert given.ok
    assert [] == given.notes
    assert any("--public-key" in note for note in taken.notes)
    with pytest.raises(BadPublicKey):
        parse_public_key("nothing")


@pytest.mark.parametrize("spelling", list(ExportFormat))
@pytest.mark.parametrize(
    "selection",
    [
        Selection(kinds=frozenset({"order"})),
        Selection(account="a-1"),
        Selection(order_id="none"),
        Selection(after=15),
        Selection(after=5, until=9),
        Selection(from_us=1, to_us=2),
        Selection(until=0),
    ],
)
def test_a_filtered_export_still_checks_out_and_says_that_it_is_a_part(log, selection, spelling):
    connection = apsw.Connection(str(log.journal))
    lines = list(export_lines(connection, selection, log.public_text, spelling))
    connection.close()
    path = log.folder / "some"
    path.write_bytes(b"".join(lines))

    verdict = check_export(path, log.public_key)

    assert verdict.ok, verdict.problem
    assert any("a part of the log" in note for note in verdict.notes)
    for at in range(len(lines)):
        path.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        try:
            assert not check_export(path, log.public_key).ok, lines[at]
        except NoExport:
            assert at < 2


def test_a_stretch_of_which_nothing_is_shown_takes_one_line(log):
    connection = apsw.Connection(str(log.journal))
    lines = list(
        export_lines(connection, Selection(order_id="x"), log.public_text, ExportFormat.JSONL)
    )
    connection.close()

    assert any(b'"record":"skipped"' in line for line in lines)
    assert max(map(len, lines)) < 1000

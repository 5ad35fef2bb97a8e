"""`brokergate audit`: the log checked, exported, followed, with the gateway running or not."""

from __future__ import annotations

import csv
import json
import subprocess

import apsw
import pytest

from tests.cli.conftest import Program, read_until, stop
from tests.cli.test_keys_and_vault import gate as gate

NOWHERE = {"BROKERGATE_CONFIG": "/nowhere"}


def journal(program: Program, statement: str) -> None:
    connection = apsw.Connection(str(program.folder / "data" / "journal.db"))
    connection.execute(
        "DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete"
    )
    connection.execute(statement)
    connection.close()


def test_a_whole_log_is_said_to_be_whole(gate: Program) -> None:
    verdict = gate.json("audit", "verify")
    done = gate.run("audit", "verify")

    assert verdict["ok"], verdict
    assert verdict["sealed"]
    assert verdict["rows"] == verdict["checked_to"] == verdict["head"]
    assert (0, True) == (done.returncode, "is whole" in done.stdout)


def test_an_export_is_checked_with_the_public_key_alone(gate: Program) -> None:
    key = gate.run("audit", "public-key", "--pem").stdout
    (gate.folder / "audit.pem").write_text(key)
    assert key.startswith("-----BEGIN PUBLIC KEY-----")

    for name in ("jsonl", "csv"):
        done = gate.run("audit", "export", "--format", name, f"all.{name}")
        assert 0 == done.returncode, done.stderr
        path = gate.folder / f"all.{name}"
        assert 0o600 == path.stat().st_mode & 0o777
        again = gate.run("audit", "export", f"all.{name}")
        assert (1, True) == (again.returncode, "exists" in again.stderr)
        # Nothing of the gateway's is needed for it.
        verdict = gate.run(
            *("audit", "verify", "--file", str(path), "--public-key", "audit.pem", "--json"),
            env={"BROKERGATE_CONFIG": "/nowhere"},
        )
        assert 0 == verdict.returncode, verdict.stderr
        assert [] == json.loads(verdict.stdout)["notes"]
        text = path.read_text()
        path.write_text(text.replace("key_created", "key_creared"))
        spoilt = gate.run("audit", "verify", "--file", str(path))
        assert (1, True) == (spoilt.returncode, "changed" in spoilt.stderr), spoilt.stderr
    with (gate.folder / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ["header", "row"] == [rows[0]["record"], rows[1]["record"]]


def test_the_log_of_a_gateway_elsewhere_is_exported_with_a_key(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    url = read_until(served, "ready on")[-1].split()[3]
    for name, scope, accounts in (
        ("far", "admin", []),
        ("own", "admin", ["--account", "fyers-main"]),
        ("low", "operate", []),
    ):
        made = home.json("keys", "create", "--name", name, "--scope", scope, *accounts)
        (home.folder / f"{name}.key").write_text(made["key"])
    there = ("--url", url, "--key-file")

    for name in ("jsonl", "csv"):
        done = home.run(
            "audit", "export", "--format", name, *there, "far.key", f"far.{name}", env=NOWHERE
        )
        assert 0 == done.returncode, done.stderr
        path = home.folder / f"far.{name}"
        assert 0o600 == path.stat().st_mode & 0o777
        verdict = home.run("audit", "verify", "--file", str(path), "--json", env=NOWHERE)
        assert json.loads(verdict.stdout)["ok"], verdict.stdout
        assert 0 == json.loads(verdict.stdout)["unsigned"]
    some = home.run(
        *("audit", "export", "--kind", "key", "--from", "2026-01-01", "--to", "2999-01-01"),
        *(*there, "far.key"),
    )
    records = [json.loads(line) for line in some.stdout.splitlines()]
    assert {"from", "to", "kind"} == set(records[0]["filter"])
    assert {"key", "checkpoint"} == {row["kind"] for row in records if row["record"] == "row"}
    for key, words in (("own.key", "all accounts"), ("low.key", "admin")):
        refused = home.run("audit", "export", *there, key, f"{key}.jsonl")
        assert (1, True) == (refused.returncode, words in refused.stderr), refused.stderr
        assert not (home.folder / f"{key}.jsonl").exists()
    assert 0 == stop(served)


def test_an_export_that_breaks_off_leaves_no_file(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    url = read_until(served, "ready on")[-1].split()[3]
    made = home.json("keys", "create", "--name", "far", "--scope", "admin")
    (home.folder / "far.key").write_text(made["key"])
    journal(home, "UPDATE audit SET mac = x'00' WHERE seq = 2")

    done = home.run("audit", "export", "--url", url, "--key-file", "far.key", "far.jsonl")

    assert 1 == done.returncode, done.stderr
    assert not (home.folder / "far.jsonl").exists()
    assert 0 == stop(served)


def test_an_export_to_the_standard_output_with_a_filter(gate: Program) -> None:
    done = gate.run(
        "audit", "export", "--kind", "key", "--from", "2026-01-01", "--to", "2999-01-01"
    )

    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"from", "to", "kind"} == set(records[0]["filter"])
    assert {"key", "checkpoint"} == {row["kind"] for row in records if row["record"] == "row"}
    wrong = gate.run("audit", "export", "--from", "yesterday")
    assert (1, True) == (wrong.returncode, "--from yesterday" in wrong.stderr)


def test_the_tail_shows_the_newest_rows(gate: Program) -> None:
    made = gate.json("keys", "create", "--name", "bot", "--scope", "read")

    plain = gate.run("audit", "tail", "-n", "5")
    lines = gate.run("audit", "tail", "--kind", "key", "--json").stdout.splitlines()

    assert "key_created" in plain.stdout
    assert made["id"] == json.loads(lines[-1])["body"]["key_id"]
    assert "" == gate.run("audit", "tail", "-n", "0").stdout


def test_the_tail_follows_a_running_gateway(home: Program) -> None:
    stopped = home.run("audit", "tail", "-f")
    assert (1, True) == (stopped.returncode, "not running" in stopped.stderr)
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    follower = home.start("audit", "tail", "-f", "-n", "0", "--kind", "key", "--json")

    # The follower may begin late; what is made after it began must come.
    read_until_made(home, follower)

    stop(follower)
    assert 0 == stop(served)


def read_until_made(home: Program, follower: subprocess.Popen[str]) -> None:
    import select

    for number in range(20):
        home.json("keys", "create", "--name", f"bot-{number}", "--scope", "read")
        assert follower.stdout is not None
        if select.select([follower.stdout], [], [], 3)[0]:
            row = json.loads(follower.stdout.readline())
            assert "key_created" == row["body"]["event"]
            return
    raise AssertionError("nothing came")


def test_a_checkpoint_is_an_anchor_that_a_cut_log_lacks(home: Program) -> None:
    home.json("keys", "create", "--name", "bot", "--scope", "read")
    noted = home.run("audit", "checkpoint").stdout.strip()
    assert 0 == home.run("audit", "verify", "--anchor", noted).returncode
    row = int(noted.partition(":")[0])
    journal(home, f"DELETE FROM audit WHERE seq >= {row}")

    alone = home.run("audit", "verify")
    anchored = home.run("audit", "verify", "--anchor", noted, "--json")

    assert 0 == alone.returncode, alone.stderr
    verdict = json.loads(anchored.stdout)
    assert (1, "truncated", row) == (
        anchored.returncode,
        verdict["fault"],
        verdict["first_bad_seq"],
    )


def test_the_configured_anchor_file_is_met_without_being_named(home: Program) -> None:
    with (home.folder / "brokergate.yaml").open("a") as file:
        file.write("\naudit: {anchor_file: anchors.jsonl}\n")
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    assert 0 == stop(served)
    assert 1 <= len((home.folder / "anchors.jsonl").read_text().splitlines())

    assert 1 <= home.json("audit", "verify")["anchors"]
    journal(home, "DELETE FROM audit WHERE seq > 1")
    cut = home.run("audit", "verify")
    assert (1, True) == (cut.returncode, "truncated" in cut.stderr), cut.stderr


def test_a_changed_row_is_named(home: Program) -> None:
    journal(home, "UPDATE audit SET at_us = at_us + 1 WHERE seq = 1")

    done = home.run("audit", "verify", "--json")

    verdict = json.loads(done.stdout)
    assert (1, "changed", 1) == (done.returncode, verdict["fault"], verdict["first_bad_seq"])


def test_without_the_key_the_running_gateway_checks_the_seals(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    (home.folder / "master.key").rename(home.folder / "elsewhere.key")

    done = home.run("audit", "verify")

    assert 0 == done.returncode, done.stderr
    assert "checked by the running gateway" in done.stderr
    assert 0 == stop(served)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--anchor", "nothing"), "neither a file nor ROW:HEX"),
        (("--public-key", "nothing"), "not the public key"),
        (("--file", "brokergate.yaml"), "no export"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    home: Program, options: tuple[str, str], words: str
) -> None:
    done = home.run("audit", "verify", *options)

    assert (1, True) == (done.returncode, words in done.stderr), done.stderr

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.conftest import PROGRAM, Program, read_until, stop

FYERS = json.dumps(
    {"app_id": "APP-100", "secret_key": "s3cr3t-value", "redirect_uri": "http://127.0.0.1/cb"}
)


@pytest.fixture(params=["stopped", "running"])
def gate(home: Program, request: pytest.FixtureRequest) -> Iterator[Program]:
    """The same commands must do the same on a stopped gateway and on a running one."""
    if request.param == "stopped":
        yield home
        return
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    yield home
    assert 0 == stop(served)


def test_created_key_is_shown_once_listed_and_revoked(gate: Program) -> None:
    made = gate.json(
        *("keys", "create", "--name", "bot", "--scope", "trade", "--scope", "login"),
        *("--account", "fyers-main", "--expires", "90d"),
    )

    assert ["id", "name", "scopes", "key"] == list(made)
    assert ["login", "trade"] == made["scopes"]
    listed = gate.run("keys", "list", "--json")
    assert made["key"] not in listed.stdout
    row = next(key for key in json.loads(listed.stdout)["keys"] if key["name"] == "bot")
    assert ["fyers-main"] == row["accounts"]
    assert row["expires_at"] is not None
    assert 0 == gate.run("keys", "revoke", made["id"]).returncode
    assert made["id"] not in gate.run("keys", "list").stdout
    again = gate.run("keys", "revoke", made["id"])
    assert (1, True) == (again.returncode, made["id"] in again.stderr)


def test_key_for_an_unknown_account_is_refused_by_name(gate: Program) -> None:
    done = gate.run("keys", "create", "--name", "n", "--scope", "read", "--account", "nobody")

    assert 1 == done.returncode
    assert "nobody" in done.stderr


def test_credentials_are_sealed_and_only_their_names_are_listed(gate: Program) -> None:
    done = gate.run("vault", "set", "fyers-main", "--stdin", stdin=FYERS)

    assert 0 == done.returncode, done.stderr
    listed = gate.run("vault", "list")
    assert "app_id,redirect_uri,secret_key" in listed.stdout
    everything = done.stdout + done.stderr + listed.stdout
    assert "s3cr3t-value" not in everything
    for file in (gate.folder / "data").glob("journal.db*"):
        assert b"s3cr3t-value" not in file.read_bytes()


@pytest.mark.parametrize(
    ("account", "given", "said"),
    [
        ("nobody", FYERS, "configured: fyers-main, mstock-main, hdfc-main"),
        ("fyers-main", '{"app_id": "A", "secret_key": "s3cr3t-value"}', "redirect_uri is required"),
        ("mstock-main", FYERS, "app_id is no credential of mstock"),
        ("fyers-main", '["s3cr3t-value"]', "one JSON object"),
        ("fyers-main", '{"app_id": 5, "x": "s3cr3t-value"', "one JSON object"),
    ],
)
def test_unusable_credentials_are_refused_with_the_field_and_seal_nothing(
    home: Program, account: str, given: str, said: str
) -> None:
    done = home.run("vault", "set", account, "--stdin", stdin=given)

    assert 1 == done.returncode
    assert said in done.stderr
    assert "s3cr3t-value" not in done.stdout + done.stderr
    assert [] == home.json("vault", "list")["credentials"]


def test_prompts_need_a_terminal(home: Program) -> None:
    done = home.run("vault", "set", "fyers-main")

    assert 1 == done.returncode
    assert "--stdin" in done.stderr


def test_prompts_hide_secrets_and_let_optional_fields_out(home: Program) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "vault", "set", "mstock-main"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=home.folder,
        env=home.environ,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    answers = {
        b"api_key (": b"k3y-value",
        b"username (": b"MA1",
        b"password (": b"s3cr3t-value",
        b"totp_secret (": b"",
        b"client_id (": b"",
    }
    for question, answer in answers.items():
        while question not in shown or not shown.endswith(b": "):
            shown += os.read(ours, 1024)
        os.write(ours, answer + b"\n")
    try:
        while more := os.read(ours, 1024):
            shown += more
    except OSError:
        pass  # how Linux says that the other end has closed
    os.close(ours)

    assert 0 == process.wait(20), shown
    assert b"MA1" in shown
    assert b"k3y-value" not in shown
    assert b"s3cr3t-value" not in shown
    fields = home.json("vault", "list")["credentials"][0]["fields"]
    assert ["api_key", "password", "username"] == fields


def test_audit_log_is_whole_until_a_row_is_changed(gate: Program) -> None:
    assert 0 == gate.run("vault", "set", "fyers-main", "--stdin", stdin=FYERS).returncode
    verdict = gate.json("audit", "verify")
    assert (True, None, None) == (verdict["ok"], verdict["first_bad_seq"], verdict["problem"])

    _change_an_audit_row(gate)

    done = gate.run("audit", "verify")
    assert 1 == done.returncode
    assert "changed: row 1 " in done.stderr


def _change_an_audit_row(gate: Program) -> None:
    script = (
        "import apsw; c = apsw.Connection('data/journal.db'); c.set_busy_timeout(5000)\n"
        "c.execute('DROP TRIGGER audit_no_update')\n"
        "c.execute(\"UPDATE audit SET kind = 'changed' WHERE seq = 1\")"
    )
    subprocess.run(
        [sys.executable, "-c", script], cwd=gate.folder, env=gate.environ, check=True, timeout=20
    )


def test_remote_gateway_is_reached_with_a_key_and_never_over_plain_http(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    url = read_until(served, "ready on")[-1].split()[3]
    made = home.json("keys", "create", "--name", "far", "--scope", "admin")
    (home.folder / "far.key").write_text(made["key"] + "\n")

    listed = home.run("keys", "list", "--url", url, "--key-file", "far.key")
    plain = home.run("keys", "list", "--url", "http://192.0.2.1:8080", "--key-file", "far.key")
    nobody = home.run("keys", "list", "--url", "http://127.0.0.1:1", "--key-file", "far.key")

    assert "far" in listed.stdout
    assert (1, True) == (plain.returncode, "use https" in plain.stderr)
    assert (1, True) == (nobody.returncode, "cannot reach" in nobody.stderr)
    assert 0 == stop(served)

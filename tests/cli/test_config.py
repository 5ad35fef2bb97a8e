from __future__ import annotations

import json

from tests.cli.conftest import Program

GOOD = """\
accounts:
  - {id: fyers-main, broker: fyers}
  - {id: mstock-main, broker: mstock, login: otp}
"""
BAD = """\
server:
  prot: 9000
accounts:
  - {id: fyers-main, broker: zerodha}
  - {id: mstock-main, broker: mstock, market_orders: maybe}
"""


def write(program: Program, text: str) -> None:
    (program.folder / "brokergate.yaml").write_text(text)


def test_a_good_configuration_is_ok_and_nothing_is_made(program: Program) -> None:
    write(program, GOOD)

    done = program.run("config", "check")
    assert (0, "OK: brokergate.yaml; accounts: fyers-main, mstock-main\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )
    assert not (program.folder / "data").exists()
    assert {"ok": True, "file": "brokergate.yaml", "mistakes": []}.items() <= program.json(
        "config", "check"
    ).items()


def test_a_pace_that_the_adapter_caps_is_told_with_its_source(program: Program) -> None:
    write(program, GOOD.replace("broker: fyers", "broker: fyers, limits: {orders_per_second: 10}"))

    done = program.run("config", "check")

    assert (0, True) == (done.returncode, done.stdout.startswith("OK"))
    for words in ("accounts[0].limits.orders_per_second", "10 is asked for, 8 is kept to", "fyers"):
        assert words in done.stderr
    [told] = program.json("config", "check")["advice"]
    assert "accounts[0].limits.orders_per_second" == told["key"]


def test_every_mistake_is_told_with_its_line_and_what_to_do(program: Program) -> None:
    write(program, BAD)

    done = program.run("config", "check")
    assert 1 == done.returncode
    for words in ("line 2: server.prot", "line 4", "'zerodha' is not a known broker", "line 5"):
        assert words in done.stdout
    assert "Did you mean `port`?" in done.stdout

    told = program.run("config", "check", "--json")
    assert 1 == told.returncode
    answer = json.loads(told.stdout)
    assert not answer["ok"]
    assert [2, 4, 5] == [mistake["line"] for mistake in answer["mistakes"]]
    assert all(mistake["fix"] for mistake in answer["mistakes"])


def test_the_environment_is_checked_with_the_file(program: Program) -> None:
    write(program, GOOD)

    done = program.run("config", "check", env={"BROKERGATE_SERVER__PORT": "many"})
    assert 1 == done.returncode
    assert "environment BROKERGATE_SERVER__PORT" in done.stdout


def test_a_file_that_is_not_there_is_a_mistake(program: Program) -> None:
    done = program.run("config", "check", "--config", "nowhere.yaml")

    assert 1 == done.returncode
    assert "there is no file nowhere.yaml" in done.stdout


def test_the_schema_is_printed_without_a_configuration(program: Program) -> None:
    done = program.run("config", "schema")

    assert 0 == done.returncode, done.stderr
    schema = json.loads(done.stdout)
    assert {"fyers", "mstock", "hdfc", "paper"} <= set(
        schema["$defs"]["Account"]["properties"]["broker"]["enum"]
    )

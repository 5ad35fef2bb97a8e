from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest

from gateway.cli.ports import free_port
from tests.cli.conftest import Program, read_until, stop

BROKEN = """\
server: {port: 99999, hots: x}
accounts:
  - {id: a b, broker: fyers}
  - {id: m, broker: nobody, base_urls: {api: "http://gate.example"}}
groups: {g: {zzz: 1}}
"""


def test_broken_configuration_lists_every_mistake_and_listens_nowhere(home: Program) -> None:
    port = free_port("127.0.0.1")
    (home.folder / "brokergate.yaml").write_text(BROKEN)

    done = home.run("serve", "--port", str(port))

    assert 1 == done.returncode
    for word in ("99999", "hots", "a b", "nobody", "zzz"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not (home.folder / "data/control.sock").exists()


def test_ready_line_names_the_address_and_a_signal_ends_it_well(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    line = read_until(served, "ready on")[-1]
    url = line.split()[3]

    with urllib.request.urlopen(f"{url}/livez") as answer:
        assert 200 == answer.status
    assert "3 accounts" in line
    assert 0 == stop(served, signal.SIGINT)
    assert not (home.folder / "data/control.sock").exists()


def test_taken_port_is_said_before_anything_starts(home: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = home.run("serve", "--port", str(taken.getsockname()[1]))

    assert 1 == done.returncode
    assert "choose another port" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_gateway_on_the_same_data_is_refused(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    done = home.run("serve", "--port", "0")

    assert 1 == done.returncode
    assert f"in use by another brokergate (process {served.pid})" in done.stderr
    assert 0 == stop(served)


def test_wrong_master_key_is_refused_in_words(home: Program) -> None:
    done = home.run("serve", "--port", "0", env={"BROKERGATE_MASTER_KEY": "A" * 43})

    assert 1 == done.returncode
    assert "another master key than the one from BROKERGATE_MASTER_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_master_key_is_refused_in_words(home: Program) -> None:
    (home.folder / "master.key").unlink()

    done = home.run("serve", "--port", "0")

    assert 1 == done.returncode
    assert "no master key" in done.stderr


def test_path_too_long_for_the_control_socket_is_refused_in_words(home: Program) -> None:
    done = home.run("serve", env={"BROKERGATE_DATA_DIR": "x" * 120})

    assert 1 == done.returncode
    assert "shorter path" in done.stderr


def test_doctor_tells_a_running_gateway_from_a_stopped_one(home: Program) -> None:
    before = home.json("doctor")
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    during = home.json("doctor")

    details = {check["name"]: check["detail"] for check in before["checks"]}
    assert "not running" == details["gateway"]
    details = {check["name"]: check["detail"] for check in during["checks"]}
    assert f"running as process {served.pid}" == details["gateway"]
    hosts = {row["broker"]: row["hosts"] for row in during["adapters"]}
    assert "https://api.mstock.trade" == hosts["mstock"]["api"]
    assert 0 == stop(served)


def test_doctor_finds_a_data_directory_that_others_can_read(home: Program) -> None:
    (home.folder / "data").chmod(0o755)

    done = home.run("doctor", "--json")

    assert 1 == done.returncode
    found = json.loads(done.stdout)
    bad = [check for check in found["checks"] if check["ok"] is False]
    assert ["data directory"] == [check["name"] for check in bad]
    assert bad[0]["fix"].startswith("chmod 700")


def test_commands_that_need_a_broker_say_that_the_gateway_is_stopped(home: Program) -> None:
    for command in (["login", "--all"], ["instruments", "refresh"]):
        done = home.run(*command)
        assert (1, True) == (done.returncode, "brokergate serve" in done.stderr)


def test_openapi_needs_no_configuration(program: Program) -> None:
    document = json.loads(program.run("openapi").stdout)

    assert "3.1.0" == document["openapi"]
    assert {"/v1/orders", "/v1/audit/verify"} <= document["paths"].keys()
    assert [] == list(program.scratch.iterdir())

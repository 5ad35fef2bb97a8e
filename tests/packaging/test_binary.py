"""The frozen program, asked for everything that is loaded by name or from a file.

A module that PyInstaller overlooked is missed at run time only.
"""

from __future__ import annotations

import json
import signal
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import _COMMANDS
from tests.cli.conftest import ROOT, Program, read_until, stop
from tests.cli.terminal import paint_until


def get(url: str, key: str = "") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_version_is_the_projects(program: Program) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] in program.run("version").stdout


def test_every_command_is_inside(program: Program, binary: Path) -> None:
    # Both forms are made of one list of modules, and the one file unpacks itself for each answer.
    commands = list(_COMMANDS) if binary.name == "brokergate" else ["serve", "kpi"]
    for command in commands:
        done = program.run(command, "--help")
        assert (0, "") == (done.returncode, done.stderr), command


def test_demo_places_one_order_over_three_simulated_brokers(program: Program) -> None:
    done = program.run("demo", "--once", "--port", "0")

    assert 0 == done.returncode, done.stderr
    assert "3 of 3 accounts accepted it" in done.stdout


def test_a_gateway_serves_makes_keys_and_stops_well(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    url = read_until(served, "ready on")[-1].split()[3]
    key = home.json("keys", "create", "--name", "smoke", "--scope", "read")["key"]

    assert (200, b"ok\n") == get(f"{url}/livez")
    assert "ok\n" == home.run("health", "--ready").stdout
    assert 401 == get(f"{url}/metrics")[0]
    status, figures = get(f"{url}/metrics", key)
    assert 200 == status
    assert b'brokergate_info{version="' in figures
    assert 404 == get(f"{url}/nowhere")[0]
    documented: Any = json.loads(get(f"{url}/openapi.json")[1])
    assert "/v1/orders" in documented["paths"]
    assert b"<html" in get(f"{url}/docs")[1]
    assert 200 == get(f"{url}/v1/market/holidays", key)[0]
    assert 200 == get(f"{url}/v1/kpis?window=1h", key)[0]
    assert "Order success" in home.run("kpi").stdout
    assert 0 == home.run("audit", "verify").returncode
    assert 0 == stop(served, signal.SIGTERM)


def test_the_configuration_is_checked_and_described(home: Program) -> None:
    assert home.json("config", "check")["ok"]
    assert "Account" in json.loads(home.run("config", "schema").stdout)["$defs"]


def test_the_console_shows_the_accounts_of_a_running_gateway(home: Program, binary: Path) -> None:
    read_until(home.start("serve", "--port", "0"), "ready on")

    paint_until(home, [str(binary), "console"], "fyers-main")


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
def test_a_simulator_runs_by_itself(program: Program, broker: str) -> None:
    simulator = program.start("simulate", broker, "--port", "0")

    assert "http://127.0.0.1:" in "\n".join(read_until(simulator, "http://"))
    # Told, not killed: the one file is two processes, and a killed one leaves the other behind.
    assert 0 == stop(simulator, signal.SIGTERM)


def test_an_adapter_can_be_started_from_the_files_inside(program: Program) -> None:
    done = program.run("adapter", "new", "zerodha")

    assert 0 == done.returncode, done.stderr
    assert "python3 -m pytest" in done.stdout
    assert (program.folder / "brokergate-zerodha" / "pyproject.toml").is_file()

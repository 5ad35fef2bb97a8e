"""The frozen program, asked for everything that is loaded by name or from a file.

A module that PyInstaller overlooked is missed at run time only. `just build` builds the binaries
and runs these tests; elsewhere BROKERGATE_BINARIES names the folder that holds them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import _COMMANDS
from tests.cli.conftest import ROOT, Program, read_until, stop
from tests.cli.terminal import paint_until

VARIABLE = "BROKERGATE_BINARIES"


def binaries() -> dict[str, Path]:
    """The folder's program and the one file, where they are to be tested."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return {}
    dist = ROOT / folder
    [one_file] = [path for path in dist.glob("brokergate-*-linux-*") if path.suffix != ".gz"]
    return {"folder": dist / "brokergate" / "brokergate", "file": one_file}


@pytest.fixture(params=["folder", "file"])
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = binaries()
    if not found:
        pytest.skip(f"{VARIABLE} names no folder: run `just build`")
    monkeypatch.setattr("tests.cli.conftest.PROGRAM", [str(found[request.param])])
    return found[request.param]


@pytest.fixture
def program(binary: Path) -> Iterator[Program]:
    # Short, because a control socket's path may have 107 bytes and pytest's own are long.
    folder = Path(tempfile.mkdtemp(prefix="bg-bin-"))
    program = Program(folder)
    # So that nothing can come from the source tree or from an interpreter.
    program.environ["PATH"] = "/nowhere"
    del program.environ["PYTHONPATH"]
    try:
        yield program
    finally:
        program.stop_all()
        shutil.rmtree(folder)


@pytest.fixture
def home(program: Program) -> Program:
    made = program.run("init", "--broker", "fyers", "--broker", "mstock", "--broker", "hdfc")
    assert 0 == made.returncode, made.stderr
    return program


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


def test_every_command_is_inside(program: Program) -> None:
    for command in _COMMANDS:
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
    assert 401 == get(f"{url}/metrics")[0]
    status, figures = get(f"{url}/metrics", key)
    assert 200 == status
    assert b'brokergate_info{version="' in figures
    assert 404 == get(f"{url}/nowhere")[0]
    documented: Any = json.loads(get(f"{url}/openapi.json")[1])
    assert "/v1/orders" in documented["paths"]
    assert 200 == get(f"{url}/v1/market/holidays", key)[0]
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

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.cli.program import own_command
from tests.cli.conftest import ROOT, Program

COMMANDS = [
    "demo",
    "init",
    "serve",
    "config check",
    "config reload",
    "config schema",
    "console",
    "doctor",
    "health",
    "vault set",
    "vault list",
    "vault rotate",
    "login",
    "tls init",
    "tls client",
    "tls renew",
    "keys create",
    "keys list",
    "keys rotate",
    "keys revoke",
    "alerts list",
    "alerts test",
    "alerts secret",
    "orders",
    "positions",
    "funds",
    "reconcile",
    "kill engage",
    "kill status",
    "kill release",
    "instruments refresh",
    "instruments search",
    "kpi",
    "audit verify",
    "backup",
    "restore",
    "simulate",
    "adapter new",
    "adapter capabilities",
    "adapter errors",
    "openapi",
    "version",
]
HEAVY = {"blacksheep", "niquests", "pydantic", "granian", "rich", "apsw", "msgspec", "yaml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_with_an_example(program: Program, command: str) -> None:
    done = program.run(*command.split(), "--help")

    assert 0 == done.returncode
    assert "Example" in done.stdout
    assert f"brokergate {command}" in done.stdout


def test_help_lists_every_command(program: Program) -> None:
    listed = program.run("--help").stdout.partition("Commands:")[2].splitlines()

    named = {line.split()[0] for line in listed if line.strip()}
    assert {command.split()[0] for command in COMMANDS} == named


@pytest.mark.parametrize("arguments", [["version"], ["--help"]])
def test_version_and_help_load_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from gateway.cli.main import main\n"
        f"sys.argv = ['brokergate', *{arguments}]\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "click" in done.stderr.split()
    assert set() == HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["demo", "--port", "70000"],
        ["simulate", "nobody", "--port", "0"],
        ["simulate", "mstock", "--port", "0", "--option", "nonsense=1"],
        ["keys", "create", "--scope", "trade"],
        ["keys", "create", "--name", "n", "--scope", "everything"],
        ["keys", "create", "--name", "n", "--scope", "read", "--expires", "2026-12-31"],
        ["login"],
        ["login", "fyers-main", "--all"],
        ["orders", "--history"],
        ["keys", "list", "--url", "https://gate.example"],
    ],
)
def test_wrong_usage_exits_2_with_a_line(program: Program, arguments: list[str]) -> None:
    done = program.run(*arguments)

    assert 2 == done.returncode
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "keys list", "orders", "doctor"])
def test_without_a_configuration_it_says_how_to_make_one(program: Program, command: str) -> None:
    done = program.run(*command.split())

    assert 1 == done.returncode
    assert "brokergate init" in done.stdout + done.stderr


def test_traceback_only_when_asked_for(program: Program) -> None:
    plain = program.run("keys", "list", "--config", "missing.yaml")
    debug = program.run("keys", "list", "--config", "missing.yaml", env={"BROKERGATE_DEBUG": "1"})

    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert 1 == plain.returncode == debug.returncode


def test_option_for_the_configuration_may_stand_before_the_command(home: Program) -> None:
    (home.folder / "brokergate.yaml").rename(home.folder / "other.yaml")

    before = home.run("--config", "other.yaml", "keys", "list")
    after = home.run("keys", "list", "--config", "other.yaml")
    by_environment = home.run("keys", "list", env={"BROKERGATE_CONFIG": "other.yaml"})

    assert "admin" in before.stdout
    assert before.stdout == after.stdout == by_environment.stdout


def test_frozen_binary_starts_itself_and_an_interpreter_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [sys.executable, "-P", "-m", "gateway.cli.main"] == own_command()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert [sys.executable] == own_command()

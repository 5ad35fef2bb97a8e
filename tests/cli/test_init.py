from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.cli.conftest import Program


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_everything_with_safe_modes_and_a_key_that_is_listed(program: Program) -> None:
    made = program.json("init", "--dir", "gate", "--broker", "mstock")

    folder = program.folder / "gate"
    assert 0o600 == _mode(folder / "master.key")
    assert 0o700 == _mode(folder / "data")
    assert 0o600 == _mode(folder / "data/journal.db")
    assert (
        f"brokergate-master-key:{folder}/master.key" in (folder / "brokergate.service").read_text()
    )
    assert made["api_key"]["key"].startswith("bg_live_")
    listed = program.json("keys", "list", "--config", "gate/brokergate.yaml")
    assert [made["api_key"]["id"]] == [key["id"] for key in listed["keys"]]
    assert ["admin"] == made["api_key"]["scopes"]


def test_says_what_to_do_next(program: Program) -> None:
    done = program.run("init")

    assert 0 == done.returncode
    for command in ("vault set", "serve", "login --all"):
        assert f"brokergate {command}" in done.stdout


def test_overwrites_nothing(home: Program) -> None:
    before = (home.folder / "master.key").read_bytes()

    done = home.run("init")

    assert 1 == done.returncode
    assert "already has brokergate.yaml, master.key" in done.stderr
    assert before == (home.folder / "master.key").read_bytes()


def test_wrong_environment_leaves_no_configuration_behind(program: Program) -> None:
    done = program.run("init", env={"BROKERGATE_SERVER__PORT": "many"})

    assert 1 == done.returncode
    assert "BROKERGATE_SERVER__PORT" in done.stderr
    assert [program.scratch] == list(program.folder.iterdir())


def test_key_from_the_environment_is_used_instead_of_a_file(program: Program) -> None:
    key = {"BROKERGATE_MASTER_KEY": "A" * 43}

    assert 0 == program.run("init", env=key).returncode

    assert not (program.folder / "master.key").exists()
    assert 0 == program.run("keys", "list", env=key).returncode


def test_template_without_brokers_is_a_configuration_without_accounts(program: Program) -> None:
    assert 0 == program.run("init").returncode

    checks = json.loads(program.run("doctor", "--json").stdout)["checks"]
    assert "none yet" in checks[0]["detail"]

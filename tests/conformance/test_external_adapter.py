"""An adapter package outside this repository: installed, found by its entry point, traded with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.installed import ACME, install, run


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(ACME, tmp_path_factory.mktemp("site") / "packages")


def test_an_installed_adapter_is_found_by_its_entry_point(target: Path) -> None:
    script = "from gateway.brokers import load_plugins; print(*load_plugins())"

    assert "acme" not in run("-c", script).stdout.split()
    assert "acme" in run("-c", script, target=target).stdout.split()


def test_two_packages_for_one_broker_stop_the_gateway(target: Path, tmp_path: Path) -> None:
    project = tmp_path / "second"
    (project / "other_acme").mkdir(parents=True)
    (project / "other_acme" / "__init__.py").write_text("from brokergate_acme import PLUGIN\n")
    text = (ACME / "pyproject.toml").read_text()
    text = text.replace("brokergate_acme", "other_acme").replace("-acme", "-other-acme")
    (project / "pyproject.toml").write_text(text)
    both = install(project, tmp_path / "both")
    install(ACME, both)

    done = run("-c", "from gateway.brokers import load_plugins; load_plugins()", target=both)

    assert 1 == done.returncode
    assert "two adapters for the broker 'acme'" in done.stderr


def test_an_order_goes_through_the_gateway_to_the_adapters_own_simulator(target: Path) -> None:
    done = run("-m", "tests.conformance.trade", "acme", target=target)

    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert "brokergate_acme" == told["from"]
    assert told["status"] in (200, 201)
    (booked,) = told["ledger"]
    assert booked["id"] == told["placed"]["broker_order_id"]
    assert 10 == booked["quantity"]
    assert 15 == len(booked["tag"])
    assert booked["id"] == told["read"]["broker_order_id"]


def test_an_installed_adapter_passes_the_conformance_suite(target: Path, tmp_path: Path) -> None:
    suite = ACME / "tests" / "test_conformance.py"

    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"),
        *("-c", str(ACME / "pyproject.toml"), "--rootdir", str(tmp_path), str(suite)),
        target=target,
    )

    assert 0 == done.returncode, done.stdout[-4000:]
    assert "passed" in done.stdout.splitlines()[-1]


def test_capabilities_of_an_installed_adapter_are_shown(target: Path) -> None:
    done = run("-m", "gateway.cli.main", "adapter", "capabilities", target=target)

    header = next(line for line in done.stdout.splitlines() if line.startswith("|  |"))
    assert "Acme" in header

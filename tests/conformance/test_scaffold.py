"""`brokergate adapter new`: what it makes installs, runs, and says in words what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.sdk.scaffold import contents
from tests.cli.conftest import Program
from tests.conformance.installed import ACME, ROOT, install, run

SAME_AS_FINISHED = ("__init__.py", "constants.py", "master.py", "simulator.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "project"
    done = run("-m", "gateway.cli.main", "adapter", "new", "my_broker", "--folder", str(folder))
    assert 0 == done.returncode, done.stderr
    assert "pytest" in done.stdout
    return folder


@pytest.fixture(scope="module")
def suite(made: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Everything that pytest says about the new package, installed."""
    target = install(made, tmp_path_factory.mktemp("site") / "packages")
    done = run(
        *("-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider", "-W", "error"),
        *("--import-mode=importlib", "tests"),
        target=target,
        folder=made,
    )
    assert 1 == done.returncode, done.stdout[-4000:] + done.stderr
    return done.stdout


def outcomes(said: str, outcome: str) -> set[str]:
    found = re.findall(rf"^{outcome} \S+::(\w+)", said, re.MULTILINE)
    return set(found)


def test_it_has_the_files_that_every_adapter_has(made: Path) -> None:
    package = made / "brokergate_my_broker"
    files = {path.name for path in package.iterdir()}
    ours = {"adapter", "client", "config", "constants", "master", "parse", "simulator"}
    for broker in ("fyers", "mstock", "hdfc"):
        theirs = {path.name for path in (ROOT / "adapters" / broker).iterdir()}
        assert {f"{name}.py" for name in ours} | {"payloads", "quality.yaml"} <= theirs
    assert {f"{name}.py" for name in ours} | {"payloads", "quality.yaml"} <= files
    assert (made / "README.md").exists()
    assert (made / "tests" / "test_conformance.py").exists()
    assert not [path for path in made.rglob("*") if path.is_file() and "{{" in path.read_text()]


def test_what_is_finished_passes(suite: str) -> None:
    assert {
        "test_login_ends_in_a_proven_session",
        "test_wrong_one_time_password_is_refused_and_the_right_one_still_works",
        "test_wrong_secret_is_refused_and_not_shown",
        "test_master_names_every_contract_in_our_terms",
        "test_master_is_read_row_by_row",
        "test_damaged_master_is_an_error",
        "test_undeclared_values_are_refused_unsent",
        "test_senseless_orders_are_refused_unsent",
        "test_warm_connection_costs_no_trading_request",
    } <= outcomes(suite, "PASSED") - outcomes(suite, "FAILED")


def test_what_is_unfinished_fails_and_says_what_to_write(suite: str) -> None:
    assert {
        "test_every_declared_order_is_placed_and_stands_in_the_book_as_sent",
        "test_place_whose_answer_is_lost_is_unknown",
        "test_cancel_takes_the_order_out_of_the_market",
        "test_empty_book_is_empty_and_a_full_one_is_whole",
    } <= outcomes(suite, "FAILED")
    for name in ("place_order", "order_book"):
        assert f"`{name}` is not finished: " in suite
        assert f"the docstring of `Adapter.{name}` in adapters/sdk/interface.py" in suite
    assert "docs/adapters.md#order-of-work" in suite


def test_every_failure_is_one_that_teaches(suite: str) -> None:
    failed = re.findall(r"^FAILED .*$", suite, re.MULTILINE)
    taught = suite.count("\n  see:  docs/adapters.md#")

    assert failed
    assert len(failed) <= taught
    assert not re.search(r"^ERROR ", suite, re.MULTILINE)


@pytest.mark.parametrize("name", SAME_AS_FINISHED)
def test_the_finished_example_began_like_this(name: str) -> None:
    finished = (ACME / "brokergate_acme" / name).read_text()

    assert finished == contents("acme")[f"brokergate_acme/{name}"]


@pytest.mark.parametrize("name", ["Zerodha", "9lives", "a", "two words", "x-y", "a__b", "class"])
def test_a_bad_name_is_refused_and_nothing_is_made(
    program: Program, tmp_path: Path, name: str
) -> None:
    done = program.run("adapter", "new", name, "--folder", str(tmp_path / "made"))

    assert 2 == done.returncode
    assert name in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_name_of_an_adapter_that_exists_is_refused(program: Program, tmp_path: Path) -> None:
    done = program.run("adapter", "new", "fyers", "--folder", str(tmp_path / "made"))

    assert 2 == done.returncode
    assert "already" in done.stderr


@pytest.mark.parametrize("is_file", [False, True])
def test_nothing_that_exists_is_overwritten(
    program: Program, tmp_path: Path, is_file: bool
) -> None:
    kept = tmp_path / "kept" if is_file else tmp_path / "kept" / "notes.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")

    done = program.run("adapter", "new", "zerodha", "--folder", str(tmp_path / "kept"))

    assert 2 == done.returncode
    assert "kept" in done.stderr
    assert "mine" == kept.read_text()

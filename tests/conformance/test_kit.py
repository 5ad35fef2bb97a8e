"""The suite catches what it is there for: each wrong adapter of `broken` fails its test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.sdk.conformance.rules import Rule
from tests.conformance.installed import ACME, ROOT, install, run
from tests.docs.pages import DOCS, anchors

LOST = "test_place_whose_answer_is_lost_is_unknown"
CAUGHT = {
    "TestSendsAgain": (f"{LOST}[http_502_and_not_taken]", Rule.EVIDENCE),
    "TestCallsItRefused": (f"{LOST}[http_502_and_taken]", Rule.EVIDENCE),
    "TestCallsItNotSent": (f"{LOST}[never_answered_and_taken]", Rule.EVIDENCE),
    "TestTakesAnIdFromNowhere": (
        "test_success_without_an_order_id_is_unknown[taken]",
        Rule.EVIDENCE,
    ),
    "TestLeavesTheGateOut": ("test_shut_gate_sends_nothing[check]", Rule.EVIDENCE),
    "TestShowsAnEmptyBook": ("test_read_that_fails_anywhere_raises[status_500]", Rule.WHOLE),
    "TestShowsOnePage": ("test_empty_book_is_empty_and_a_full_one_is_whole", Rule.WHOLE),
    "TestSkipsRows": ("test_changed_answer_to_a_read_is_read_whole_or_raises", Rule.WHOLE),
    "TestTellsItsLog": ("test_no_secret_is_logged", Rule.SECRETS),
    "TestSendsNonsenseFirst": (
        "test_every_declared_order_is_placed_and_stands_in_the_book_as_sent[NSE-CNC]",
        Rule.PROTOCOL,
    ),
    "TestTellsItsToken": (f"{LOST}[html_with_200]", Rule.SECRETS),
    "TestTakesAnything": ("test_undeclared_values_are_refused_unsent", Rule.DECLARED),
    "TestLosesTheTag": ("test_tag_is_found_as_declared", Rule.TAG),
    "TestSendsDayForIoc": (
        "test_every_declared_order_is_placed_and_stands_in_the_book_as_sent[NSE-CNC]",
        Rule.FIELDS,
    ),
    "TestCountsInLots": (
        "test_every_declared_order_is_placed_and_stands_in_the_book_as_sent[NFO-NRML]",
        Rule.DECLARED,
    ),
    "TestShowsAnotherState": ("test_one_order_is_read_by_its_id", Rule.FIELDS),
    "TestForgetsTheSign": ("test_short_position_is_negative", Rule.VALUES),
    "TestPricesInFloats": (
        "test_quotes_are_the_markets_prices_and_the_unknown_is_missing",
        Rule.VALUES,
    ),
    "TestQuotesTheFirstBatch": (
        "test_quotes_are_the_markets_prices_and_the_unknown_is_missing",
        Rule.WHOLE,
    ),
    "TestKeepsTheMaster": ("test_master_is_read_row_by_row", Rule.MASTER),
    "TestReadsHalfAMaster": ("test_damaged_master_is_an_error[cut_short]", Rule.MASTER),
    "TestLogsInAgain": (
        "test_lost_answer_to_a_login_is_no_refusal_and_not_repeated[status]",
        Rule.LOGIN,
    ),
    "TestDeclaresTooMuch": ("test_margins_place_nothing", Rule.DECLARED),
    "TestDeclaresTooLittle": ("test_funds_are_rupees_that_an_order_blocks", Rule.DECLARED),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pytest says about each wrong adapter, by its class."""
    target = install(ACME, tmp_path_factory.mktemp("site") / "packages")
    broken = ROOT / "tests" / "conformance" / "broken.py"
    nodes = [f"{broken}::{name}::{test}" for name, (test, _) in CAUGHT.items()]
    done = run(
        *("-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-W", "error", *nodes),
        target=target,
    )
    assert 1 == done.returncode, done.stdout[-4000:] + done.stderr
    parts = re.split(r"^_+ (Test\w+)\..* _+$", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", CAUGHT)
def test_a_wrong_adapter_is_caught(said: dict[str, str], name: str) -> None:
    _, rule = CAUGHT[name]

    assert name in said, f"{name} passes"
    assert f"rule: {rule.text}" in said[name]
    assert f"see:  {rule.where}" in said[name]


@pytest.mark.parametrize("rule", list(Rule), ids=lambda rule: rule.name)
def test_every_rule_leads_to_a_heading_of_the_guide(rule: Rule) -> None:
    page, _, fragment = rule.where.partition("#")

    assert fragment in anchors(ROOT / page)
    assert ROOT / page == DOCS / "adapters.md"


def test_the_kit_needs_pytest_and_nothing_else_of_the_adapters_does(tmp_path: Path) -> None:
    """A frozen binary has no pytest; the suite alone may import it."""
    done = run(
        "-c",
        "import importlib, pkgutil, sys; sys.modules['pytest'] = None; import adapters\n"
        "for found in pkgutil.walk_packages(adapters.__path__, 'adapters.'):\n"
        "    if not found.name.startswith('adapters.sdk.conformance'):\n"
        "        importlib.import_module(found.name)\n"
        "import gateway.cli.adapter, gateway.serve\n",
    )

    assert 0 == done.returncode, done.stderr

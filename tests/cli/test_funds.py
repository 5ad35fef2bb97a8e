"""`brokergate funds` against a practice broker."""

from __future__ import annotations

from tests.cli.conftest import Program
from tests.cli.test_practice import Practice


def test_the_money_of_an_account_is_shown_and_one_that_cannot_be_read_is_named(
    program: Program,
) -> None:
    practice = Practice(program, "mstock")
    before = program.run("funds")
    practice.log_in()

    shown = program.run("funds")
    found = program.json("funds", "--accounts", practice.account)
    unknown = program.run("funds", "--accounts", "nobody")

    assert (1, True) == (before.returncode, f"{practice.account}: not read" in before.stderr)
    head, row = shown.stdout.splitlines()
    assert (0, ["ACCOUNT", "AVAILABLE", "USED", "OPENING", "COLLATERAL"]) == (
        shown.returncode,
        head.split(),
    )
    (result,) = found["results"]
    assert [practice.account, result["data"]["available"]] == row.split()[:2]
    assert (1, True) == (unknown.returncode, "nobody" in unknown.stderr)

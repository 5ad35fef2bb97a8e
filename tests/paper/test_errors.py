"""The practice broker's refusals are those that its book and the engine can give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import adapters
from adapters.paper.broker import _refused
from adapters.paper.errors import REFUSALS, rows
from adapters.sdk.error_table import ErrorRow, OnWrite

ROOT = Path(adapters.__path__[0])
SOURCES = ("paper/broker.py", "sdk/simulator/engine.py", "sdk/simulator/rules.py")
_GIVEN = re.compile(r"(?:_refused|Refusal)\(\s*ReasonCode\.(\w+)")


def test_every_reason_that_is_given_is_listed_and_no_other() -> None:
    given = {
        name for source in SOURCES for name in _GIVEN.findall((ROOT / source).read_text("utf-8"))
    }
    assert {reason.name for reason in REFUSALS} == given


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.broker_code)
def test_a_refusal_carries_the_code_of_its_row(row: ErrorRow) -> None:
    error = _refused(row.reason, "no")

    assert row.on_write is OnWrite.REFUSED
    assert row.broker_code == error.broker_code
    assert not error.repeatable

"""What schemathesis sends, a running gateway answers as its own document says."""

from __future__ import annotations

import os

import pytest

from tests.trust.schema import PROGRAM, SECONDS, SET_UP, try_out

pytestmark = pytest.mark.sdk


async def test_nothing_that_schemathesis_sends_breaks_the_gateway(tmp_path):
    if not PROGRAM.exists():
        if os.environ.get("BROKERGATE_REQUIRE_SDK") == "1":
            pytest.fail(f"schemathesis is required and not there: {SET_UP}")
        pytest.skip(f"schemathesis is not there: {SET_UP}")

    good, broken = await try_out(tmp_path, seconds=SECONDS)

    assert good.ok, good.output
    assert broken.ok, broken.output
    assert min(good.cases, broken.cases) > 100
    assert good.statuses["200"] > 50
    assert broken.statuses["401"]

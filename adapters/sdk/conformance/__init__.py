"""The conformance kit: the tests that every adapter passes, chosen by what it declares.

A test module names its plug-in and says what is peculiar about its broker:

    from adapters.sdk.conformance import AdapterConformance
    from brokergate_acme import PLUGIN

    class TestAcme(AdapterConformance):
        plugin = PLUGIN

Every test runs the adapter against its own simulator over a real socket. What can be set and
overridden is described at `base.Setup`; what the rules mean, in docs/adapters.md. Needs pytest
and pytest-asyncio, which nothing else of `adapters` imports.
"""

from __future__ import annotations

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench, Gate, change_of, ref
from adapters.sdk.conformance.changes import ChangeTests
from adapters.sdk.conformance.login import LoginTests
from adapters.sdk.conformance.market import MarketTests
from adapters.sdk.conformance.masters import MasterTests
from adapters.sdk.conformance.mutations import MutationTests
from adapters.sdk.conformance.orders import OrderTests
from adapters.sdk.conformance.outcomes import OutcomeTests
from adapters.sdk.conformance.reads import ReadTests
from adapters.sdk.conformance.rules import Rule

__all__ = ["AdapterConformance", "Bench", "Gate", "Rule", "Setup", "change_of", "ref"]


@pytest.mark.asyncio
class AdapterConformance(
    MutationTests,
    MasterTests,
    MarketTests,
    ReadTests,
    OutcomeTests,
    ChangeTests,
    OrderTests,
    LoginTests,
):
    """Every test of the kit. Subclass it as `Test...` and set `plugin`.

    pytest runs the last base first, so that logins come before orders, as an adapter is written.
    """

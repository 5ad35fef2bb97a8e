"""The hdfc adapter under the shared suite, against its own simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from adapters.hdfc import PLUGIN
from adapters.sdk.conformance import AdapterConformance
from adapters.sdk.conformance.login import LoginTests
from adapters.sdk.interface import AdapterPlugin


class TestHdfc(AdapterConformance):
    plugin: ClassVar[AdapterPlugin] = PLUGIN
    filters: ClassVar[Mapping[str, str]] = {
        "holdings": "dossier 7.2: contracts and rows without an ISIN stand among the shares"
    }
    unproven_success: ClassVar[tuple[str, ...]] = (
        '{"status":"success"}',
        '{"status":"success","data":{}}',
        '{"status":"success","data":{"order_id":""}}',
        '{"status":"success","data":{"order_id":null}}',
        '{"data":{"order_id":"26042500000504"}}',
    )


@pytest.mark.asyncio
class TestLoginWithCaptcha(LoginTests):
    """The password login where the broker asks for a captcha: it goes on at the page (3.2)."""

    plugin: ClassVar[AdapterPlugin] = PLUGIN
    simulator_options: ClassVar[Mapping[str, Any]] = {"recaptcha": True}

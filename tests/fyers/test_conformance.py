from __future__ import annotations

from typing import ClassVar

from adapters.fyers import PLUGIN
from adapters.sdk.conformance import AdapterConformance


class TestFyers(AdapterConformance):
    plugin = PLUGIN
    unproven_success: ClassVar = (
        '{"s":"ok","code":1101,"message":"Order submitted successfully."}',
    )

"""The hdfc adapter under the shared suite, against its own simulator."""

from __future__ import annotations

from typing import ClassVar

from adapters.hdfc import PLUGIN
from adapters.sdk.conformance import AdapterConformance
from adapters.sdk.interface import AdapterPlugin


class TestHdfc(AdapterConformance):
    plugin: ClassVar[AdapterPlugin] = PLUGIN
    unproven_success: ClassVar[tuple[str, ...]] = (
        '{"status":"success"}',
        '{"status":"success","data":{}}',
        '{"status":"success","data":{"order_id":""}}',
        '{"status":"success","data":{"order_id":null}}',
        '{"data":{"order_id":"26042500000504"}}',
    )

"""The m.Stock adapter under the shared suite, against its own simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from adapters.mstock import PLUGIN
from adapters.sdk.conformance import AdapterConformance
from adapters.sdk.interface import AdapterPlugin


class TestMstock(AdapterConformance):
    plugin: ClassVar[AdapterPlugin] = PLUGIN
    unproven_success: ClassVar[tuple[str, ...]] = (
        '[{"status":"true","message":"SUCCESS","errorcode":"","data":{"script":"SBIN-EQ"}}]',
        '{"status":"true","message":"SUCCESS","errorcode":"","data":{"orderid":""}}',
        '{"status":true,"message":"SUCCESS","errorcode":null,"data":{"orderid":"0"}}',
        '{"status":"true","message":"SUCCESS","errorcode":"","data":null}',
        '{"status":"success","data":{"order_id":"None"}}',
        '{"status":"true","errorcode":"IA500","data":{"orderid":"21612611221476"}}',
        '{"data":{"orderid":"21612611221476"}}',
    )
    statuses_that_refuse: ClassVar[Mapping[int, str]] = {
        405: "dossier 4.2: a wrong verb, not placed",
    }
    dead_session_creates_nothing: ClassVar[str] = (
        "dossier 4.2: IA401 is answered by m.Stock's gateway, before orders are looked at"
    )

    @pytest.fixture(autouse=True)
    def unpaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let candles be asked for at once: that the pace is kept is shown elsewhere."""
        monkeypatch.setattr("adapters.mstock.client.DATA_PACE", (1000, 1.0))


class TestMstockWithTotp(TestMstock):
    login: ClassVar[str | None] = "totp"
    simulator_options: ClassVar[Mapping[str, object]] = {"login": "totp", "echo": "none"}

"""docs/capabilities.md says what the adapters of this project declare, word for word."""

from __future__ import annotations

import msgspec

from adapters.sdk.capabilities_page import render
from adapters.sdk.interface import AdapterPlugin, Feature, RateScope, RateWindow, Support
from adapters.sdk.models import Exchange, Interval
from gateway.brokers import load_plugins
from tests.docs.pages import DOCS, table

PAGE = DOCS / "capabilities.md"


def ours() -> list[AdapterPlugin]:
    """The adapters of this project, whatever else is installed."""
    found = load_plugins().values()
    return [plugin for plugin in found if plugin.create.__module__.startswith("adapters.")]


def test_page_is_what_the_adapters_declare() -> None:
    assert render(ours()) == PAGE.read_text(), (
        "run `brokergate adapter capabilities > docs/capabilities.md`"
    )


def test_every_feature_exchange_and_interval_has_a_row() -> None:
    names = [row[0] for heading in ("Exchanges", "Candles") for row in table(PAGE, heading)]

    assert len(Feature) == len(table(PAGE, "Features"))
    assert {f"`{one.value}`" for one in (*Exchange, *Interval)} == set(names)


def test_a_changed_declaration_changes_the_page() -> None:
    plugin = ours()[0]
    able = plugin.capabilities
    changed = msgspec.structs.replace(
        able,
        features={Feature.CANDLES: Support.UNVERIFIED},
        candle_days={Interval.M5: 17},
        limits=(RateWindow(scope=RateScope.READS, per_s=60, count=123),),
        exchanges=frozenset({Exchange.MCX}),
    )
    page = render([msgspec.structs.replace(plugin, capabilities=changed)])

    assert "| candles | unverified |" in page
    assert "| modify | not offered |" in page
    assert "| `5m` | 17 days |" in page
    assert "| `1m` | no |" in page
    assert "123 reads a minute" in page
    assert "| `MCX` | yes |" in page
    assert "| `NSE` | no |" in page

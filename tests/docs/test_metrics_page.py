"""docs/metrics.md against what a scrape really holds."""

from __future__ import annotations

import pytest
from prometheus_client.core import Metric

from gateway.kill import KillSwitch
from gateway.observability.collector import GatewayCollector
from gateway.observability.tally import Tally
from tests.docs.pages import DOCS, codes_in, table

PAGE = DOCS / "metrics.md"


@pytest.fixture(scope="module")
def families() -> list[Metric]:
    collector = GatewayCollector(
        Tally(), {}, KillSwitch(), allows=lambda account: True, audit_head=0, checkpoint=None
    )
    return list(collector.collect())


def series(family: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name + suffix


def test_every_figure_is_on_the_page_once(families: list[Metric]) -> None:
    documented = [codes_in(row[0])[0] for row in table(PAGE, "Every figure")]

    assert sorted(map(series, families)) == sorted(documented)


def test_labels_are_those_that_are_said(families: list[Metric]) -> None:
    said = {
        codes_in(row[0])[0]: set(" ".join(codes_in(row[1])).split())
        for row in table(PAGE, "Every figure")
    }
    for family in families:
        labels = getattr(family, "_labelnames", ())
        if series(family).startswith("brokergate_") and family.type != "info":
            assert said[series(family)] == set(labels), family.name

"""packaging/observability against what a scrape holds, and against Prometheus' own checker.

`promtool` comes with Debian's package prometheus; without it, names and shapes are checked only.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric

from gateway.kill import KillSwitch
from gateway.observability.collector import GatewayCollector
from gateway.observability.tally import Tally
from tests.docs.pages import DOCS, ROOT, codes_in, table

FOLDER = ROOT / "packaging" / "observability"
DASHBOARD = FOLDER / "grafana-dashboard.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")

_NAME = re.compile(r"\b(?:brokergate|process)_\w+")
_SELECTOR = re.compile(r"\b((?:brokergate|process)_\w+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)(?:=~?|!=|!~)")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
# What Prometheus and the query add to what the gateway says.
_ADDED = {"job", "instance", "le"}
# Words of Grafana's, as a query has them when it is sent.
_MACROS = {"$__rate_interval": "1m", "$job": ".*", "$account": ".*"}


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """The labels of every series that a scrape may hold."""
    collector = GatewayCollector(
        Tally(), {}, KillSwitch(), allows=lambda account: True, audit_head=0, checkpoint=None
    )
    return {
        name: set(getattr(family, "_labelnames", ()))
        for family in collector.collect()
        for name in series(family)
    }


def series(family: Metric) -> list[str]:
    suffixes = {
        "counter": ["_total"],
        "info": ["_info"],
        "histogram": ["_bucket", "_sum", "_count"],
    }.get(family.type, [""])
    return [family.name + suffix for suffix in suffixes]


def family_of(name: str) -> str:
    return re.sub("_(bucket|sum|count)$", "", name)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[str]:
    """The dashboard's queries as Prometheus gets them."""
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    for word, value in _MACROS.items():
        found = [query.replace(word, value) for query in found]
    return found


def test_the_dashboard_and_the_alerts_ask_for_what_there_is(labels: dict[str, set[str]]) -> None:
    for query in [*queries(), *(rule["expr"] for rule in rules())]:
        names = _NAME.findall(query)
        assert names or "up{" in query, query
        assert set(names) <= labels.keys(), query
        for name, matchers in _SELECTOR.findall(query):
            assert set(_LABEL.findall(matchers)) <= labels[name] | _ADDED, query
        for grouped in _GROUPED.findall(query):
            known = set().union(*(labels[name] for name in names)) | _ADDED
            assert set(grouped.replace(" ", "").split(",")) <= known, query


def test_the_dashboard_shows_every_figure_of_the_gateway(labels: dict[str, set[str]]) -> None:
    shown = {name for query in queries() for name in _NAME.findall(query)}

    own = {family_of(name) for name in labels if name.startswith("brokergate_")}
    # The release is a label of the variables' query.
    assert own - {family_of(name) for name in shown} == {"brokergate_info"}


def test_panels_have_ids_and_places_of_their_own() -> None:
    every = panels()
    assert len(every) == len({panel["id"] for panel in every})
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_words_of_the_dashboard_are_its_variables() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    named = {each["name"] for each in dashboard["templating"]["list"]}

    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert {word for word in used if not word.startswith("__")} == named


def test_the_page_tells_of_every_alert() -> None:
    told = [codes_in(row[0])[0] for row in table(DOCS / "metrics.md", "Alert rules")]

    assert [rule["alert"] for rule in rules()] == told


@needs_promtool
def test_promtool_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    promtool("check", "rules", str(FOLDER / "alerts.yaml"))
    promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus.yml"))


@needs_promtool
def test_every_alert_fires_when_it_should_and_not_when_all_is_well() -> None:
    promtool("test", "rules", str(FOLDER / "alerts-test.yaml"))
    tried = (FOLDER / "alerts-test.yaml").read_text()
    for rule in rules():
        assert rule["alert"] in tried


@needs_promtool
def test_prometheus_parses_every_query_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))

    promtool("check", "rules", str(file))


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [PROMTOOL or "promtool", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr

"""CI's files: they parse, call what exists, and name no registry's host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the word `on` as true.
    text = re.sub(r"^on:", '"on":', path.read_text(), flags=re.MULTILINE)
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_ci_runs_the_gate_over_every_supported_python() -> None:
    job = loaded(GITHUB / "workflows" / "ci.yml")["jobs"]["all"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]

    assert supported == job["strategy"]["matrix"]["python"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]


def test_release_makes_the_documents_and_tries_the_binary() -> None:
    document = loaded(GITHUB / "workflows" / "release.yml")
    steps = [step.get("run", "") for step in document["jobs"]["build"]["steps"]]

    assert {"tags": ["v*"]} == document["on"]["push"]
    assert "python3 packaging/release.py" in steps
    assert "python3 packaging/dev.py test tests/packaging" in steps
    assert "--draft" in str(document["jobs"]["publish"]["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_may_no_more_than_it_needs(path: Path) -> None:
    document = loaded(path)
    assert {"contents": "read"} == document["permissions"]
    for job in document["jobs"].values():
        for step in job["steps"]:
            assert step.get("uses", "actions/").startswith("actions/")


@pytest.mark.parametrize("path", sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml")), ids=lambda p: p.name)
def test_issue_form_is_one(path: Path) -> None:
    form = loaded(path)
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= form.keys()
    names = [each["id"] for each in form["body"] if each["type"] != "markdown"]
    assert len(set(names)) == len(names) > 0
    for each in form["body"]:
        assert each["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert each["attributes"].get("label") or each["attributes"].get("value")


def test_python_that_ci_set_up_is_the_one_that_is_run() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "BROKERGATE_CI_PYTHON" in script

"""What a release says of itself: SBOM, licences, checksums."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]


def module(name: str) -> ModuleType:
    """Load a script of packaging/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, PACKAGING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


parts = module("release_parts")


def dry_run(out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PACKAGING / "release.py"), "--dry-run", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    done = dry_run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def sbom(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / f"brokergate-{VERSION}.cdx.json").read_text())
    return document


def test_sums_are_those_of_every_file(out: Path) -> None:
    lines = (out / "SHA256SUMS").read_text().splitlines()
    summed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {path.name: path for path in out.iterdir() if path.name != "SHA256SUMS"}

    assert {f"brokergate-{VERSION}.cdx.json", f"brokergate-{VERSION}-licences.md"} <= set(files)
    assert summed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_sbom_has_the_form_of_cyclonedx(sbom: dict[str, Any]) -> None:
    assert ("CycloneDX", "1.6", 1) == (sbom["bomFormat"], sbom["specVersion"], sbom["version"])
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", sbom["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sbom["metadata"]["timestamp"])
    itself = sbom["metadata"]["component"]
    assert ("brokergate", VERSION) == (itself["name"], itself["version"])
    refs = [each["bom-ref"] for each in sbom["components"]]
    assert len(set(refs)) == len(refs)
    for each in sbom["components"]:
        assert each["version"]
        [licence] = each["licenses"]
        assert licence.keys() & {"license", "expression"}


def test_sbom_names_every_dependency_and_what_each_needs(sbom: dict[str, Any]) -> None:
    names = {parts.canonical(each["name"]) for each in sbom["components"]}
    wanted = {parts.canonical(re.split(r"[<>=~! \[]", each)[0]) for each in PROJECT["dependencies"]}
    assert wanted <= names
    assert {"python", "urllib3-future", "pydantic-core"} <= names
    refs = {each["bom-ref"] for each in sbom["components"]}
    needed = {ref for each in sbom["dependencies"] for ref in each["dependsOn"]}
    assert needed == refs
    assert "brokergate" not in names


def test_report_has_every_package_with_its_text(out: Path, sbom: dict[str, Any]) -> None:
    report = (out / f"brokergate-{VERSION}-licences.md").read_text()
    for each in sbom["components"]:
        assert f"| {each['name']} | {each['version']} |" in report
    assert "## apsw " in report
    assert "| unknown |" not in report


def test_same_tree_gives_the_same_documents(out: Path, tmp_path: Path) -> None:
    assert dry_run(tmp_path).returncode == 0
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("unknown", False),
    ],
)
def test_licence_that_was_not_looked_at_stops_a_release(licence: str, accepted: bool) -> None:
    assert parts.Part("some", "1", licence).is_accepted is accepted


def test_library_of_the_system_that_may_not_be_packed_stops_a_release() -> None:
    assert not parts.Part("libreadline.so.8", "8.2", "see its package", system=True).is_accepted
    assert parts.Part("libz.so.1", "1.2", "see its package", system=True).is_accepted


def test_purl_of_a_systems_library_keeps_what_is_special_in_its_version() -> None:
    sys.path.insert(0, str(PACKAGING))
    try:
        documents = module("release_documents")
    finally:
        sys.path.remove(str(PACKAGING))
    part = parts.Part("libz.so.1", "1:1.2.13+b1", "see its package", system=True)

    [component] = documents.sbom(PROJECT, [part], datetime.now(UTC))["components"]

    assert "pkg:generic/libz.so.1@1%3A1.2.13%2Bb1" == component["purl"]


def test_programs_of_a_build_come_along_to_where_the_release_is_wanted(tmp_path: Path) -> None:
    sys.path.insert(0, str(PACKAGING))
    try:
        release = module("release")
    finally:
        sys.path.remove(str(PACKAGING))
    built, out = tmp_path / "dist", tmp_path / "out"
    built.mkdir()
    out.mkdir()
    ours = f"brokergate-1.2.3-linux-{platform.machine()}"
    for name in (ours, f"{ours}.tar.gz", f"brokergate-1.2.2-linux-{platform.machine()}"):
        (built / name).write_text(name)

    release.collect(built, out, "1.2.3")
    release.collect(out, out, "1.2.3")

    assert {ours, f"{ours}.tar.gz"} == {path.name for path in out.iterdir()}


def test_lists_of_a_build_say_what_is_inside(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name, file in (("one", "one.py"), ("two", "two/__init__.py")):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).touch()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{file},,\n")
    toc = (str(tmp_path / "x.pyz"), [("two", str(site / "two" / "__init__.py"), "PYMODULE")])
    library = [("libz.so.1", "/usr/lib/x86_64-linux-gnu/libz.so.1", "BINARY")]
    (tmp_path / "PYZ-00.toc").write_text(repr(toc))
    (tmp_path / "COLLECT-00.toc").write_text(repr((library,)))

    found = parts.parts_of(site, tmp_path, ["one"])

    assert ["two", "python", "libz.so.1"] == [each.name for each in found]


def test_package_that_is_missing_stops_a_release(tmp_path: Path) -> None:
    with pytest.raises(parts.NotInstalled, match="msgspec"):
        parts.parts_of(tmp_path, tmp_path, ["msgspec>=0.20"])


def test_release_is_refused_where_the_tree_is_not_the_versions() -> None:
    sys.path.insert(0, str(PACKAGING))
    try:
        release = module("release")
    finally:
        sys.path.remove(str(PACKAGING))
    problems = "; ".join(release.unready("99.0.0"))

    assert "CHANGELOG.md has no section of 99.0.0" in problems
    assert "no tag v99.0.0" in problems

"""The documents of a release: what is inside (CycloneDX) and under which licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from release_parts import Part, canonical


def sbom(project: Mapping[str, Any], parts: Sequence[Part], when: datetime) -> dict[str, Any]:
    """Return a CycloneDX 1.6 document without its serial number."""
    itself = f"pkg:generic/{project['name']}@{project['version']}"
    refs = {canonical(part.name): _ref(part) for part in parts}
    dependencies = [
        {"ref": _ref(part), "dependsOn": sorted(refs[name] for name in part.needs)}
        for part in parts
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": itself,
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": itself,
            },
        },
        "components": [_component(part) for part in parts],
        "dependencies": [{"ref": itself, "dependsOn": sorted(refs.values())}, *dependencies],
    }


def licences(project: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Return the report: a table, then every text that the packages bring."""
    lines = [
        f"# Licences of brokergate {project['version']} and what it contains",
        "",
        f"brokergate itself: {project['license']}.",
        "",
        "| Package | Version | Licence |",
        "|---|---|---|",
        *(f"| {part.name} | {part.version} | {part.licence} |" for part in parts),
        "",
    ]
    for part in parts:
        for name, text in part.texts:
            quoted = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
            lines += [f"## {part.name} {part.version}: {name}", "", quoted, ""]
    return "\n".join(lines)


def _component(part: Part) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _ref(part),
        "name": part.name,
        "version": part.version,
        "licenses": [_licence(part.licence)],
        "purl": _ref(part),
    }
    if part.homepage:
        component["externalReferences"] = [{"type": "website", "url": part.homepage}]
    return component


def _licence(words: str) -> dict[str, Any]:
    if words in ("BSD", "unknown", "see its package"):
        return {"license": {"name": words}}
    if any(word in words for word in (" OR ", " AND ", " WITH ", "(")):
        return {"expression": words}
    return {"license": {"id": words}}


def _ref(part: Part) -> str:
    kind = "generic" if part.system else "pypi"
    name = canonical(part.name) if kind == "pypi" else quote(part.name)
    # A package-url keeps ":" and "+" of a Debian version for itself.
    return f"pkg:{kind}/{name}@{quote(part.version, safe='')}"

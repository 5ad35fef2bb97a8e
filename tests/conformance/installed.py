"""Adapter packages, installed into a folder of their own without a network.

A wheel of pure Python is a zip archive that an installer unpacks; its metadata comes from
`pyproject.toml`. So this needs neither pip nor a build backend.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
ACME = ROOT / "tests" / "external_adapter"


def install(project: Path, target: Path) -> Path:
    """Build a project's wheel and unpack it into `target`; return `target`."""
    described: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())
    about = described["project"]
    wheel = target.with_suffix(".whl")
    info = f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    with ZipFile(wheel, "w") as archive:
        for package in described["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
            for path in sorted((project / package).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(project))
        names = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
        archive.writestr(f"{info}/METADATA", names)
        lines = ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"]
        archive.writestr(f"{info}/WHEEL", "\n".join(lines) + "\n")
        points = [
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in found.items())
            for group, found in about["entry-points"].items()
        ]
        archive.writestr(f"{info}/entry_points.txt", "\n\n".join(points) + "\n")
    with ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(
    *arguments: str, target: Path | None = None, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run Python with this checkout, and what is installed in `target`, on its path."""
    paths = [str(ROOT), *([str(target)] if target else [])]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

"""What is inside the program: the packages, their versions, licences and dependencies.

Read from PyInstaller's own lists of what it packed (`build/brokergate/*.toc`) and the metadata of
the environment that it took it from; where nothing was built, from the metadata alone.
"""

from __future__ import annotations

import ast
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

LISTS = ("PYZ-00.toc", "COLLECT-00.toc")
# Licences that ask for no more than to be named, in SPDX's words; anything else stops a release.
ACCEPTED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    }
)
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
# What a package says loosely, read from the text that it brings.
_READ = {
    "apsw": "Zlib",
    "itsdangerous": "BSD-3-Clause",
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
}
# Libraries of the system that may not be handed on inside a program of another licence.
_NOT_TO_BE_PACKED = {"libreadline": "GPL-3.0-or-later"}
_WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "bsd": "BSD",
    "bsd-3-clause": "BSD-3-Clause",
    "isc": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "mpl-2.0": "MPL-2.0",
}
_LICENCE_FILE = re.compile(r"(?i)(^|/)(licen[cs]e|copying|notice|copyright)[^/]*$")


class NotInstalled(Exception):
    """A package that is needed is not there; the text is its name."""


@dataclass(frozen=True)
class Part:
    """One package inside. `system`: a library of the machine that it was built on."""

    name: str
    version: str
    licence: str
    needs: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    homepage: str = ""
    system: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether one of the licences that it is offered under asks for no more than a name."""
        if self.system:
            return not any(self.name.startswith(name) for name in _NOT_TO_BE_PACKED)
        choices = re.split(r"\s+OR\s+", self.licence.strip("()"))
        return any(_allowed(choice) for choice in choices)


def parts_of(site: Path, work: Path, names: Iterable[str]) -> list[Part]:
    """Return what was packed, by name; without a build, what `names` ask for, and what those do."""
    installed = {canonical(each.name): each for each in distributions(path=[str(site)])}
    lists = [work / name for name in LISTS if (work / name).is_file()]
    # What another environment's program was made of says nothing of this one's.
    if len(lists) == len(LISTS) and str(site) in lists[0].read_text(encoding="utf-8"):
        found, system = packed(lists, site, installed)
    else:
        found, system = closure(names, installed), []
    found.discard("brokergate")
    parts = [part_of(installed[name], found) for name in sorted(found)]
    return [*parts, python_part(), *system]


def packed(
    lists: list[Path], site: Path, installed: dict[str, Distribution]
) -> tuple[set[str], list[Part]]:
    """Say which distributions own the files on PyInstaller's lists, and what the system gave."""
    owners = {
        str(site / file): name for name, each in installed.items() for file in each.files or ()
    }
    found: set[str] = set()
    system: dict[str, Path] = {}
    for path in lists:
        for entry in _entries(ast.literal_eval(path.read_text())):
            source = Path(entry[1])
            if name := owners.get(str(source)):
                found.add(name)
            elif entry[2] == "BINARY" and not source.is_relative_to(site):
                system[source.name] = source
    # Its start of a program is inside too, though no module of it.
    found |= {"pyinstaller"} & installed.keys()
    return found, [system_part(name, path) for name, path in sorted(system.items())]


def closure(names: Iterable[str], installed: dict[str, Distribution]) -> set[str]:
    """Follow requirements as they hold on this machine. Raises `NotInstalled`."""
    found: set[str] = set()
    waiting = [canonical(Requirement(name).name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in installed:
            raise NotInstalled(name)
        if name not in found:
            found.add(name)
            waiting.extend(_needs(installed[name]))
    return found


def part_of(each: Distribution, known: set[str]) -> Part:
    texts = []
    for file in each.files or ():
        if ".dist-info/" in str(file) and _LICENCE_FILE.search(str(file)):
            path = Path(str(file.locate()))
            if path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                texts.append((file.name, text.strip()))
    return Part(
        name=each.name,
        version=each.version,
        licence=licence_of(each),
        needs=tuple(sorted(set(_needs(each)) & known)),
        texts=tuple(texts),
        homepage=_homepage(each),
    )


def licence_of(each: Distribution) -> str:
    """Return the licence as SPDX writes it where the package says it so that this can be told."""
    metadata = each.metadata
    if canonical(each.name) in _READ:
        return _READ[canonical(each.name)]
    if expression := metadata.get("License-Expression"):
        return _WORDS.get(str(expression).lower(), str(expression))
    classified = [
        _CLASSIFIERS.get(line.rpartition(" :: ")[2], line.rpartition(" :: ")[2])
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    # Some put the whole text there; its first line is its name.
    said = (str(metadata.get("License") or "").strip().splitlines() or ["unknown"])[0]
    if classified:
        precise = _WORDS.get(said.lower(), "")
        known = " OR ".join(_WORDS.get(each.lower(), each) for each in classified)
        return precise if precise.startswith(known) else known
    return _WORDS.get(said.lower(), said)


def python_part() -> Part:
    return Part("python", platform.python_version(), "Python-2.0", system=True)


def system_part(name: str, path: Path) -> Part:
    """Describe a library of the machine, with its package's version where dpkg knows it."""
    if name.startswith("libpython"):
        return Part(name, platform.python_version(), "Python-2.0", system=True)
    if shutil.which("dpkg-query"):
        for candidate in (path, path.resolve()):
            command = ["dpkg-query", "-S", str(candidate)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                package = done.stdout.rpartition(": ")[0].split(",")[0]
                shown = subprocess.run(
                    ["dpkg-query", "-W", "-f", "${Version}", package],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                said = Path("/usr/share/doc", package.partition(":")[0], "copyright")
                texts = ()
                if said.is_file():
                    text = said.read_text(encoding="utf-8", errors="replace").strip()
                    texts = ((said.name, text),)
                return Part(
                    name, shown.stdout or "unknown", "see its package", texts=texts, system=True
                )
    return Part(name, "unknown", "see its package", system=True)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _allowed(expression: str) -> bool:
    if expression == "GPL-2.0-or-later WITH Bootloader-exception":
        return True
    return all(each.strip("() ") in ACCEPTED for each in re.split(r"\s+AND\s+", expression))


def _needs(each: Distribution) -> list[str]:
    environment = {**default_environment(), "extra": ""}
    requirements = [Requirement(text) for text in each.requires or ()]
    return [
        canonical(one.name)
        for one in requirements
        if one.marker is None or one.marker.evaluate(environment)
    ]


def _homepage(each: Distribution) -> str:
    for text in each.metadata.get_all("Project-URL") or ():
        label, _, url = text.partition(", ")
        if label.lower() in ("homepage", "source", "repository", "source code"):
            return url.strip()
    return str(each.metadata.get("Home-page") or "")


def _entries(value: object) -> list[tuple[str, str, str]]:
    """Every (name, source, kind) on a list, wherever it stands in it."""
    if isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, str) for v in value):
        return [value]
    if isinstance(value, tuple | list):
        return [entry for each in value for entry in _entries(each)]
    return []

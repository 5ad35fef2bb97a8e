"""Starts a new adapter: a package that installs, runs, and fails the suite where it is unfinished.

The files under `files` are templates: `{{name}}` is the broker's name, `{{Name}}` the same as a
class would be called, `{{dashed}}` as a distribution or host would. `package` stands for the
folder `brokergate_<name>`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")
_SUFFIX = ".tmpl"


def check_name(name: str, taken: Collection[str] = ()) -> None:
    """Raise `ValueError` for a name that no adapter can have, saying which ones can."""
    if not _NAME.fullmatch(name) or name.endswith("_") or "__" in name:
        raise ValueError(
            f"{name!r} cannot be a broker's name: take 2 to 30 small letters, digits and single"
            " underscores, a letter first, such as zerodha or angel_one"
        )
    if keyword.iskeyword(name) or name == "sdk":
        raise ValueError(f"{name!r} is a word with another meaning: take a longer one")
    if name in taken:
        raise ValueError(f"there is an adapter for {name!r} already: take another name")


def create(name: str, folder: Path) -> list[Path]:
    """Write the package into `folder`, which must not exist or be empty; return its files.

    Raises:
        ValueError: the name cannot be an adapter's, or something stands in `folder`.
        OSError: a file could not be written.
    """
    check_name(name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder that does not exist yet")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and nothing in it is overwritten")
    written = []
    for path, text in contents(name).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def contents(name: str) -> dict[str, str]:
    """Return every file of the package by its path within the folder."""
    words = {
        "{{name}}": name,
        "{{Name}}": "".join(part.capitalize() for part in name.split("_")),
        "{{dashed}}": name.replace("_", "-"),
    }
    found = {}
    for path, template in _templates(files(__name__) / "files", ""):
        text = template.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        found[re.sub(r"^package/", f"brokergate_{name}/", path)] = text
    return found


def _templates(folder: Traversable, below: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _templates(entry, f"{path}/")
        elif entry.name.endswith(_SUFFIX):
            yield path.removesuffix(_SUFFIX), entry

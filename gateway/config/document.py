"""Reading the YAML file into a plain tree that remembers where everything stands.

Numbers with a fraction stay as they were written: a float would lose digits of a percentage.
Of the words, only `true`, `false` and `null` are special, so `no` or `10:30` are texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from gateway.config.mistakes import Mistake, Path, key_of

_WHOLE_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
# Python refuses to read longer numbers from text; no setting is anywhere near.
_MOST_DIGITS = 30
_DEEPEST = 12
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


@dataclass
class Document:
    """A parsed file: `tree`, the line of every path in it, and what was wrong with its form.

    `readable` is False when the file could not be read as keys and values at all.
    """

    name: str
    tree: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    readable: bool = True

    def line(self, path: Path) -> int:
        """Say where a key stands, or its nearest parent when it is absent; 0 for none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines[path] if path else 0


def read_document(path: FilePath) -> Document:
    """Read a file. Never raises: what went wrong is in `mistakes`."""
    document = Document(path.name or str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = f"there is no file {path}"
        fix = "Name another with --config, or let `brokergate init` make one"
        return _unreadable(document, problem, fix)
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
        return _unreadable(document, problem, "Make it a file this user may read")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at byte {error.start}"
        return _unreadable(document, problem, "Save it as UTF-8")
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        tree = _Reader(document).value(root, ()) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at column {mark.column + 1}" if mark else ""
        words = "; ".join(part for part in (error.context, error.problem) if part)
        fix = "Check the indentation, colons and quotes just before that place"
        line = mark.line + 1 if mark else 0
        return _unreadable(document, f"invalid YAML{where}: {words}", fix, line)
    except yaml.reader.ReaderError as error:
        problem = f"invalid YAML: character {error.character!r} is not allowed"
        line = text.count("\n", 0, error.position) + 1
        return _unreadable(document, problem, "Remove it", line)
    except RecursionError:
        return _unreadable(document, "is nested too deeply", "Take out the surplus brackets")
    if not isinstance(tree, dict):
        problem = "has to hold keys with values, as in `data_dir: ./data`"
        return _unreadable(document, problem, "Start from the example configuration")
    document.tree = tree
    return document


def _unreadable(document: Document, problem: str, fix: str, line: int = 0) -> Document:
    document.mistakes.append(Mistake(document.name, "", problem, fix, line))
    document.readable = False
    return document


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            return self._wrong(node, path, f"the tag {node.tag} has no meaning here", "Remove it")
        if id(node) in self._open:
            return self._wrong(node, path, "an alias that contains itself", "Write the value out")
        if len(path) > _DEEPEST:
            return self._wrong(node, path[:2], "is nested too deeply", "No setting needs that")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.ScalarNode):
                return _scalar(node)
            return [self.value(item, (*path, at)) for at, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, path, "a key has to be a word", "Write it without brackets")
                continue
            key = str(key_node.value)
            place = (*path, key)
            if key in mapping:
                first = self._document.lines[place]
                fix = f"Keep one of the two; the first stands in line {first}"
                self._wrong(key_node, place, "the key is given twice", fix)
                continue
            self._document.lines[place] = key_node.start_mark.line + 1
            mapping[key] = self.value(value_node, place)
        return mapping

    def _wrong(self, node: yaml.Node, path: Path, problem: str, fix: str) -> None:
        line = node.start_mark.line + 1
        self._document.mistakes.append(
            Mistake(self._document.name, key_of(path), problem, fix, line)
        )


def _scalar(node: yaml.ScalarNode) -> str | int | bool | None:
    text = str(node.value)
    if node.style is not None:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) <= _MOST_DIGITS and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return text

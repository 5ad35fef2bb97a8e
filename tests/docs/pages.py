"""The documentation as data: pages, fenced blocks, tables, links, headings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = DOCS / "api.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the comment on the line before it."""

    language: str
    text: str
    mark: str


def tracked_pages() -> list[Path]:
    """Every page that a reader may come across."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file())


def guides() -> list[Path]:
    """The pages that say how things are; decisions and changes speak of their own day."""
    skipped = {DOCS / "decisions", ROOT / "CHANGELOG.md"}
    return [page for page in tracked_pages() if not skipped & {page, page.parent}]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()].rstrip("\n").rpartition("\n")[2]
        mark = re.fullmatch(r"<!-- (.+) -->", before)
        found.append(Block(fence[1], fence[2], mark[1] if mark else ""))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code(page: Path) -> Iterator[str]:
    """Every code span and every line of a shell block."""
    yield from _SPAN.findall(prose(page))
    for block in blocks(page):
        if block.language == "sh":
            yield from block.text.replace("\\\n", " ").splitlines()


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The fragments that headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, each a list of cells without their backticks."""
    _, found, rest = prose(page).partition(f"# {heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, f"{page.name} has no table under {heading!r}"
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def codes_in(cell: str) -> list[str]:
    return _SPAN.findall(cell)

"""Links between pages resolve, every page is in the index, and paths that pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, anchors, blocks, code, guides, links, tracked_pages

PAGES = tracked_pages()
_FOLDERS = r"gateway|adapters|tui|packaging|benchmarks|config|tests|docs"
_PATH = re.compile(rf"(?:{_FOLDERS})(?:/[\w.-]+)+/?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        if fragment:
            assert fragment in anchors(target), f"{link}: {target.name} has no such heading"


def test_every_page_of_docs_is_in_the_index() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "README.md")}
    missing = [
        str(page.relative_to(ROOT))
        for page in PAGES
        if page.is_relative_to(DOCS) and page not in linked and page != DOCS / "README.md"
    ]
    assert missing == [], "add a line about them to docs/README.md"


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_project_exist(page: Path) -> None:
    for span in code(page):
        if _PATH.fullmatch(span):
            folder, _, last = span.rstrip("/").rpartition("/")
            # A module may be named without its ending.
            found = [ROOT / span, ROOT / folder / f"{last}.py"]
            assert any(path.exists() for path in found), f"there is no {span}"


def test_two_commands_of_the_readme_are_those_of_the_set_up_script() -> None:
    lines = [
        line
        for block in blocks(ROOT / "README.md")
        for line in block.text.splitlines()
        if line.startswith("python3 ")
    ]
    assert lines == ["python3 packaging/dev.py demo", "python3 packaging/dev.py test"]
    script = (ROOT / "packaging" / "dev.py").read_text()
    assert all(f'"{line.split()[2]}": ' in script for line in lines)

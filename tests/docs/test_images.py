"""Pictures that pages show exist, are small and say in words what they show."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, guides

_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def test_pictures_exist_are_small_and_are_described() -> None:
    shown = set()
    for page in guides():
        for words, name in _IMAGE.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / name).resolve()
            assert path.is_file(), f"{page.name} shows {name}, which does not exist"
            assert words, f"{page.name} says nothing of {name}"
            assert path.stat().st_size < 200_000, name
            shown.add(path)
    assert DOCS / "images" / "docs-page.png" in shown

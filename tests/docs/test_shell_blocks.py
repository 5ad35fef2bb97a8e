"""Shell blocks of every page: they are shell, and each call in them is a call that exists.

What can be run without root or a broker is run elsewhere: api.md (test_examples), calls.md
(test_calls_page), quickstart.md (test_quickstart), the examples (test_programs), a lost order
(test_lost_order); commands and options are held by test_commands.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gateway.api.routing import Route
from tests.docs.pages import ROOT, blocks, guides
from tests.docs.test_api_page import routes as routes  # the fixture

_BASE = r"(?:\$GATE|https?://(?:gateway|127\.0\.0\.1:8080|[a-z.]*gate[a-z.]*(?::\d+)?))"
_CALL = re.compile(rf"{_BASE}(/[^\s\"'?]*)")
PAGES = [page for page in guides() if any(block.language == "sh" for block in blocks(page))]


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_blocks_are_shell(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            text = re.sub(r"<[a-z ]+>", "WORD", block.text)
            done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), f"{block.text}\n{done.stderr}"


def calls_of(page: Path) -> list[tuple[str, str]]:
    """Method and path of each call of curl on a page."""
    found = []
    for block in blocks(page):
        if block.language != "sh":
            continue
        for command in block.text.replace("\\\n", " ").split("curl ")[1:]:
            target = _CALL.search(command)
            if target:
                said = re.search(r"-X (\w+)", command)
                sends = re.search(r" (?:-d|--data\S*) ", command)
                found.append((said[1] if said else "POST" if sends else "GET", target[1]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_calls_of_curl_exist(page: Path, routes: list[Route]) -> None:
    known = [
        (route.method, re.compile(re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(route.path))))
        for route in routes
    ]
    for method, path in calls_of(page):
        assert any(m == method and p.fullmatch(path) for m, p in known), f"{method} {path}"


def test_calls_are_found() -> None:
    found = {call for page in PAGES for call in calls_of(page)}
    assert {
        ("POST", "/v1/orders"),
        ("GET", "/v1/accounts"),
        ("DELETE", "/v1/orders/$ORDER"),
    } <= found
    assert len(found) > 50

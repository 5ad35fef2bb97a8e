"""docs/calls.md: every call with curl and in Python, all of them run in the page's order."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import Any, NamedTuple

import pytest

from gateway.api.routing import Route
from tests.docs.conftest import Demo
from tests.docs.pages import DOCS, Block, blocks
from tests.docs.test_api_page import routes as routes  # the fixture

PAGE = DOCS / "calls.md"
_PRINTS = re.compile(r"print\(.*\)\s+# (.+)$", re.MULTILINE)


class Section(NamedTuple):
    call: str
    curl: Block
    python: Block


def sections() -> list[Section]:
    """The page's calls. Each is a heading, a line in shell and its like in Python."""
    text = PAGE.read_text(encoding="utf-8")
    calls = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
    found = blocks(PAGE)[2:]
    assert len(calls) * 2 == len(found), "each call has one block of sh and one of python"
    assert ["sh", "python"] * len(calls) == [block.language for block in found]
    return [
        Section(call, *pair)
        for call, pair in zip(calls, zip(found[::2], found[1::2], strict=True), strict=True)
    ]


def test_every_call_has_its_section(routes: list[Route]) -> None:
    known = {f"{route.method} {route.path}" for route in routes}
    described = [section.call for section in sections()]
    assert sorted(set(described)) == sorted(described)
    assert known - set(described) == set(), "add a section to docs/calls.md"
    assert set(described) - known == set()


def test_every_example_calls_what_its_heading_says() -> None:
    for call, curl, _ in sections():
        method, path = call.split(" ")
        pattern = re.sub(r"\\\{\w+\\\}", r"[\\w.$:-]+", re.escape(path))
        assert re.search(rf"(?:\$GATE|//gateway){pattern}[\s\"?]", f"{curl.text} "), call
        said = re.search(r"-X (\w+)", curl.text)
        given = " -d " in curl.text or "--data" in curl.text
        assert method == (said[1] if said else "POST" if given else "GET"), call


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, demo: Demo) -> pytest.MonkeyPatch:
    monkeypatch.setenv("GATE", demo.gate)
    monkeypatch.setenv("KEY", demo.key)
    return monkeypatch


def test_every_call_answers_as_the_page_says(demo: Demo, environment: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    variables: dict[str, str] = {}
    wrong: list[str] = []
    for call, curl, python in sections():
        answered(demo, call, curl, variables, wrong)
        if not names:
            environment.setenv("ADMIN", variables["ADMIN"])
            run(call, blocks(PAGE)[1].text, names, wrong)
        run(call, python.text, names, wrong)
        if "step" in names:
            # A reader tries one of the two; here Python's login took the place of curl's.
            variables["CHALLENGE"] = names["step"].challenge_id or ""
    for client in (names["client"], names["admin"]):
        client.close()
    assert wrong == []


def answered(
    demo: Demo, call: str, curl: Block, variables: dict[str, str], wrong: list[str]
) -> None:
    wanted = curl.mark.removeprefix("run: ")
    if wanted == "stream":
        text = f"{curl.text.strip()} || true"
        _, body = demo.shell(f"({text}); printf '\\n200'", **variables)
        if not re.search(r"^id: \d+\nevent: \w+\ndata: \{", body, re.MULTILINE):
            wrong.append(f"{call}: {body}")
        return
    status, body = demo.shell(curl.text, **variables)
    if int(wanted) != status:
        wrong.append(f"{call}: {status} {body}")
    with contextlib.suppress(ValueError):
        remember(json.loads(body), variables)


def remember(got: Any, variables: dict[str, str]) -> None:
    """Keep the ids that later calls name."""
    if not isinstance(got, dict):
        return
    if "key" in got:
        variables["KEY_ID"] = got["id"]
        variables.setdefault("ADMIN", got["key"])
    for member, name in (("order_id", "ORDER"), ("challenge_id", "CHALLENGE")):
        if got.get(member):
            variables[name] = got[member]
    for order in got["orders"] if "basket_id" in got else []:
        variables["BROKER_ORDER"] = order["legs"][0]["broker_order_id"]


def run(call: str, text: str, names: dict[str, Any], wrong: list[str]) -> None:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(text, f"docs/calls.md, {call}", "exec"), names)
    except Exception as error:
        wrong.append(f"{call} in Python: {error!r}")
    said = [words.strip() for words in _PRINTS.findall(text)]
    lines = printed.getvalue().splitlines()
    if said != lines[: len(said)]:
        wrong.append(f"{call} prints {lines}")

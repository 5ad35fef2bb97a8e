"""docs/api.md against the code: routes, problem codes, reason codes, states."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sdk.errors import ReasonCode
from gateway.api.problems import problem_answer
from gateway.api.routing import Route
from gateway.config import Settings
from gateway.orders.problems import Problem
from gateway.orders.states import LegState, Summary, outcome_of
from gateway.runtime import Gateway
from gateway.secrets import Keyring, generate_master_key
from gateway.secrets.api_keys import Scope
from gateway.sessions.states import SessionState
from tests.docs.pages import API, DOCS, ROOT, codes_in, prose, table


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    folder = tmp_path_factory.mktemp("data")
    gateway = Gateway(Settings(data_dir=folder), {}, Keyring(generate_master_key()))
    try:
        return gateway.routes()
    finally:
        gateway.store.close()


def test_every_route_is_documented(routes: list[Route]) -> None:
    text = "\n".join(prose(page) for page in DOCS.glob("*.md"))
    spans = set(codes_in(text))
    missing = [f"{r.method} {r.path}" for r in routes if f"{r.method} {r.path}" not in spans]
    assert missing == [], "describe these calls on a page of docs/, best in docs/api.md"


def test_every_documented_call_exists_and_needs_the_scope_that_is_said(
    routes: list[Route],
) -> None:
    known = {f"{r.method} {r.path}": r for r in routes}
    rows = table(API, "Every call")
    assert len(rows) > 20
    for call, scope, *_ in rows:
        [name] = codes_in(call)
        assert name in known, f"docs/api.md describes {name}, which does not exist"
        route = known[name]
        said = [Scope(word) for word in codes_in(scope)]
        wanted = [each for each in (route.scope, route.or_scope) if each is not None]
        assert said == wanted, f"{name} needs {wanted}"


def test_calls_named_in_the_guides_exist(routes: list[Route]) -> None:
    known = {(r.method, re.sub(r"\{\w+\}", "{}", r.path)) for r in routes}
    for page in ("api.md", "operating.md"):
        for span in codes_in(prose(DOCS / page)):
            named = re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) (/[^ ?]*)(\?\S*)?", span)
            if named:
                path = re.sub(r"\{\w+\}", "{}", named[2])
                assert (named[1], path) in known, f"{page} names {span}"


def test_every_problem_code_is_documented_with_its_status() -> None:
    documented = {
        codes_in(row[0])[0]: set(map(int, re.findall(r"\d{3}", row[1])))
        for row in table(API, "Problem codes")
    }
    for code, status, where in problems_in_the_code():
        assert code in documented, f"{where} answers {code}: describe it in docs/api.md"
        assert status in documented[code], f"{where} answers {code} with {status}"


def test_no_code_is_documented_that_the_code_does_not_have() -> None:
    sources = "".join(
        path.read_text() for folder in ("gateway", "adapters") for path in python(folder)
    )
    for heading in ("Problem codes", "Reason codes"):
        for row in table(API, heading):
            for code in codes_in(row[0]):
                assert f'"{code}"' in sources, f"docs/api.md has {code}, the code has not"


def test_every_reason_code_is_documented_once() -> None:
    rows = [code for row in table(API, "Reason codes") for code in codes_in(row[0])]
    assert sorted(rows) == sorted(code.value for code in ReasonCode)


def test_reason_codes_that_nothing_gives_yet_are_said_to_be_so() -> None:
    given = {
        name
        for folder in ("gateway", "adapters")
        for path in python(folder)
        if path.name != "errors.py"
        for name in re.findall(r"ReasonCode\.([A-Z_]+)", path.read_text())
    }
    given.add("NOT_SUPPORTED")  # of `NotSupported`, in the tree of errors itself
    for row in table(API, "Reason codes"):
        for code in codes_in(row[0]):
            assert ("not given yet" in row[1]) is (code.upper() not in given), code


def test_every_state_is_documented_with_its_outcome() -> None:
    rows = {codes_in(row[0])[0]: codes_in(row[1])[0] for row in table(API, "States")}
    assert rows == {state.value: outcome_of(state).value for state in LegState}


def test_every_summary_and_session_state_is_documented() -> None:
    assert [each.value for each in Summary] == [
        codes_in(row[0])[0] for row in table(API, "Summary and status")
    ]
    named = {code for row in table(API, "Session states") for code in codes_in(row[0])}
    # Nothing sets it; it is in the vocabulary for a login step that takes long.
    assert named == {each.value for each in SessionState}


def test_problem_types_are_names_under_no_host() -> None:
    answer = problem_answer(Problem(404, "order_unknown", "no"), "req_1", on_order_route=True)
    assert answer.body["type"] == "urn:brokergate:problem:order_unknown"
    assert "urn:brokergate:problem:" in prose(API)


def python(folder: str) -> Iterator[Path]:
    return (ROOT / folder).rglob("*.py")


def problems_in_the_code() -> Iterator[tuple[str, int, str]]:
    """Every code and status that a `Problem` is made with, and where."""
    trees = {path: ast.parse(path.read_text()) for path in python("gateway")}
    calls = [
        node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Call)
    ]
    for path, tree in trees.items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and name_of(call) in ("Problem", "plain_problem"):
                    where = f"{path.relative_to(ROOT)}:{call.lineno}"
                    for code, status in codes_of(call, function, calls, where):
                        yield code, status, where


def codes_of(
    call: ast.Call,
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    calls: list[ast.Call],
    where: str,
) -> Iterator[tuple[str, int]]:
    match name_of(call), call.args:
        case "Problem", [status, code, *_]:
            codes, statuses = constants(code), constants(status)
            if isinstance(code, ast.Name):
                codes = handed_to(function, code.id, calls)
            if function.name == "plain_problem":
                return
            assert codes, f"{where}: what code is this?"
            if len(statuses) == len(codes):
                yield from zip(codes, statuses, strict=True)
            else:
                yield from ((code, status) for code in codes for status in statuses)
        case "plain_problem", [status, _, code]:
            yield from zip(constants(code), constants(status), strict=True)


def handed_to(
    function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: str, calls: list[ast.Call]
) -> list[str]:
    """The constants that a parameter gets: its default, and what callers pass by that name."""
    names = [each.arg for each in function.args.args]
    defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
    found = constants(defaults[parameter]) if parameter in defaults else []
    at = names.index(parameter) - (names[0] == "self")
    for call in calls:
        if name_of(call) == function.name:
            passed = [word.value for word in call.keywords if word.arg == parameter]
            for node in [*call.args[at : at + 1], *passed]:
                found += constants(node)
    return sorted({value for value in found if isinstance(value, str)})


def name_of(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def constants(node: ast.expr) -> list:
    """The values that an expression can have: one, or the two of a choice."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*constants(node.body), *constants(node.orelse)]
    return []

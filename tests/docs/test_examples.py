"""Every example of docs/api.md that is marked as runnable, run against a demo gateway.

A shell block under `<!-- run: 201 -->` must be answered with that status, and with the JSON of
the block after it, where there is one: `"..."` stands for any value, a text that ends in `...`
for its beginning, a member `"..."` for further members, a last element `"..."` for further ones,
`"$ORDER"` for the id of the order placed before.
Under `<!-- run until: 200 -->` the command is repeated until it is answered so.
"""

from __future__ import annotations

import json
import time
from typing import Any

from tests.docs.conftest import Demo
from tests.docs.pages import API, ROOT, Block, blocks

DEADLINE_S = 20.0


def test_every_runnable_example_answers_as_it_says(demo: Demo) -> None:
    variables: dict[str, str] = {}
    examples = runnable(blocks(API))
    assert len(examples) >= 15
    for command, status, said, repeat in examples:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            got_status, body = demo.shell(command, **variables)
            got = json.loads(body) if said else None
            wrong = [] if got_status == status else [f"status {got_status}, not {status}"]
            wrong += differences(filled_in(said, variables), got) if said else []
            if not wrong or not repeat or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert not wrong, f"{command}\n{wrong}\n{body}"
        remember(got, variables)


def test_every_call_of_curl_is_run() -> None:
    """An example that nothing runs says so: it needs a broker, a lost order or a browser."""
    for block in blocks(API):
        if "curl" in block.text:
            assert block.mark.startswith(("run", "not run: ")), block.text


def test_order_of_the_readme_is_accepted_by_the_demo(demo: Demo) -> None:
    found = blocks(ROOT / "README.md")
    [block] = [b for b in found if b.language == "sh" and "/v1/orders" in b.text]
    command = block.text.replace("http://127.0.0.1:8080", demo.gate)

    status, body = demo.shell(command, BROKERGATE_KEY=demo.key)

    assert (201, "accepted") == (status, json.loads(body)["summary"])


def test_wrong_answers_are_told_apart() -> None:
    said = {"code": "order_unknown", "detail": "there is...", "legs": [{"n": 1}, "..."]}
    good = {"code": "order_unknown", "detail": "there is no", "legs": [{"n": 1}, {"n": 2}]}
    assert differences(said, good) == []
    assert differences({"code": "...", "...": "..."}, good) == []
    for change in ({"code": "other"}, {"detail": "none"}, {"legs": []}, {"more": 1}):
        assert differences(said, {**good, **change}) != []
    assert differences(said, {"code": "order_unknown"}) != []


def runnable(found: list[Block]) -> list[tuple[str, int, str, bool]]:
    examples = []
    for at, block in enumerate(found):
        kind, _, status = block.mark.partition(": ")
        if kind not in ("run", "run until"):
            continue
        after = found[at + 1] if at + 1 < len(found) else Block("", "", "")
        said = after.text if after.language == "json" else ""
        examples.append((block.text, int(status), said, kind == "run until"))
    return examples


def filled_in(said: str, variables: dict[str, str]) -> Any:
    """Read an expected answer; `"$ORDER"` in it is the id of the order before."""
    for name, value in variables.items():
        said = said.replace(f'"${name}"', f'"{value}"')
    return json.loads(said)


def remember(got: Any, variables: dict[str, str]) -> None:
    """Keep the ids that later examples name: `$ORDER`, `$CHALLENGE`, `$KEY_ID`."""
    if isinstance(got, dict):
        for member, name in (("order_id", "ORDER"), ("challenge_id", "CHALLENGE")):
            if got.get(member):
                variables[name] = got[member]
        if "key" in got:
            variables["KEY_ID"] = got["id"]


def differences(said: Any, got: Any, where: str = "answer") -> list[str]:
    """Say where an answer is not as an example says."""
    if said == "...":
        return []
    if isinstance(said, dict) and isinstance(got, dict):
        missing = [f"{where} has no {key}" for key in said if key != "..." and key not in got]
        more = [] if "..." in said else [f"{where} also has {key}" for key in got.keys() - said]
        inner = [
            line
            for key in said.keys() & got.keys()
            for line in differences(said[key], got[key], f"{where}.{key}")
        ]
        return missing + more + inner
    if isinstance(said, list) and isinstance(got, list):
        open_end = said[-1:] == ["..."]
        wanted = said[:-1] if open_end else said
        if len(got) < len(wanted) or (len(got) > len(wanted) and not open_end):
            return [f"{where} has {len(got)} elements"]
        return [
            line
            for at, element in enumerate(wanted)
            for line in differences(element, got[at], f"{where}[{at}]")
        ]
    if isinstance(said, str) and said.endswith("...") and isinstance(got, str):
        return [] if got.startswith(said[:-3]) else [f"{where} is {got!r}"]
    return [] if said == got else [f"{where} is {got!r}, not {said!r}"]

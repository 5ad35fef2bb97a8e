"""docs/alerts.md against the code: its rules, and the check of signatures that it tells of."""

from __future__ import annotations

import time

from gateway.alerts.alert import Rule
from gateway.alerts.signing import HEADER, new_secret, signature
from tests.docs.pages import DOCS, blocks, codes_in, table

PAGE = DOCS / "alerts.md"


def test_every_rule_is_on_the_page_once() -> None:
    assert [codes_in(row[0])[0] for row in table(PAGE, "Rules")] == [rule.value for rule in Rule]


def test_the_pages_check_of_signatures_takes_ours_and_nothing_else() -> None:
    [block] = [block for block in blocks(PAGE) if block.language == "python"]
    names: dict[str, object] = {}
    exec(block.text, names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    secret, body, now = new_secret(), b'{"a": 1}', int(time.time())
    header = signature(secret, now, body)

    assert is_genuine(secret, header, body)
    assert not is_genuine(secret, header, body + b" ")
    assert not is_genuine(new_secret(), header, body)
    assert not is_genuine(secret, signature(secret, now - 400, body), body)
    assert not is_genuine(secret, header.replace(f"t={now}", f"t={now + 1}"), body)
    for broken in ("", "v1=00", "t=x,v1=00", "nonsense"):
        assert not is_genuine(secret, broken, body)
    assert HEADER in PAGE.read_text()

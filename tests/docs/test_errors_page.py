"""docs/errors.md says what the adapters of this project decide by, word for word."""

from __future__ import annotations

import msgspec

from adapters.sdk.error_table import ErrorRow, OnWrite
from adapters.sdk.errors import ReasonCode
from adapters.sdk.errors_page import render
from tests.docs.pages import DOCS, table
from tests.docs.test_capabilities_page import ours

PAGE = DOCS / "errors.md"


def test_page_is_what_the_adapters_decide_by() -> None:
    assert render(ours()) == PAGE.read_text(), "run `brokergate adapter errors > docs/errors.md`"


def test_every_adapter_of_this_project_is_on_the_page() -> None:
    for plugin in ours():
        assert plugin.errors is not None, plugin.broker
        assert len(plugin.errors()) == len(table(PAGE, plugin.title))


def test_every_row_has_a_source_and_a_code_or_words() -> None:
    for plugin in ours():
        assert plugin.errors is not None
        for row in plugin.errors():
            assert row.source
            assert row.broker_code or row.words


def test_a_changed_row_changes_the_page() -> None:
    row = ErrorRow(
        broker_code="-7",
        words="a|b",
        reason=ReasonCode.TICK_SIZE,
        on_write=OnWrite.REPEATABLE,
        source="9.9",
    )
    plugin = msgspec.structs.replace(ours()[0], errors=lambda: [row])

    assert "| `-7` | `a\\|b` | `tick_size` | repeatable | 9.9 |" in render([plugin])

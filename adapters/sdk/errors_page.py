"""The page of brokers' errors, made from the tables that their parsers read."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.sdk.error_table import ErrorRow
from adapters.sdk.interface import AdapterPlugin

_INTRODUCTION = """# Errors of the brokers

What each broker's codes and texts mean here, and what they prove when they answer a place, a
change or a cancel. This page is made from the adapters' own tables by `brokergate adapter errors`,
and a test compares the two; further tests drive every row through the adapter.

- **refused**: definitive. It was not done; of an order nothing is live. The leg is `rejected`.
- **repeatable**: proven to have created nothing; may be sent again (after a login, where the
  session ended).
- **unknown**: it may have been done. It is never sent again; the order is looked for in the
  broker's book.
- **says why**: names the reason of an answer that is refused for something else in it. Alone it
  proves nothing.

**Whatever is on no list here is unknown.** So is every answer that cannot be read, that gives an
order id beside an error (but for Fyers' -99), and every connection lost after a byte was sent.
Where one row says refused and another unknown, unknown counts, with two exceptions: m.Stock's codes
go before its HTTP 401, and what HDFC says of the session or of too many requests counts in a 2xx
only.

Words are regular expressions, tried in the order given; the first that fits gives the reason,
before that of the code. With HDFC the code goes first, unless it stands for several things. Codes
and words count in any case of letters. The broker's own are always kept: `broker_code` and
`broker_message` of a leg's reason. Sources are sections of the broker's dossier. The
[reason codes](api.md#reason-codes) say what to do."""


def render(plugins: Iterable[AdapterPlugin]) -> str:
    """Return the page for these adapters, in the order given; one without a table is left out."""
    sections = [
        _section(plugin.title, plugin.errors()) for plugin in plugins if plugin.errors is not None
    ]
    return "\n\n".join([_INTRODUCTION, *sections]) + "\n"


def _section(title: str, rows: Iterable[ErrorRow]) -> str:
    lines = [
        f"## {title}",
        "",
        "| Code | Words | Reason | On a write | Source |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            _span(row.broker_code),
            _span(row.words),
            _span(row.reason.value),
            row.on_write.value,
            row.source,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _span(words: str) -> str:
    escaped = words.replace("|", "\\|")
    return f"`{escaped}`" if words else "-"

"""The demo on screen: progress while it starts, the collated answer, what to try next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 110
_ROOMY = 100
_STEP_WIDTH = 62
_COLOURS = {"accepted": "green", "rejected": "red", "not_sent": "red", "absent": "red"}


class Note:
    """What a step found out, shown behind its name."""

    text = ""


class Progress:
    """Steps with a mark and their time; a spinner while one runs, where there is a terminal."""

    def __init__(self, *, to_stderr: bool) -> None:
        self.console = Console(stderr=to_stderr, highlight=False)
        if not self.console.is_terminal:
            # A file or pipe has no edge to fold the table at.
            self.console = Console(stderr=to_stderr, highlight=False, width=_WIDE)
        unicode = self.console.encoding.lower().startswith("utf")
        self._done, self._failed = ("✓", "✗") if unicode else ("ok", "FAILED")

    @contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Show a step with what it took, also when it fails."""
        note, begun = Note(), time.perf_counter()
        try:
            with self.console.status(name) if self.console.is_terminal else nullcontext():
                yield note
        except BaseException:
            self.line(Text.assemble((f"{self._failed} ", "red"), name))
            raise
        took_ms = (time.perf_counter() - begun) * 1000
        detail = f"  {note.text}" if note.text else ""
        gap = " " * max(_STEP_WIDTH - len(name) - len(detail), 1)
        self.line(
            Text.assemble(
                (f"{self._done} ", "green"),
                name,
                (detail, "dim"),
                gap,
                (f"{took_ms:6.0f} ms", "dim"),
            )
        )

    def line(self, text: Text | str = "") -> None:
        """Print a line as it is: never folded, so that it can be pasted."""
        self.console.print(text, soft_wrap=True, markup=False)

    def answer(self, order: Mapping[str, Any], words: str, titles: Mapping[str, str]) -> None:
        """Show the collated answer: a row per leg."""
        self.line()
        roomy = self.console.width >= _ROOMY
        self.console.print(_table(order, words, titles, roomy=roomy))
        for leg in order["legs"]:
            if leg["reason"]:
                self.line(f"{leg['account']}: {leg['reason']['message']}")
        totals = [leg["timing"]["total_ms"] or 0.0 for leg in order["legs"]]
        self.line(f"{order['order_id']}: {order['summary']}, journalled before anything was sent.")
        self.line(
            f"{_accepted(order)} of {len(totals)} accounts accepted it,"
            f" the slowest within {max(totals):.1f} ms."
        )


def short_title(title: str) -> str:
    """Name a broker without the name of its API in brackets."""
    return title.partition(" (")[0]


def _accepted(order: Mapping[str, Any]) -> int:
    return sum(1 for leg in order["legs"] if leg["outcome"] == "accepted")


def _table(
    order: Mapping[str, Any], words: str, titles: Mapping[str, str], *, roomy: bool
) -> Table:
    table = Table(
        title=words,
        title_style="bold",
        title_justify="left",
        box=box.ROUNDED if roomy else box.SIMPLE_HEAD,
        padding=(0, 1) if roomy else 0,
        show_edge=roomy,
    )
    table.add_column("Account", no_wrap=True)
    table.add_column("Broker", min_width=10)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Broker order", no_wrap=True)
    table.add_column("Filled", justify="right", no_wrap=True)
    table.add_column("Average", justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for leg in order["legs"]:
        total = leg["timing"]["total_ms"]
        table.add_row(
            leg["account"],
            short_title(titles.get(leg["broker"], leg["broker"])),
            Text(leg["outcome"], style=_COLOURS.get(leg["outcome"], "yellow")),
            leg["state"],
            leg["broker_order_id"] or "-",
            f"{leg['filled_quantity']}/{leg['quantity']}",
            _rupees(leg["average_price"]),
            "-" if total is None else f"{total:.1f}",
        )
    return table


def _rupees(price: str | None) -> str:
    """Show a price with the two decimals of paise, and more only where it has more."""
    if price is None:
        return "-"
    whole, _, fraction = price.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"

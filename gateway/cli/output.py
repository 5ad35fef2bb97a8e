"""What commands print: JSON, and columns that also read well in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_columns(heads: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows under their heads, aligned, nothing cut; `empty` when there are none."""
    if not rows:
        click.echo(empty)
        return
    for line in columns(heads, rows):
        click.echo(line)


def columns(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return rows under their heads as aligned lines, nothing cut; none when there are no rows."""
    if not rows:
        return []
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in ([head.upper() for head in heads], *texts)
    ]


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, list):
        return ",".join(map(str, cell))
    return str(cell)

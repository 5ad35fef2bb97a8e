"""Figures as SVG files: bars side by side, and curves over time.

pygal is imported only to draw: it hooks itself into every import of its process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pygal

_SIZE = {"width": 900, "height": 420}


def bars(
    path: Path, title: str, unit: str, names: Sequence[str], series: Mapping[str, Sequence[float]]
) -> None:
    """Write one group of bars per name, one bar in it per series."""
    import pygal
    from pygal.style import CleanStyle

    chart = pygal.Bar(
        title=title, y_title=unit, style=CleanStyle, disable_xml_declaration=True, js=(), **_SIZE
    )
    chart.x_labels = list(names)
    for name, values in series.items():
        chart.add(name, [round(value, 3) for value in values])
    _write(path, chart)


def curves(
    path: Path,
    title: str,
    x_title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
) -> None:
    """Write curves of (x, y) points on common axes, from zero up."""
    import pygal
    from pygal.style import CleanStyle

    chart = pygal.XY(
        title=title,
        x_title=x_title,
        style=CleanStyle,
        show_dots=False,
        range=(0, max(y for points in series.values() for _, y in points) * 1.1),
        disable_xml_declaration=True,
        js=(),
        **_SIZE,
    )
    for name, points in series.items():
        chart.add(name, [(round(x, 2), round(y, 2)) for x, y in points])
    _write(path, chart)


def _write(path: Path, chart: pygal.graph.graph.Graph) -> None:
    path.write_text(chart.render(is_unicode=True) + "\n", encoding="utf-8")

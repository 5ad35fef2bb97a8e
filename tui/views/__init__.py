"""The views, in the order of their keys. Each is loaded when it is first looked at."""

from __future__ import annotations

from collections.abc import Callable

from tui.views.base import View

# Imports stand in functions, not in strings: a packer of one file has to find them.


def _overview() -> type[View]:
    from tui.views.overview import Overview

    return Overview


def _unresolved() -> type[View]:
    from tui.views.unresolved import Unresolved

    return Unresolved


def _orders() -> type[View]:
    from tui.views.orders import Orders

    return Orders


def _audit() -> type[View]:
    from tui.views.audit import Audit

    return Audit


def _portfolio() -> type[View]:
    from tui.views.portfolio import Portfolio

    return Portfolio


def _guards() -> type[View]:
    from tui.views.guards import Guards

    return Guards


def _contracts() -> type[View]:
    from tui.views.contracts import Contracts

    return Contracts


PLACES: dict[str, Callable[[], type[View]]] = {
    "Overview": _overview,
    "Unresolved": _unresolved,
    "Orders": _orders,
    "Audit": _audit,
    "Portfolio": _portfolio,
    "Guards": _guards,
    "Contracts": _contracts,
}


def tabs_words(front: int) -> str:
    """The line that names every view and its key; the one in front stands in brackets."""
    return " ".join(
        f"[{place} {label}]" if place == front else f"{place} {label}"
        for place, label in enumerate(PLACES, 1)
    )


__all__ = ["PLACES", "View", "tabs_words"]

"""The views, in the order of their keys."""

from tui.views.base import View
from tui.views.overview import Overview
from tui.views.unresolved import Unresolved

VIEWS: tuple[type[View], ...] = (Overview, Unresolved)

__all__ = ["VIEWS", "View"]

"""The views, in the order of their keys."""

from tui.views.audit import Audit
from tui.views.base import View
from tui.views.contracts import Contracts
from tui.views.guards import Guards
from tui.views.orders import Orders
from tui.views.overview import Overview
from tui.views.portfolio import Portfolio
from tui.views.unresolved import Unresolved

VIEWS: tuple[type[View], ...] = (
    Overview,
    Unresolved,
    Orders,
    Audit,
    Portfolio,
    Guards,
    Contracts,
)

__all__ = ["VIEWS", "View"]

"""What clients can call: every route, made of the gateway's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.api.admin import AdminRoutes
from gateway.api.alerts import AlertRoutes
from gateway.api.audit import AuditRoutes
from gateway.api.audit_export import AuditExportRoute
from gateway.api.baskets import BasketRoutes
from gateway.api.books import BookRoutes
from gateway.api.breakers import BreakerRoutes
from gateway.api.calendar import CalendarRoutes
from gateway.api.close import CloseRoutes
from gateway.api.config import ConfigRoutes
from gateway.api.docs_page import docs_route
from gateway.api.events import EventRoutes
from gateway.api.instruments import InstrumentRoutes
from gateway.api.keys import KeyRoutes
from gateway.api.kill import KillRoutes
from gateway.api.kpis import KpiRoutes
from gateway.api.limits import LimitRoutes
from gateway.api.market import MarketRoutes
from gateway.api.metrics import MetricsRoutes
from gateway.api.openapi import openapi_route
from gateway.api.orderbook import OrderBookRoutes
from gateway.api.orders import OrderRoutes
from gateway.api.portfolio import PortfolioRoutes
from gateway.api.reads import AccountReads
from gateway.api.reconcile import ReconcileRoutes
from gateway.api.routing import Route
from gateway.api.sessions import SessionRoutes
from gateway.api.unresolved import UnresolvedRoutes
from gateway.api.validate import ValidateRoutes
from gateway.books.margins import MarginDesk
from gateway.instruments import is_stale
from gateway.market.sources import Sources
from gateway.orders.times import now_us
from gateway.prechecks.estimates import MarginEstimator
from gateway.version import program_version

if TYPE_CHECKING:
    from gateway.runtime import Gateway


def routes_of(gateway: Gateway) -> list[Route]:
    """List every route of a gateway, the one of its description last."""
    refresh_at = gateway.settings.instruments.refresh_at
    instruments = InstrumentRoutes(
        gateway.instruments, lambda loaded_us: is_stale(loaded_us, now_us(), refresh_at)
    )
    routes = [
        *OrderRoutes(
            gateway.orders, gateway.store, gateway.accounts, gateway.tally.repeat
        ).routes(),
        *ValidateRoutes(gateway.orders).routes(),
        *BasketRoutes(gateway.baskets, gateway.tally.repeat).routes(),
        *gateway.cancel_routes.routes(),
        *CloseRoutes(
            gateway.closes, gateway.accounts, gateway.groups, gateway.instruments.find_everywhere
        ).routes(),
        *OrderBookRoutes(gateway.orders, gateway.orders.elsewhere, gateway.accounts).routes(),
        *KillRoutes(gateway.kill, gateway.accounts, gateway.keys).routes(),
        *UnresolvedRoutes(gateway.orders.resolving).routes(),
        *SessionRoutes(gateway.sessions, gateway.accounts).routes(),
        *KeyRoutes(gateway.keys, gateway.accounts, gateway.switch).routes(),
        *AdminRoutes(
            gateway.store,
            gateway.accounts,
            gateway.sessions,
            gateway.kill,
            instruments.by_broker,
            lambda: gateway.orders.stopping,
            gateway.fills,
            lambda name: gateway.settings.account(name).limits.orders_per_second,
        ).routes(),
        *instruments.routes(),
        *LimitRoutes(gateway.limits, gateway.accounts, gateway.prechecks.ledger_of).routes(),
        *CalendarRoutes(gateway.days, gateway.store).routes(),
        *ConfigRoutes(gateway.reloader).routes(),
        *AlertRoutes(gateway.alerts, gateway.store).routes(),
        *AuditRoutes(gateway.store, gateway.feed, gateway.accounts).routes(),
        *AuditExportRoute(gateway.store).routes(),
        *EventRoutes(gateway.feed, gateway.orders, gateway.accounts).routes(),
        *BreakerRoutes(gateway.accounts, gateway.breakers).routes(),
        *MarketRoutes(
            Sources(gateway.accounts),
            gateway.quotes,
            gateway.candles,
            gateway.instruments.find,
            gateway.sessions.session_expired,
        ).routes(),
        *_book_routes(gateway),
        *KpiRoutes(gateway.store, gateway.figure_store, gateway.minutes, gateway.accounts).routes(),
        *MetricsRoutes(gateway.tally, gateway.accounts, gateway.switch, gateway.store).routes(),
    ]
    routes.append(docs_route())
    return [*routes, openapi_route(routes, program_version())]


def _book_routes(gateway: Gateway) -> list[Route]:
    reads = AccountReads(gateway.accounts, gateway.groups)
    estimator = MarginEstimator(gateway.funds, gateway.quotes.one)
    margins = MarginDesk(gateway.reader, gateway.sessions.session_expired, estimator.estimate)
    return [
        *BookRoutes(gateway.desk, reads).routes(),
        *PortfolioRoutes(gateway.desk, margins, gateway.orders.planner, reads).routes(),
        *ReconcileRoutes(gateway.desk, reads).routes(),
    ]

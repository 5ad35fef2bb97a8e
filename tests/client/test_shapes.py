"""The client's shapes against the service's: none that the service has not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.api import (
    admin,
    baskets,
    books,
    cancel,
    close,
    instruments,
    kill,
    market,
    modify,
    portfolio,
    sessions,
    unresolved,
    validate,
    views,
)
from gateway.api import reads as api_reads
from gateway.client import books as client_books
from gateway.client import models, operating
from gateway.client.calls import OrderFields
from gateway.orchestrator.cancelling import OrderCancel
from gateway.orders.close import CancelledOrder, Left
from gateway.orders.records import Reason, Sent, Timing
from gateway.orders.request import OrderRequest

PAIRS: list[tuple[Any, Any]] = [
    (models.Order, views.OrderView),
    (models.Leg, views.LegView),
    (models.Reason, Reason),
    (models.Sent, Sent),
    (models.Timing, Timing),
    (models.OrderPage, views.OrderList),
    (models.History, views.History),
    (models.HistoryEvent, views.HistoryEvent),
    (models.ModifiedOrder, modify.ModifiedOrder),
    (models.ModifiedLeg, modify.ModifiedLeg),
    (models.Basket, baskets.BasketView),
    (models.Closed, close.CloseView),
    (models.Remaining, Left),
    (models.CancelledAll, cancel.CancelAllAnswer),
    (models.TriedLeg, validate.TriedLeg),
    (models.Trial, validate.Trial),
    (models.UnresolvedLeg, unresolved.Unresolved),
    (operating.Session, sessions.SessionView),
    (operating.LoginStep, sessions.LoginAnswer),
    (operating.Account, admin.AccountView),
    (operating.Switch, kill.SwitchView),
    (operating.Engaged, kill.EngageAnswer),
    (operating.KillSwitch, kill.KillState),
    (client_books.BookOrder, books.OrderRow),
    (client_books.Trade, books.TradeRow),
    (client_books.Position, books.PositionRow),
    (client_books.Holding, portfolio.HoldingRow),
    (client_books.Funds, portfolio.FundsRow),
    (client_books.Margin, portfolio.MarginRow),
    (client_books.AccountRead, api_reads.Result),
    (client_books.Quote, market.QuoteRow),
    (client_books.Depth, market.Depth),
    (client_books.DepthLevel, market.Level),
    (client_books.Candles, market.Candles),
    (client_books.Candle, market.CandleRow),
    (client_books.Instrument, instruments.InstrumentView),
]
MORE = {client_books.AccountRead: {"data"}}


def names(kind: Any) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_members_are_those_of_the_service(ours: Any, theirs: Any) -> None:
    assert names(ours) - MORE.get(ours, set()) - names(theirs) == set()


def test_cancels_of_a_close_and_of_many_fit_one_shape() -> None:
    assert names(models.CancelledOrder) <= names(CancelledOrder) | names(OrderCancel)


def test_fields_of_an_order_are_those_of_the_service() -> None:
    assert names(OrderRequest) == set(OrderFields.__annotations__)
    required = {f.name for f in msgspec.structs.fields(OrderRequest) if f.required}
    assert required == set(OrderFields.__required_keys__)


def test_final_states_are_those_of_the_service() -> None:
    from gateway.client.steps import FINAL
    from gateway.orders.states import TERMINAL

    assert {state.value for state in TERMINAL} == FINAL


def test_types_are_there_for_whoever_uses_the_client() -> None:
    assert (Path(__file__).parents[2] / "gateway" / "py.typed").is_file()


def test_client_loads_nothing_of_the_service() -> None:
    program = "import sys, gateway.client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.split(".")[0] in ("gateway", "adapters", "tui")}
    assert "gateway.client.sync" in ours
    assert {n for n in ours if n != "gateway" and not n.startswith("gateway.client")} == set()
    assert not loaded & {"apsw", "granian", "blacksheep", "pydantic", "textual"}

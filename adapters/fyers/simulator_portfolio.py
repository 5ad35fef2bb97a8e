"""What the simulated Fyers says of an account's money: funds, holdings, positions, margins."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from adapters.fyers.constants import ORDER_TYPE_FROM_WIRE, PRODUCT_FROM_WIRE, SIDE_FROM_WIRE
from adapters.fyers.simulator_answers import (
    Invalid,
    choice,
    error,
    invalid,
    json_object,
    number,
    ok,
    text,
    whole,
)
from adapters.fyers.simulator_rows import Carried, fund_rows, holding_row, position_row
from adapters.sdk.models import InstrumentType, Product, Side
from adapters.sdk.simulator import Contract, Holding, SimRequest, SimResponse, Universe

if TYPE_CHECKING:
    from adapters.fyers.simulator import FyersSimulator


class OwnedShares(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the option `holdings`. `t1` and `pledged` are parts of `quantity`."""

    instrument: str
    quantity: int
    price: Decimal
    t1: int = 0
    pledged: int = 0
    type: str = "HLD"


class CarriedOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the option `carried`: a position of an earlier day, signed."""

    instrument: str
    quantity: int
    price: Decimal
    product: Product = Product.NRML


def read_holdings(option: Any, universe: Universe) -> list[tuple[OwnedShares, Contract]]:
    """Read the option `holdings`. Raises `ValueError`."""
    rows = msgspec.convert(option, list[OwnedShares], strict=False)
    return [(row, _contract(universe, row.instrument)) for row in rows]


def read_carried(option: Any, universe: Universe) -> list[tuple[CarriedOver, Contract]]:
    """Read the option `carried`. Raises `ValueError`."""
    rows = msgspec.convert(option, list[CarriedOver], strict=False)
    return [(row, _contract(universe, row.instrument)) for row in rows]


class Portfolio:
    """Answers the account's calls. Positions of earlier days are put into the engine's account."""

    def __init__(self, simulator: FyersSimulator) -> None:
        self._sim = simulator
        universe = simulator.universe
        given = simulator.options
        self._owned = read_holdings(given.get("holdings", ()), universe)
        self._carried = read_carried(given.get("carried", ()), universe)
        self.seed()

    def seed(self) -> None:
        """Put the positions of earlier days into a fresh account."""
        for row, contract in self._carried:
            side = Side.BUY if row.quantity > 0 else Side.SELL
            self._sim.engine.account.trade(
                contract, row.product, side, abs(row.quantity), row.price
            )

    def funds(self, request: SimRequest) -> SimResponse:
        return ok(fund_limit=fund_rows(self._sim.engine.account.funds))

    def positions(self, request: SimRequest) -> SimResponse:
        engine = self._sim.engine
        engine.advance()
        rows = [
            position_row(
                position,
                number,
                engine.price(position.contract),
                self._carried_of(position.contract, position.product),
            )
            for number, position in enumerate(engine.account.positions)
        ]
        realised = sum((row["realized_profit"] for row in rows), Decimal(0))
        unrealised = sum((row["unrealized_profit"] for row in rows), Decimal(0))
        return ok(
            netPositions=rows,
            overall={
                "count_total": len(rows),
                "count_open": sum(1 for row in rows if row["netQty"]),
                "pl_total": realised + unrealised,
                "pl_realized": realised,
                "pl_unrealized": unrealised,
            },
        )

    def holdings(self, request: SimRequest) -> SimResponse:
        engine = self._sim.engine
        engine.advance()
        details: list[OwnedShares | None] = [row for row, _ in self._owned]
        details = details or [None] * len(engine.account.holdings)
        rows = [
            holding_row(
                holding,
                number,
                engine.price(holding.contract),
                sold=max(0, -engine.account.net_quantity(holding.contract, Product.CNC)),
                pledged=owned.pledged if owned else 0,
                kind=owned.type if owned else "HLD",
            )
            for number, (holding, owned) in enumerate(
                zip(engine.account.holdings, details, strict=True), 1
            )
        ]
        invested = sum((h.average_price * h.quantity for h in engine.account.holdings), Decimal(0))
        value = sum((row["marketVal"] for row in rows), Decimal(0))
        gain = value - invested
        return ok(
            holdings=rows,
            overall={
                "count_total": len(rows),
                "total_investment": invested,
                "total_current_value": value,
                "total_pl": gain,
                "pnl_perc": round(gain * 100 / invested, 4) if invested else 0,
            },
        )

    def margin(self, request: SimRequest) -> SimResponse:
        """Answer the calculator: made-up rates, but a hedge counts once it was bought."""
        body = json_object(self._sim, request)
        orders = body.get("data") if body else None
        if not isinstance(orders, list) or not orders:
            return error(-50, "Invalid input", status=400)
        needed = _ZERO
        bought: set[str] = set()
        try:
            for order in orders:
                needed += self._margin_of(order, bought)
        except Invalid as refused:
            return invalid(refused)
        funds = self._sim.engine.account.funds
        return ok(
            data={
                "margin_avail": funds.available,
                "margin_total": needed + funds.used,
                "margin_new_order": needed,
            }
        )

    def _margin_of(self, order: Any, bought: set[str]) -> Decimal:
        if not isinstance(order, dict):
            raise Invalid("Invalid input")
        contract = self._sim.symbols.find(text(order, "symbol"))
        if contract is None or not contract.is_tradable:
            raise Invalid("Please provide valid symbols", code=-310)
        quantity, side = whole(order, "qty"), choice(order, "side", SIDE_FROM_WIRE)
        choice(order, "type", ORDER_TYPE_FROM_WIRE)
        product = PRODUCT_FROM_WIRE.get(text(order, "productType"))
        limit, *_ = (
            number(order, name) for name in ("limitPrice", "stopPrice", "stopLoss", "takeProfit")
        )
        if product is None or quantity <= 0 or quantity % contract.lot_size:
            raise Invalid("Invalid input")
        value = quantity * (limit or self._sim.engine.price(contract))
        if not contract.is_derivative:
            if side is Side.SELL and product is Product.CNC:
                return _ZERO
            return (value * _CASH_RATES.get(product, Decimal(1))).quantize(_PAISA)
        root = contract.underlying or ""
        hedged, is_option = root in bought, contract.type is InstrumentType.OPT
        if side is Side.BUY:
            bought.add(root)
            if is_option:
                return value.quantize(_PAISA)
        notional = quantity * (contract.strike or contract.price) if is_option else value
        rate = _DERIVATIVE_RATE * (_HEDGED if hedged else 1)
        return (notional * rate).quantize(_PAISA)

    def _carried_of(self, contract: Contract, product: Product) -> Carried:
        bought = sold = 0
        for row, held in self._carried:
            if held.key == contract.key and row.product is product:
                bought += max(0, row.quantity)
                sold += max(0, -row.quantity)
        return Carried(bought, sold)


def engine_holdings(option: Any, universe: Universe) -> tuple[Holding, ...]:
    """Make the engine's holdings of the option `holdings`."""
    return tuple(
        Holding(
            contract=contract,
            quantity=row.quantity,
            average_price=row.price,
            t1_quantity=row.t1,
        )
        for row, contract in read_holdings(option, universe)
    )


_ZERO: Final = Decimal(0)
_PAISA: Final = Decimal("0.01")
_CASH_RATES: Final = {Product.MIS: Decimal("0.2"), Product.MTF: Decimal("0.25")}
_DERIVATIVE_RATE: Final = Decimal("0.12")
_HEDGED: Final = Decimal("0.4")


def _contract(universe: Universe, instrument: str) -> Contract:
    found = universe.by_instrument(instrument)
    if found is None:
        raise ValueError(f"the simulated market has no {instrument}")
    return found

"""What the simulated InvestRight says of an account's property (dossier hdfc 7.1 to 7.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.hdfc.simulator_master import parent_exchange, security_id, segment
from adapters.hdfc.simulator_rows import (
    PRODUCT_WORDS,
    ZERO,
    as_float,
    dashed_date,
    display_name,
    option_word,
)
from adapters.sdk.models import Product, Side
from adapters.sdk.simulator import Contract, Funds, Holding, Position

if TYPE_CHECKING:
    from adapters.hdfc.simulator import HdfcSimulator


class CarriedOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the option `carried`: a position of an earlier day, signed."""

    instrument: str
    quantity: int
    price: Decimal
    product: Product = Product.NRML


class Portfolio:
    """Positions, holdings and funds. Earlier days' positions go into the engine's account."""

    def __init__(self, simulator: HdfcSimulator) -> None:
        self._sim = simulator
        given = simulator.options.get("carried", ())
        self._carried: dict[tuple[str, Product], CarriedOver] = {}
        for row in msgspec.convert(given, list[CarriedOver], strict=False):
            if simulator.universe.by_instrument(row.instrument) is None:
                raise ValueError(f"carried: there is no {row.instrument}")
            self._carried[row.instrument, row.product] = row
        self.seed()

    def seed(self) -> None:
        """Put the positions of earlier days into a fresh account."""
        for row in self._carried.values():
            contract = self._sim.universe.by_instrument(row.instrument)
            side = Side.BUY if row.quantity > 0 else Side.SELL
            if contract is not None:
                self._sim.engine.account.trade(
                    contract, row.product, side, abs(row.quantity), row.price
                )

    def positions(self) -> dict[str, Any]:
        """Write the positions' data; the list hides in `net`."""
        self._sim.engine.advance()
        return {
            "net": [
                _position_row(
                    position,
                    self._carried.get((position.contract.instrument, position.product)),
                    client_id=self._sim.client_id,
                )
                for position in self._sim.engine.account.positions
            ]
        }

    def holdings(self) -> list[dict[str, Any]]:
        """Write the holdings: shares, and what else the real list was seen to hold."""
        engine = self._sim.engine
        engine.advance()
        shares = [
            _holding_row(holding, engine.price(holding.contract), has_code=number % 2 == 0)
            for number, holding in enumerate(engine.account.holdings)
        ]
        return [*shares, *_TRAPS]

    def funds(self) -> dict[str, Any]:
        """Write the margins answer's data."""
        self._sim.engine.advance()
        return _funds_object(self._sim.engine.account.funds)


def _position_row(
    position: Position, carried: CarriedOver | None, *, client_id: str
) -> dict[str, Any]:
    contract = position.contract
    before = carried.quantity if carried else 0
    price = carried.price if carried else ZERO
    cf_buy, cf_sell = max(before, 0), max(-before, 0)
    day_buy, day_sell = position.buy_quantity - cf_buy, position.sell_quantity - cf_sell
    day_buy_value = position.buy_value - cf_buy * price
    day_sell_value = position.sell_value - cf_sell * price
    return {
        **_contract_members(contract, client_id),
        "product": PRODUCT_WORDS[position.product],
        "total_buy_quantity": position.buy_quantity,
        "total_sell_qty": position.sell_quantity,
        "net_qty": position.quantity,
        "average_buy_price": as_float(position.buy_price),
        "average_sell_price": as_float(position.sell_price),
        "total_buy_value": as_float(position.buy_value),
        "total_sell_value": as_float(position.sell_value),
        "t_day_net_qty": day_buy - day_sell,
        "t_day_buy_quantity": day_buy,
        "t_day_sell_qty": day_sell,
        "t_day_average_buy_price": as_float(day_buy_value / day_buy if day_buy else ZERO),
        "t_day_avg_sell_price": as_float(day_sell_value / day_sell if day_sell else ZERO),
        "t_day_buy_value": as_float(day_buy_value),
        "t_day_sell_value": as_float(day_sell_value),
        "cf_buy_qty": cf_buy,
        "cf_sell_qty": cf_sell,
        "cf_average_buy_price": as_float(price if cf_buy else ZERO),
        "cf_average_sell_price": as_float(price if cf_sell else ZERO),
        "cf_buy_value": as_float(cf_buy * price),
        "cf_sell_value": as_float(cf_sell * price),
        "realised_pl_overall_position": as_float(position.realised),
        "realised_pl_t_day_position": as_float(position.realised),
    }


def _contract_members(contract: Contract, client_id: str) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "security_id": security_id(contract),
        "instrument_segment": segment(contract),
        "underlying_symbol": display_name(contract),
        "exchange": parent_exchange(contract),
        "expiry_date": dashed_date(contract.expiry),
        "option_type": option_word(contract),
        "strike_price": as_float(contract.strike),
    }


def _holding_row(holding: Holding, last: Decimal, *, has_code: bool) -> dict[str, Any]:
    """Write one holding: no trading symbol, some numbers as text, the code sometimes empty."""
    contract = holding.contract
    change = last - contract.price
    return {
        "security_id": security_id(contract) if has_code else "",
        "exchange": parent_exchange(contract),
        "company_name": contract.name,
        "sector_name": "",
        "isin": contract.isin or "",
        "quantity": holding.quantity,
        "average_price": as_float(holding.average_price),
        "investment_value": f"{holding.average_price * holding.quantity:,.2f}",
        "close_price": as_float(contract.price),
        "realised": "",
        "sip_indicator": "N",
        "mtf_indicator": "N",
        "ltcg_quantity": 0,
        "corporate_action_indicator": "",
        "corporate_action_message": "",
        "pnl": as_float((last - holding.average_price) * holding.quantity),
        "day_change": as_float(change),
        "day_change_percentage": as_float(round(change / contract.price * 100, 2)),
    }


def _trap(**members: Any) -> dict[str, Any]:
    return {
        "security_id": "",
        "exchange": "NSE",
        "sector_name": "",
        "investment_value": "",
        "close_price": ZERO,
        "realised": "",
        "sip_indicator": "N",
        "mtf_indicator": "N",
        "ltcg_quantity": 0,
        "corporate_action_indicator": "",
        "corporate_action_message": "",
        **members,
    }


# Seen in a real list: contracts without an ISIN, valued at the underlying's price, and units of
# mutual funds (7.2).
_TRAPS = (
    _trap(
        security_id="NSEDNL67605",
        company_name="NIFTY 50 Options",
        isin="0",
        quantity=75,
        average_price=Decimal("24500.0"),
        investment_value="1,837,500.00",
    ),
    _trap(
        company_name="BANKNIFTY Futures",
        isin="",
        quantity=-30,
        average_price=Decimal("58100.0"),
    ),
    _trap(
        exchange="BSE",
        company_name="LIQUID FUND DIRECT GROWTH",
        isin="INF179KB1HT1",
        quantity="112.347",
        average_price="4,210.55",
        sip_indicator="Y",
    ),
)


def _funds_object(funds: Funds) -> dict[str, Any]:
    available, used = as_float(funds.available), as_float(funds.used)
    return {
        "equity": {
            "total_available_limit": available,
            "total_utilised_limit": used,
            "total_limit": as_float(funds.available + funds.used),
            "totalAvailableLimitDetails": {
                "cash": available,
                "mtf": available,
                "equity_intraday": available,
                "equity_margin": available,
                "cover_order": ZERO,
                "derivative_future_shortOption": available,
                "option_buy": available,
                "mutual_fund": available,
                "cdx_future_shortOption": ZERO,
                "cdx_option_buy": ZERO,
                "com_derivative_future_shortOption": ZERO,
                "com_derivative_option_buy": ZERO,
            },
            "totalUtilizationDetails": {
                "cash": used,
                "mtf": ZERO,
                "equity_margin_intraday_cover": ZERO,
                "derivative_future_shortOption": ZERO,
                "option_buy": ZERO,
                "mutual_fund": ZERO,
                "cdxFutureShortOption": ZERO,
                "cdxOptionBuy": ZERO,
                "comDerivativeFutureShortOption": ZERO,
            },
            "totalLimitDetails": {
                "bank_hold": ZERO,
                "intraday_sales_proceed": ZERO,
                "ledger_balance": as_float(funds.opening),
                "adhoc_limit": ZERO,
                "pledge_limit": as_float(funds.collateral),
            },
        }
    }

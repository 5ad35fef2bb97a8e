"""Masters made of the synthetic market, and small ones written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType
from adapters.sdk.simulator.universe import Contract, Universe
from gateway.orders.times import ist, now_us
from gateway.store.instruments import InstrumentStore, Wanted

KEYS = ("exchange", "token")
TODAY = ist(now_us()).date()


def contracts(rows: int = 0, *, today: date = TODAY) -> Iterator[Instrument]:
    """The synthetic market as a broker would list it."""
    for contract in Universe(today, rows=rows).contracts():
        yield listed(contract)


def listed(contract: Contract) -> Instrument:
    return Instrument(
        instrument=contract.instrument,
        exchange=contract.exchange,
        symbol=contract.symbol,
        name=contract.name,
        type=contract.type,
        lot_size=contract.lot_size,
        tick_size=contract.tick_size,
        codes={"exchange": contract.exchange.value, "token": str(contract.token)},
        underlying=contract.underlying if contract.is_derivative else None,
        expiry=contract.expiry,
        strike=contract.strike,
        option_type=contract.option_type,
        freeze_quantity=contract.freeze_quantity,
        isin=contract.isin,
    )


def share(symbol: str, name: str = "any", **changes: Any) -> Instrument:
    exchange = changes.pop("exchange", Exchange.NSE)
    fields: dict[str, Any] = {
        "instrument": f"{exchange.value}:{symbol}",
        "exchange": exchange,
        "symbol": symbol,
        "name": name,
        "type": InstrumentType.EQ,
        "lot_size": 1,
        "tick_size": Decimal("0.05"),
        "codes": {"exchange": exchange.value, "token": symbol},
    }
    return Instrument(**{**fields, **changes})


def future(root: str, expiry: date, **changes: Any) -> Instrument:
    return share(
        f"{root}{expiry:%d%b%y}FUT".upper(),
        exchange=Exchange.NFO,
        type=InstrumentType.FUT,
        underlying=root,
        expiry=expiry,
        **changes,
    )


def option(root: str, expiry: date, strike: str, kind: str = "CE", **changes: Any) -> Instrument:
    return share(
        f"{root}{expiry:%d%b%y}{strike}{kind}".upper(),
        exchange=changes.pop("exchange", Exchange.NFO),
        type=InstrumentType.OPT,
        underlying=root,
        expiry=expiry,
        strike=Decimal(strike),
        option_type=OptionType(kind),
        **changes,
    )


def in_days(days: int) -> date:
    return TODAY + timedelta(days=days)


async def ids(
    store: InstrumentStore, query: str = "", limit: int = 20, **filters: Any
) -> list[str]:
    found = await store.search(Wanted(query=query, **filters), limit, TODAY)
    return [next(iter(listing.values())).instrument for listing in found]


def broken_after(rows: Iterable[Instrument], count: int, error: Exception) -> Iterator[Instrument]:
    for number, row in enumerate(rows):
        if number == count:
            raise error
        yield row

"""How the simulated Fyers names the shared market's contracts: tickers, tokens, master files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.fyers.constants import EXCHANGE_FROM_WIRE, INDEX_SYMBOLS
from adapters.sdk.models import Exchange, InstrumentType
from adapters.sdk.simulator import IST, Contract, Universe

EXCHANGE_TO_WIRE: Final = {ours: wire for wire, ours in EXCHANGE_FROM_WIRE.items()}
_VENUE: Final = {10: "NSE", 11: "MCX", 12: "BSE"}
_INDEX_NAMES: Final = {ours: theirs for theirs, ours in INDEX_SYMBOLS.items()}
_CLOSE: Final = time(15, 30)
_ROWS_PER_CHUNK: Final = 200

_FILES: Final = {
    "NSE_CM": Exchange.NSE,
    "BSE_CM": Exchange.BSE,
    "NSE_FO": Exchange.NFO,
    "BSE_FO": Exchange.BFO,
    "NSE_CD": Exchange.CDS,
    "MCX_COM": Exchange.MCX,
}

_encoder = msgspec.json.Encoder(decimal_format="number")


class Symbols:
    """Finds contracts by ticker; those of the core at once, synthetic ones by a walk."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._known = {ticker(contract): contract for contract in universe.core}

    def find(self, symbol: str) -> Contract | None:
        found = self._known.get(symbol)
        if found is None and ":SYN" in symbol:
            for contract in self._universe.contracts():
                if ticker(contract) == symbol:
                    return self._known.setdefault(symbol, contract)
        return found


def ticker(contract: Contract) -> str:
    """Write the ticker (dossier 9.5)."""
    venue = _VENUE[EXCHANGE_TO_WIRE[contract.exchange][0]]
    if contract.type is InstrumentType.INDEX:
        name = _INDEX_NAMES.get(contract.symbol, contract.symbol.replace(" ", ""))
        return f"{venue}:{name}-INDEX"
    if contract.expiry is None:
        return f"{venue}:{contract.symbol}-{contract.series}"
    start = f"{venue}:{contract.underlying}{contract.expiry:%y}"
    if contract.option_type is None:
        return f"{start}{contract.expiry:%b}".upper() + "FUT"
    day = contract.expiry
    when = f"{'123456789OND'[day.month - 1]}{day:%d}" if contract.weekly else f"{day:%b}".upper()
    return f"{start}{when}{contract.strike}{contract.option_type.value}"


def fy_token(contract: Contract) -> str:
    """Write the token: exchange, segment, expiry, exchange token (dossier 9.5)."""
    exchange, segment = EXCHANGE_TO_WIRE[contract.exchange]
    day = f"{contract.expiry:%y%m%d}" if contract.expiry else "000000"
    return f"{exchange}{segment}{day}{contract.token}"


def instrument_type(contract: Contract) -> int:
    """Number the kind of contract (dossier 9.4)."""
    if contract.type is InstrumentType.INDEX:
        return 10
    if contract.type is InstrumentType.EQ:
        return 0
    if contract.type is InstrumentType.FUT:
        return 11 if contract.on_index else 13
    return 14 if contract.on_index else 15


def master_file(universe: Universe, name: str) -> Iterator[bytes] | None:
    """Stream a master file as JSON or CSV, or None for a name that Fyers does not serve."""
    if name.endswith("_sym_master.json"):
        exchange = _FILES.get(name.removesuffix("_sym_master.json"))
        return None if exchange is None else _json_file(universe, exchange)
    exchange = _FILES.get(name.removesuffix(".csv")) if name.endswith(".csv") else None
    return None if exchange is None else _csv_file(universe, exchange)


def _json_file(universe: Universe, exchange: Exchange) -> Iterator[bytes]:
    rows: list[bytes] = []
    lead = b"{"
    for contract in universe.contracts(exchange):
        row = _json_row(contract, universe)
        rows.append(_encoder.encode(row["symTicker"]) + b":" + _encoder.encode(row))
        if len(rows) == _ROWS_PER_CHUNK:
            yield lead + b",".join(rows)
            lead = b","
            rows.clear()
    yield (lead + b",".join(rows) if rows or lead == b"{" else b"") + b"}"


def _csv_file(universe: Universe, exchange: Exchange) -> Iterator[bytes]:
    rows: list[str] = []
    for contract in universe.contracts(exchange):
        rows.append(",".join(_csv_row(contract, universe)) + "\n")
        if len(rows) == _ROWS_PER_CHUNK:
            yield "".join(rows).encode()
            rows.clear()
    yield "".join(rows).encode()


def _json_row(contract: Contract, universe: Universe) -> dict[str, Any]:
    exchange, segment = EXCHANGE_TO_WIRE[contract.exchange]
    is_cash = contract.type is InstrumentType.EQ
    details = _details(contract)
    return {
        "fyToken": fy_token(contract),
        "isin": contract.isin or "",
        "exSymbol": _exchange_symbol(contract),
        "symDetails": details,
        "symTicker": ticker(contract),
        "exchange": exchange,
        "segment": segment,
        "exchangeName": _VENUE[exchange],
        "exToken": contract.token,
        "exSymName": _exchange_symbol(contract) if is_cash else details,
        "exSeries": contract.series if is_cash else "XX",
        "exInstType": instrument_type(contract),
        "symbolDesc": details,
        "optType": contract.option_type.value if contract.option_type else "XX",
        "strikePrice": contract.strike * Decimal("1.0") if contract.strike else Decimal("-1.0"),
        "expiryDate": _expiry(contract),
        "originalExpDate": None,
        "underSym": contract.underlying or _exchange_symbol(contract),
        "underFyTok": _underlying_token(contract, universe),
        "minLotSize": 0 if contract.type is InstrumentType.INDEX else contract.lot_size,
        "qtyMultiplier": 1.0,
        "tickSize": contract.tick_size,
        "qtyFreeze": str(contract.freeze_quantity) if contract.freeze_quantity else "",
        "tradeStatus": 1,
        "upperPrice": contract.upper_price,
        "lowerPrice": contract.lower_price,
        "previousClose": contract.price,
        "previousOi": 0.0,
        "faceValue": 0.0,
        "currencyCode": "INR",
        "asmGsmVal": "",
        "is_mtf_tradable": 0,
        "mtf_margin": 0.0,
        "stream": "Group 1",
        "lastUpdate": f"{universe.today:%Y-%m-%d}",
        "tradingSession": "0915-1530|1815-1915:",
    }


def _csv_row(contract: Contract, universe: Universe) -> list[str]:
    exchange, segment = EXCHANGE_TO_WIRE[contract.exchange]
    return [
        fy_token(contract),
        _details(contract),
        str(instrument_type(contract)),
        "0" if contract.type is InstrumentType.INDEX else str(contract.lot_size),
        str(contract.tick_size),
        contract.isin or "",
        "0915-1530|1815-1915:",
        f"{universe.today:%Y-%m-%d}",
        _expiry(contract),
        ticker(contract),
        str(exchange),
        str(segment),
        str(contract.token),
        contract.underlying or _exchange_symbol(contract),
        str(contract.underlying_token or contract.token),
        f"{contract.strike}.0" if contract.strike else "-1.0",
        contract.option_type.value if contract.option_type else "XX",
        _underlying_token(contract, universe),
        "None",
        "0",
        "0.0",
    ]


def _exchange_symbol(contract: Contract) -> str:
    return contract.symbol if contract.type is InstrumentType.EQ else contract.underlying or ""


def _details(contract: Contract) -> str:
    if contract.type is InstrumentType.INDEX:
        return ticker(contract).partition(":")[2]
    if contract.expiry is None:
        return contract.name
    day = f"{contract.underlying} {contract.expiry:%d %b %y}"
    if contract.option_type is None:
        return f"{day} FUT"
    return f"{day} {contract.strike} {contract.option_type.value}"


def _expiry(contract: Contract) -> str:
    if contract.expiry is None:
        return ""
    return str(int(datetime.combine(contract.expiry, _CLOSE, IST).timestamp()))


def _underlying_token(contract: Contract, universe: Universe) -> str:
    if contract.underlying_token is None:
        return fy_token(contract)
    cash = Exchange.BSE if contract.exchange is Exchange.BFO else Exchange.NSE
    underlying = universe.by_token(cash, contract.underlying_token)
    return fy_token(underlying) if underlying else ""

"""The simulated security master: InvestRight's codes for the shared market, and its CSV."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from adapters.sdk.models import Exchange, InstrumentType
from adapters.sdk.simulator import Contract, Universe

HEADER = (
    "exchange,security_id,instrument_segment,expiry_date,strike_price,option_type,lot_size,"
    "tick_size,close_price,exch_security_id,symbol_name,underline_symbol,open_price"
)

_SHARE_CODES = {
    "SBIN": "STABANEQNR",
    "RELIANCE": "RELINDEQNR",
    "INFY": "INFTECEQNR",
    "TCS": "TATCONEQNR",
    "HDFCBANK": "HDFBANEQNR",
    "IDEA": "IDECELEQNR",
    "M&M": "MAHMAHEQNR",
    "BAJAJ-AUTO": "BAAUTOEQNR",
    "ACC": "ACCLTDEQNR",
    "WIPRO": "WIPLTDEQNR",
}
# Canonical index name to InvestRight's code and symbol_name.
_INDEX_CODES = {
    "NIFTY 50": ("NIFTYEQEQNR", "NIFTY"),
    "NIFTY BANK": ("BANKNIFTEQNR", "BANKNIFTY"),
    "NIFTY FIN SERVICE": ("FINNIFTYEQ", "FINNIFTY"),
    "INDIA VIX": ("INDIAVIXEQ", "INDIA VIX"),
    "SENSEX": ("SENSEXEQ", "SENSEX"),
    "BANKEX": ("BANKEXEQ", "BANKEX"),
}
_ROOT_CODES = {root: code for code, root in _INDEX_CODES.values()}
_CODE_TO_SYMBOL = {code: symbol for symbol, code in _SHARE_CODES.items()} | {
    code: symbol for symbol, (code, _) in _INDEX_CODES.items()
}
_SYNTHETIC_SUFFIX = "EQNR"
_CANONICAL = {
    "NSE": (Exchange.NSE, Exchange.NFO),
    "BSE": (Exchange.BSE, Exchange.BFO),
}
# What the real file has besides tradable contracts: a share's name on bonds, funds without a
# token, underlyings, and the segments whose order unit is unproven.
_OTHER_ROWS = (
    "NSE,SBIN900101,EQUITY,,,,1,1,10450.00,901010,SBIN,,0",
    "NSE,SBINBONDNR,EQUITY,,,,1,1,10321.50,901011,SBIN,,0",
    "BSE,IIF863NBNR,EQUITY,,,,1,1,1118.25,961796,863IIFCL28,,0",
    "NSE,LIQUIDFUND,EQUITY,,,,999999999,1,0,901012,LIQFUND,,0",
    "BSE,NCDWITHOUT,EQUITY,,,,1,1,0,DUMMY4711,NCDWITHOUT,,0",
    "NSE,CNX100EQ,EQUITY,,,,1,5,25000,26012,,,25010",
    "NSE,1273,FUTCUR,2027-10-27,-.0000001,XX,1,.0025,108.1675,1273,EURINR,EURINR,0",
    # Its token is SBIN's as well: tokens are unique within a segment only.
    "NSE,3045,FUTCUR,2027-10-27,-.0000001,XX,1,.0025,88.4025,3045,USDINR,USDINR,0",
    "NSE,6506,OPTCUR,2027-10-27,126.25,PE,1,.0025,0,6506,GBPINR,GBPINR,0",
    "NSE,USDINR,UNDCUR,,,,1,.0025,0,1,USDINR,,0",
    "MCX,575691,FUTCOM,2027-12-03,0,XX,1,100,98450.00,575691,GOLD,GOLD,0",
    "MCX,575385,OPTFUT,2027-12-03,244000,CE,5,50,0,575385,SILVERM,SILVERM,0",
    "MCX,GOLD,COM,,,,1,100,0,2,GOLD,,0",
)


def other_price(segment_code: str, token: str) -> Decimal | None:
    """Return the price of a currency or commodity row, asked for by its segment's code (8.1)."""
    return _OTHER_PRICES.get((segment_code, token))


def parent_exchange(contract: Contract) -> str:
    """Name the exchange as orders do: derivatives belong to their parent."""
    return "BSE" if contract.exchange in (Exchange.BSE, Exchange.BFO) else "NSE"


def segment(contract: Contract) -> str:
    """Return `instrument_segment`."""
    if not contract.is_derivative:
        return "EQUITY"
    kind = "FUT" if contract.type is InstrumentType.FUT else "OPT"
    return kind + ("IDX" if contract.on_index else "STK")


def security_id(contract: Contract) -> str:
    """Return the code that orders name a contract by."""
    if contract.is_derivative:
        return f"B{contract.token}" if contract.exchange is Exchange.BFO else str(contract.token)
    if contract.type is InstrumentType.INDEX:
        return _INDEX_CODES[contract.symbol][0]
    return _SHARE_CODES.get(contract.symbol) or f"{contract.token}{_SYNTHETIC_SUFFIX}"


def underlying_code(contract: Contract) -> str:
    """Return the code of a derivative's underlying, as orders want it; empty for cash."""
    root = contract.underlying
    if not contract.is_derivative or root is None:
        return ""
    known = _ROOT_CODES.get(root) or _SHARE_CODES.get(root)
    return known or f"{contract.underlying_token}{_SYNTHETIC_SUFFIX}"


def find(universe: Universe, exchange: str, code: str, wanted_segment: str) -> Contract | None:
    """Find the contract of an order, or None when the three do not belong together."""
    for canonical in _CANONICAL.get(exchange, ()):
        contract = _by_code(universe, canonical, code)
        if contract is None or segment(contract) != wanted_segment:
            continue
        if security_id(contract) == code:
            return contract
    return None


def csv_rows(universe: Universe) -> Iterator[bytes]:
    """Write the master in the real file's form, a few hundred rows at a time."""
    lines = [HEADER, *_OTHER_ROWS]
    for contract in universe.contracts(Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO):
        lines.append(_line(contract))
        if len(lines) >= 500:
            yield ("\n".join(lines) + "\n").encode()
            lines.clear()
    yield ("\n".join(lines) + "\n").encode() if lines else b""


def _other_prices() -> dict[tuple[str, str], Decimal]:
    prices: dict[tuple[str, str], Decimal] = {}
    for line in _OTHER_ROWS:
        exchange, _, kind, *_, close, token, _, _, _ = line.split(",")
        code = "CDS" if kind in ("FUTCUR", "OPTCUR") else exchange if exchange == "MCX" else ""
        if code and Decimal(close):
            prices[code, token] = Decimal(close)
    return prices


_OTHER_PRICES = _other_prices()


def _by_code(universe: Universe, exchange: Exchange, code: str) -> Contract | None:
    if exchange in (Exchange.NFO, Exchange.BFO):
        digits = code.removeprefix("B") if exchange is Exchange.BFO else code
        return universe.by_token(exchange, int(digits)) if digits.isdigit() else None
    symbol = _CODE_TO_SYMBOL.get(code)
    if symbol is not None:
        return universe.by_instrument(f"{exchange}:{symbol}")
    digits = code.removesuffix(_SYNTHETIC_SUFFIX)
    return universe.by_token(exchange, int(digits)) if digits.isdigit() else None


def _line(contract: Contract) -> str:
    return ",".join(
        (
            parent_exchange(contract),
            security_id(contract),
            segment(contract),
            f"{contract.expiry:%Y-%m-%d}" if contract.expiry else "",
            _strike(contract),
            _option_type(contract),
            str(contract.lot_size),
            _tick(contract.tick_size),
            str(contract.price),
            str(contract.token),
            _symbol_name(contract),
            underlying_code(contract),
            "0" if contract.is_derivative else str(contract.price),
        )
    )


def _strike(contract: Contract) -> str:
    if contract.type is InstrumentType.FUT:
        return "-.01"
    return "" if contract.strike is None else str(contract.strike)


def _option_type(contract: Contract) -> str:
    if contract.type is InstrumentType.FUT:
        return "XX"
    return contract.option_type.value if contract.option_type else ""


def _tick(tick: Decimal) -> str:
    paise = tick * 100
    if paise == paise.to_integral_value():
        return str(int(paise))
    return f"{tick:f}".lstrip("0")


def _symbol_name(contract: Contract) -> str:
    if contract.type is InstrumentType.INDEX:
        return _INDEX_CODES[contract.symbol][1]
    if contract.is_derivative:
        return contract.underlying or ""
    # The real file leaves the name of many BSE rows blank, to be borrowed from NSE's row.
    is_blank = contract.exchange is Exchange.BSE and contract.token % 2 == 1
    return "" if is_blank and contract.symbol in _SHARE_CODES else contract.symbol

"""The synthetic market that every simulator shares: contracts in our terms, no broker's format.

Tokens, ISINs and series of the cash rows are the exchanges' own; prices are made up. Expiries
are counted from `today` (Tuesdays on NSE, Thursdays on BSE; holidays are ignored). A universe
of N rows adds synthetic contracts, each a pure function of its number, so that a large
instrument master is streamed and still every row of it can be traded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache

import msgspec

from adapters.sdk.models import Exchange, InstrumentType, OptionType
from adapters.sdk.simulator import expiries

_TICK = Decimal("0.05")


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One contract.

    `symbol` is canonical (`SBIN`, `NIFTY 50`, `NIFTY29DEC26FUT`). `token` is the exchange's
    number, unique within `exchange` only. `series` is `EQ` on NSE cash, a group letter on BSE,
    empty elsewhere. `price` is the opening reference price in rupees. `weekly` marks an option
    whose expiry is not its month's last. `underlying` is the derivatives' root (`NIFTY`,
    `SBIN`); on an index it is the root of its derivatives.
    """

    exchange: Exchange
    symbol: str
    name: str
    token: int
    type: InstrumentType
    lot_size: int
    tick_size: Decimal
    price: Decimal
    series: str = ""
    isin: str | None = None
    freeze_quantity: int | None = None
    underlying: str | None = None
    underlying_token: int | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: OptionType | None = None
    weekly: bool = False

    @property
    def instrument(self) -> str:
        return f"{self.exchange.value}:{self.symbol}"

    @property
    def key(self) -> tuple[Exchange, int]:
        return self.exchange, self.token

    @property
    def is_tradable(self) -> bool:
        return self.type is not InstrumentType.INDEX

    @property
    def is_derivative(self) -> bool:
        return self.type in (InstrumentType.FUT, InstrumentType.OPT)

    @property
    def on_index(self) -> bool:
        """Whether this is an index derivative (FUTIDX, OPTIDX)."""
        return self.is_derivative and self.underlying in _INDEX_ROOTS

    @property
    def lower_price(self) -> Decimal:
        """The lower circuit: 20 % under the opening price, one tick at least."""
        if self.type is InstrumentType.OPT:
            return self.tick_size
        return max(self.tick_size, self._on_tick(self.price * Decimal("0.8")))

    @property
    def upper_price(self) -> Decimal:
        """The upper circuit: 20 % over the opening price (options: 20 times)."""
        factor = Decimal(20) if self.type is InstrumentType.OPT else Decimal("1.2")
        return self._on_tick(self.price * factor)

    def _on_tick(self, price: Decimal) -> Decimal:
        return (price // self.tick_size) * self.tick_size


class Universe:
    """All contracts of one day, found by token or by canonical id.

    `rows`: at least this many contracts, the rest synthetic (`SYN00001` shares and their
    options); they are generated on every walk and never kept.
    """

    def __init__(self, today: date, *, rows: int = 0) -> None:
        self.today = today
        self.core: tuple[Contract, ...] = _core(today)
        self._synthetic_count = max(0, min(rows, _MOST_ROWS) - len(self.core))
        self._synthetic_expiries = expiries.monthly(today, 3, expiries.TUESDAY)
        self._by_key = {contract.key: contract for contract in self.core}
        self._by_instrument = {contract.instrument: contract for contract in self.core}

    def __len__(self) -> int:
        return len(self.core) + self._synthetic_count

    def contracts(self, *exchanges: Exchange) -> Iterator[Contract]:
        """Walk every contract of these exchanges (of all when none is named), core first."""
        wanted = frozenset(exchanges) or frozenset(Exchange)
        for contract in self.core:
            if contract.exchange in wanted:
                yield contract
        for number in range(self._synthetic_count):
            if _synthetic_exchange(number) in wanted:
                yield _synthetic(number, self._synthetic_expiries)

    def by_token(self, exchange: Exchange, token: int) -> Contract | None:
        """Find a contract by its exchange token."""
        found = self._by_key.get((exchange, token))
        if found is not None:
            return found
        number = token - _SYNTHETIC_TOKENS.get(exchange, token + 1)
        if 0 <= number < self._synthetic_count and _synthetic_exchange(number) is exchange:
            return _synthetic(number, self._synthetic_expiries)
        return None

    def by_instrument(self, instrument: str) -> Contract | None:
        """Find a contract by its canonical id."""
        found = self._by_instrument.get(instrument)
        block = instrument.partition(":SYN")[2][:5]
        if found is not None or not block.isdecimal():
            return found
        first = (int(block) - 1) * _SYNTHETIC_BLOCK
        for number in range(max(0, first), min(first + _SYNTHETIC_BLOCK, self._synthetic_count)):
            contract = _synthetic(number, self._synthetic_expiries)
            if contract.instrument == instrument:
                return contract
        return None


_MOST_ROWS = 600_000
_INDEX_ROOTS = frozenset({"NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "BANKEX"})

# symbol, name, NSE token, BSE token, ISIN, price, tick, F&O lot (0: none)
_SHARES: tuple[tuple[str, str, int, int, str, str, str, int], ...] = (
    ("SBIN", "STATE BANK OF INDIA", 3045, 500112, "INE062A01020", "812.00", "0.05", 750),
    ("RELIANCE", "RELIANCE INDUSTRIES LTD", 2885, 500325, "INE002A01018", "1402.50", "0.10", 500),
    ("INFY", "INFOSYS LIMITED", 1594, 500209, "INE009A01021", "1498.00", "0.10", 400),
    ("TCS", "TATA CONSULTANCY SERV LT", 11536, 532540, "INE467B01029", "3105.00", "0.10", 175),
    ("HDFCBANK", "HDFC BANK LTD", 1333, 500180, "INE040A01034", "998.50", "0.05", 550),
    ("IDEA", "VODAFONE IDEA LIMITED", 14366, 532822, "INE669E01016", "8.12", "0.01", 0),
    ("M&M", "MAHINDRA & MAHINDRA LTD", 2031, 500520, "INE101A01026", "3602.00", "0.10", 200),
    ("BAJAJ-AUTO", "BAJAJ AUTO LIMITED", 16669, 532977, "INE917I01010", "8905.00", "0.50", 0),
    ("ACC", "ACC LIMITED", 22, 500410, "INE012A01025", "1850.00", "0.10", 0),
    ("WIPRO", "WIPRO LTD", 3787, 507685, "INE075A01022", "246.50", "0.01", 0),
)

# exchange, symbol, token, root of its derivatives, price
_INDICES: tuple[tuple[Exchange, str, int, str | None, str], ...] = (
    (Exchange.NSE, "NIFTY 50", 26000, "NIFTY", "26050.00"),
    (Exchange.NSE, "NIFTY BANK", 26009, "BANKNIFTY", "58900.00"),
    (Exchange.NSE, "NIFTY FIN SERVICE", 26037, "FINNIFTY", "27400.00"),
    (Exchange.NSE, "INDIA VIX", 26017, None, "13.10"),
    (Exchange.BSE, "SENSEX", 51, "SENSEX", "85200.00"),
    (Exchange.BSE, "BANKEX", 69, "BANKEX", "66100.00"),
)


class _Chain(msgspec.Struct, frozen=True):
    root: str
    underlying_token: int
    exchange: Exchange
    lot_size: int
    freeze_quantity: int
    spot: Decimal
    step: int
    half_width: int
    weekday: int
    weeklies: int
    months: int = 3


_CHAINS: tuple[_Chain, ...] = (
    _Chain("NIFTY", 26000, Exchange.NFO, 65, 1800, Decimal(26050), 50, 10, expiries.TUESDAY, 5),
    _Chain("BANKNIFTY", 26009, Exchange.NFO, 30, 600, Decimal(58900), 100, 8, expiries.TUESDAY, 0),
    _Chain("SENSEX", 51, Exchange.BFO, 20, 1000, Decimal(85200), 100, 8, expiries.THURSDAY, 4),
    *(
        _Chain(
            symbol, token, Exchange.NFO, lot, lot * 40, Decimal(price), 10, 4, expiries.TUESDAY, 0
        )
        for symbol, _, token, _, _, price, _, lot in _SHARES
        if lot
    ),
)


@lru_cache(maxsize=4)
def _core(today: date) -> tuple[Contract, ...]:
    return tuple(_walk_core(today))


def _walk_core(today: date) -> Iterator[Contract]:
    for exchange, symbol, token, root, price in _INDICES:
        yield Contract(
            exchange=exchange,
            symbol=symbol,
            name=symbol,
            token=token,
            type=InstrumentType.INDEX,
            lot_size=1,
            tick_size=_TICK,
            price=Decimal(price),
            underlying=root,
        )
    for symbol, name, nse_token, bse_token, isin, price, tick, _ in _SHARES:
        for exchange, token, series in (
            (Exchange.NSE, nse_token, "EQ"),
            (Exchange.BSE, bse_token, "A"),
        ):
            yield Contract(
                exchange=exchange,
                symbol=symbol,
                name=name,
                token=token,
                type=InstrumentType.EQ,
                lot_size=1,
                tick_size=Decimal(tick),
                price=Decimal(price),
                series=series,
                isin=isin,
            )
    next_token = {Exchange.NFO: 35001, Exchange.BFO: 810001}
    for chain in _CHAINS:
        for contract in _derivatives(chain, today, next_token[chain.exchange]):
            next_token[chain.exchange] += 1
            yield contract


def _derivatives(chain: _Chain, today: date, first_token: int) -> Iterator[Contract]:
    monthlies = expiries.monthly(today, chain.months, chain.weekday)
    weeklies = expiries.weekly(today, chain.weeklies, chain.weekday)
    token = first_token
    for expiry in monthlies:
        yield _future(chain, expiry, token)
        token += 1
    at_the_money = int(chain.spot // chain.step) * chain.step
    for expiry in sorted({*monthlies, *weeklies}):
        for offset in range(-chain.half_width, chain.half_width + 1):
            for option_type in OptionType:
                strike = Decimal(at_the_money + offset * chain.step)
                weekly = not expiries.is_monthly(expiry, chain.weekday)
                yield _option(chain, expiry, strike, option_type, token, weekly=weekly)
                token += 1


def _future(chain: _Chain, expiry: date, token: int) -> Contract:
    return Contract(
        exchange=chain.exchange,
        symbol=f"{chain.root}{_day(expiry)}FUT",
        name=f"{chain.root} {_day(expiry)} FUT",
        token=token,
        type=InstrumentType.FUT,
        lot_size=chain.lot_size,
        tick_size=Decimal("0.10"),
        price=chain.spot + chain.step,
        freeze_quantity=chain.freeze_quantity,
        underlying=chain.root,
        underlying_token=chain.underlying_token,
        expiry=expiry,
    )


def _option(
    chain: _Chain,
    expiry: date,
    strike: Decimal,
    option_type: OptionType,
    token: int,
    *,
    weekly: bool,
) -> Contract:
    inside = chain.spot - strike if option_type is OptionType.CE else strike - chain.spot
    return Contract(
        exchange=chain.exchange,
        symbol=f"{chain.root}{_day(expiry)}{strike}{option_type.value}",
        name=f"{chain.root} {_day(expiry)} {strike} {option_type.value}",
        token=token,
        type=InstrumentType.OPT,
        lot_size=chain.lot_size,
        tick_size=_TICK,
        # Intrinsic value plus two strike steps of time value: never zero, cheap to reason about.
        price=max(inside, Decimal(0)) + 2 * chain.step,
        freeze_quantity=chain.freeze_quantity,
        underlying=chain.root,
        underlying_token=chain.underlying_token,
        expiry=expiry,
        strike=strike,
        option_type=option_type,
        weekly=weekly,
    )


def _day(expiry: date) -> str:
    return expiries.compact(expiry)


# First token of each exchange's synthetic rows, clear of the real ones above and of the bands
# by which a broker's file tells indices apart (HDFC: NSE 26000-26999, BSE under 1000).
_SYNTHETIC_TOKENS = {Exchange.NSE: 200_000, Exchange.BSE: 200_000, Exchange.NFO: 200_000}
_SYNTHETIC_BLOCK = 200


def _synthetic_exchange(number: int) -> Exchange:
    place = number % _SYNTHETIC_BLOCK
    if place == 0:
        return Exchange.NSE
    return Exchange.BSE if place == 1 else Exchange.NFO


def _synthetic(number: int, months: list[date]) -> Contract:
    """Make row `number`: blocks of a share on NSE and BSE, its futures and a strip of options."""
    block, place = divmod(number, _SYNTHETIC_BLOCK)
    root = f"SYN{block + 1:05d}"
    exchange = _synthetic_exchange(number)
    token = _SYNTHETIC_TOKENS[exchange] + number
    spot = Decimal(100 + (block * 37) % 2900)
    if place < 2:
        return Contract(
            exchange=exchange,
            symbol=root,
            name=f"SYNTHETIC {block + 1} LTD",
            token=token,
            type=InstrumentType.EQ,
            lot_size=1,
            tick_size=_TICK,
            price=spot,
            series="EQ" if place == 0 else "B",
            isin=f"INE{block:06d}01{block % 10}",
        )
    share_token = _SYNTHETIC_TOKENS[Exchange.NSE] + block * _SYNTHETIC_BLOCK
    chain = _Chain(root, share_token, Exchange.NFO, 500, 20_000, spot, 5, 0, expiries.TUESDAY, 0)
    if place < 2 + len(months):
        return _future(chain, months[place - 2], token)
    strip, option = divmod(place - 2 - len(months), 2)
    month, step = strip % len(months), strip // len(months)
    strike = spot + step * 5
    return _option(chain, months[month], strike, tuple(OptionType)[option], token, weekly=False)

"""Instrument masters: search, one contract, expiry days, how old the copies are, fetch again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeVar

import msgspec

from adapters.sdk.models import Exchange, InstrumentType, OptionType
from gateway.api.reads import invalid
from gateway.api.routing import Answer, Call, Route
from gateway.instruments import InstrumentService, MarkedExpiry
from gateway.instruments.expiries import WORDS, chosen
from gateway.orders.problems import Problem
from gateway.orders.times import ist, now_us
from gateway.secrets.api_keys import Scope
from gateway.store.instruments import AmbiguousInstrument, Listed, MasterChanges, Wanted
from gateway.store.master_terms import Series

E = TypeVar("E", bound=Enum)

_LIMIT = 20
_MOST = 500
_LONGEST_QUERY = 100


class InstrumentView(msgspec.Struct, kw_only=True):
    """A contract as all brokers see it, and each one's own codes.

    `disagreements`: what brokers say differently about its lot, tick or freeze quantity, by
    field and broker. The field itself then shows the first broker's word.
    """

    instrument: str
    exchange: Exchange
    symbol: str
    name: str
    type: InstrumentType
    underlying: str | None
    expiry: date | None
    strike: Decimal | None
    option_type: OptionType | None
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None
    isin: str | None
    brokers: dict[str, dict[str, str]]
    disagreements: dict[str, dict[str, str]]


class InstrumentList(msgspec.Struct):
    instruments: list[InstrumentView]


class ExpiryList(msgspec.Struct, kw_only=True):
    underlying: str
    expiries: list[MarkedExpiry]


class MasterView(msgspec.Struct, kw_only=True):
    """One broker's copy. `stale`: of an earlier trading morning than the newest."""

    broker: str
    rows: int
    loaded_at: datetime
    age_s: int
    stale: bool


class MasterStatus(MasterView, kw_only=True):
    changes: MasterChanges | None


class MasterList(msgspec.Struct):
    masters: list[MasterStatus]


class RefreshRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`brokers` None: all. `accept_fewer`: also a master that lost many rows."""

    brokers: list[str] | None = None
    accept_fewer: bool = False


_decode_refresh = msgspec.json.Decoder(RefreshRequest)


class InstrumentRoutes:
    """`is_stale` says of a time, in microseconds, whether a copy of then is stale."""

    def __init__(self, instruments: InstrumentService, is_stale: Callable[[int], bool]) -> None:
        self._instruments = instruments
        self._is_stale = is_stale

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/instruments",
                scope=Scope.READ,
                handler=self.search,
                summary="Contracts by typed text and by what they are, best match first",
                tag="instruments",
                response=InstrumentList,
                query={
                    "query": "words of symbol or name, an ISIN, or the beginning of any of them",
                    "exchange": "one of NSE BSE NFO BFO CDS BCD MCX",
                    "type": "one of EQ INDEX FUT OPT",
                    "underlying": "of futures and options, such as NIFTY or SBIN",
                    "expiry": "YYYY-MM-DD; nearest, next or monthly, with an underlying",
                    "strike": "of options",
                    "option_type": "CE or PE",
                    "limit": f"how many, {_LIMIT} by default, {_MOST} at most",
                },
            ),
            Route(
                method="GET",
                path="/v1/instruments/masters",
                scope=Scope.READ,
                handler=self.masters,
                summary="How old each broker's master is, and what changed in it",
                tag="instruments",
                response=MasterList,
            ),
            Route(
                method="GET",
                path="/v1/instruments/{id}",
                scope=Scope.READ,
                handler=self.instrument,
                summary="One contract, with every broker's own codes",
                tag="instruments",
                response=InstrumentView,
                refusals=(409,),
            ),
            Route(
                method="GET",
                path="/v1/expiries",
                scope=Scope.READ,
                handler=self.expiries,
                summary="Expiry days of an underlying that are not over",
                tag="instruments",
                response=ExpiryList,
                refusals=(404,),
                query={
                    "underlying": "such as NIFTY or SBIN; required",
                    "type": "FUT or OPT",
                    "exchange": "one of NFO BFO CDS BCD MCX",
                },
            ),
            Route(
                method="POST",
                path="/v1/instruments/refresh",
                scope=Scope.OPERATE,
                handler=self.refresh,
                summary="Fetch the brokers' instrument masters again",
                tag="instruments",
                request=RefreshRequest,
                query={"brokers": "only these, separated by commas"},
            ),
        ]

    async def search(self, call: Call) -> Answer:
        typed = call.query.get("query", "").strip()
        if len(typed) > _LONGEST_QUERY:
            raise invalid("query", f"may have {_LONGEST_QUERY} characters at most")
        if typed and not any(letter.isalnum() for letter in typed):
            raise invalid("query", "must have a letter or a digit")
        wanted = Wanted(
            query=typed,
            exchange=_choice(call, "exchange", Exchange),
            type=_choice(call, "type", InstrumentType),
            underlying=_root(call),
            strike=_strike(call),
            option_type=_choice(call, "option_type", OptionType),
        )
        prefix, colon, rest = typed.rpartition(":")
        if colon and wanted.exchange is None and prefix.upper() in set(Exchange):
            wanted = msgspec.structs.replace(wanted, query=rest, exchange=Exchange(prefix.upper()))
        wanted = await self._with_expiry(call, wanted)
        found = await self._instruments.search(wanted, _limit(call))
        return Answer(body=InstrumentList([instrument_view(listed) for listed in found]))

    async def _with_expiry(self, call: Call, wanted: Wanted) -> Wanted:
        written = call.query.get("expiry", "").strip().lower()
        if not written:
            return wanted
        if written not in WORDS:
            try:
                day = date.fromisoformat(written)
            except ValueError:
                message = f"must be YYYY-MM-DD or one of {', '.join(WORDS)}"
                raise invalid("expiry", message) from None
            return msgspec.structs.replace(wanted, expiry=day)
        if wanted.underlying is None:
            raise invalid("expiry", f"can only be {written} together with an underlying")
        rows = await self._instruments.expiries(wanted.underlying)
        series = tuple(
            Series(row.exchange, row.type, row.expiry)
            for row in chosen(rows, written)
            if wanted.exchange in (None, row.exchange) and wanted.type in (None, row.type)
        )
        return msgspec.structs.replace(wanted, series=series)

    async def instrument(self, call: Call) -> Answer:
        name = call.params["id"]
        listed = await self._instruments.find_everywhere(name)
        today = ist(now_us()).date()
        expiry = next(iter(listed.values())).expiry if listed else None
        if expiry is not None and expiry < today:
            raise Problem(404, "instrument_unknown", f"{name} expired on {expiry.isoformat()}")
        if listed:
            return Answer(body=instrument_view(listed))
        try:
            await self._instruments.assert_not_ambiguous(name)
        except AmbiguousInstrument as error:
            raise Problem(409, "instrument_ambiguous", str(error)) from error
        near = await self._instruments.suggest(name)
        detail = f"no instrument master has {name!r}; "
        detail += (
            f"did you mean {', '.join(near)}?"
            if near
            else "ids look like NSE:SBIN or NFO:NIFTY30DEC25FUT"
        )
        raise Problem(404, "instrument_unknown", detail, extra={"did_you_mean": near})

    async def expiries(self, call: Call) -> Answer:
        underlying = _root(call)
        if underlying is None:
            raise invalid("underlying", "is required, such as NIFTY")
        kind = _choice(call, "type", InstrumentType)
        if kind is not None and kind not in (InstrumentType.FUT, InstrumentType.OPT):
            raise invalid("type", f"must be FUT or OPT: {kind.value} never expires")
        exchange = _choice(call, "exchange", Exchange)
        rows = await self._instruments.expiries(underlying)
        if not rows:
            near = await self._instruments.roots_like(underlying)
            detail = f"no instrument master has futures or options on {underlying!r}"
            detail += f"; did you mean {', '.join(near)}?" if near else ""
            raise Problem(404, "instrument_unknown", detail, extra={"did_you_mean": near})
        rows = [
            row for row in rows if kind in (None, row.type) and exchange in (None, row.exchange)
        ]
        return Answer(body=ExpiryList(underlying=underlying, expiries=rows))

    async def masters(self, call: Call) -> Answer:
        short = await self.by_broker()
        rows = [
            MasterStatus(changes=info.changes, **msgspec.structs.asdict(short[info.broker]))
            for info in await self._instruments.info()
            if info.broker in short
        ]
        return Answer(body=MasterList(rows))

    async def by_broker(self) -> dict[str, MasterView]:
        """Every broker's copy in short, as accounts show it."""
        now = now_us()
        return {
            info.broker: MasterView(
                broker=info.broker,
                rows=info.rows,
                loaded_at=ist(info.loaded_us),
                age_s=max(0, (now - info.loaded_us) // 1_000_000),
                stale=self._is_stale(info.loaded_us),
            )
            for info in await self._instruments.info()
        }

    async def refresh(self, call: Call) -> Answer:
        request = call.decode(_decode_refresh) if call.body else RefreshRequest()
        listed = call.query.get("brokers")
        brokers = request.brokers or (listed.split(",") if listed else None)
        masters = await self._instruments.refresh(brokers, accept_fewer=request.accept_fewer)
        return Answer(body={"masters": masters})


def instrument_view(listed: Listed) -> InstrumentView:
    """Show a contract once: what the brokers agree on, where they differ, each one's codes."""
    first = next(iter(listed.values()))
    return InstrumentView(
        instrument=first.instrument,
        exchange=first.exchange,
        symbol=first.symbol,
        name=_longest(item.name for item in listed.values()),
        type=first.type,
        underlying=first.underlying,
        expiry=first.expiry,
        strike=first.strike,
        option_type=first.option_type,
        lot_size=first.lot_size,
        tick_size=first.tick_size,
        freeze_quantity=next(
            (item.freeze_quantity for item in listed.values() if item.freeze_quantity), None
        ),
        isin=next((item.isin for item in listed.values() if item.isin), None),
        brokers={broker: item.codes for broker, item in listed.items()},
        disagreements=_disagreements(listed),
    )


def _disagreements(listed: Listed) -> dict[str, dict[str, str]]:
    """What differs between brokers; one that says nothing of a field disagrees with nobody."""
    differing = {}
    for field in ("lot_size", "tick_size", "freeze_quantity"):
        said = {broker: getattr(item, field) for broker, item in listed.items()}
        known = {broker: value for broker, value in said.items() if value is not None}
        if len(set(known.values())) > 1:
            differing[field] = {broker: str(value) for broker, value in known.items()}
    return differing


def _longest(names: Iterable[str]) -> str:
    return max(names, key=len)


def _choice(call: Call, field: str, choices: type[E]) -> E | None:
    written = call.query.get(field, "").strip()
    if not written:
        return None
    try:
        return choices(written.upper())
    except ValueError:
        known = ", ".join(str(each.value) for each in choices)
        raise invalid(field, f"must be one of {known}") from None


def _root(call: Call) -> str | None:
    return call.query.get("underlying", "").rpartition(":")[2].strip().upper() or None


def _strike(call: Call) -> Decimal | None:
    written = call.query.get("strike", "").strip()
    if not written:
        return None
    try:
        strike = Decimal(written)
    except InvalidOperation:
        strike = Decimal("NaN")
    if not strike.is_finite() or not 0 < strike < 10**9:
        raise invalid("strike", "must be a price above zero, such as 24000")
    return strike


def _limit(call: Call) -> int:
    written = call.query.get("limit", "").strip()
    if not written:
        return _LIMIT
    if not written.isascii() or not written.isdigit() or not 1 <= int(written[:9]) <= _MOST:
        raise invalid("limit", f"must be a whole number from 1 to {_MOST}")
    return int(written)

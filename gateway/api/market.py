"""Quotes, market depth and candles, from the account named or from the best there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.interface import Feature
from adapters.sdk.models import BrokerDepth, BrokerQuote, DepthLevel, Instrument, Interval
from gateway.api.reads import invalid
from gateway.api.routing import Answer, Call, Handler, Route
from gateway.books.reader import NotRead, reason_of, session_of
from gateway.books.rows import money, price
from gateway.market.candles import CandleDesk
from gateway.market.quotes import Find, OnExpired, QuoteDesk, listing
from gateway.market.sources import Sources
from gateway.orchestrator.account import Account
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.times import IST, now_us, rfc3339, to_us
from gateway.secrets.api_keys import Scope

T = TypeVar("T")
MOST_INSTRUMENTS = 200
# So that no answer has much more than 50,000 candles.
MOST_DAYS = {
    Interval.M1: 130,
    Interval.M3: 400,
    Interval.M5: 650,
    Interval.M10: 1300,
    Interval.M15: 2000,
    Interval.M30: 4000,
    Interval.H1: 8000,
    Interval.D1: 20000,
}
_ACCOUNT = {"account": "whose data to take; the best account that the key may see"}


class QuoteRow(msgspec.Struct, kw_only=True):
    instrument: str
    last_price: Decimal
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: int | None
    bid_price: Decimal | None
    bid_quantity: int | None
    ask_price: Decimal | None
    ask_quantity: int | None
    open_interest: int | None
    as_of: str | None
    account: str


class QuoteError(msgspec.Struct):
    instrument: str
    reason: Reason


class Quotes(msgspec.Struct):
    quotes: list[QuoteRow]
    errors: list[QuoteError]


class Level(msgspec.Struct):
    price: Decimal
    quantity: int
    orders: int | None


class Depth(msgspec.Struct, kw_only=True):
    instrument: str
    bids: list[Level]
    asks: list[Level]
    as_of: str | None
    account: str


class CandleRow(msgspec.Struct):
    at: str | None
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None
    open_interest: int | None


class Candles(msgspec.Struct, kw_only=True):
    instrument: str
    interval: Interval
    candles: list[CandleRow]
    account: str


class MarketRoutes:
    def __init__(
        self,
        sources: Sources,
        quotes: QuoteDesk,
        candles: CandleDesk,
        find: Find,
        on_expired: OnExpired,
    ) -> None:
        self._sources = sources
        self._quotes = quotes
        self._candles = candles
        self._find = find
        self._on_expired = on_expired

    def routes(self) -> list[Route]:
        return [
            _route(
                "/v1/quotes",
                self.quotes,
                "Prices of instruments",
                Quotes,
                {"instruments": f"ids, separated by commas; {MOST_INSTRUMENTS} at most"},
            ),
            _route(
                "/v1/depth",
                self.depth,
                "The best prices of both sides",
                Depth,
                {"instrument": "an id"},
            ),
            _route(
                "/v1/candles",
                self.candles,
                "Open, high, low and close over time",
                Candles,
                {
                    "instrument": "an id",
                    "interval": ", ".join(Interval),
                    "from": "a day, YYYY-MM-DD, or a time with an offset",
                    "to": "the same, included; now",
                },
            ),
        ]

    async def quotes(self, call: Call) -> Answer:
        names = [part.strip() for part in call.query.get("instruments", "").split(",")]
        names = list(dict.fromkeys(filter(None, names)))
        if not names:
            raise invalid("instruments", "is required; give ids separated by commas")
        if len(names) > MOST_INSTRUMENTS:
            raise invalid(
                "instruments", f"names {len(names)}; ask for {MOST_INSTRUMENTS} at most in one call"
            )
        found: dict[str, QuoteRow] = {}
        errors: dict[str, Reason] = {}
        try:
            sources = self._asked(call, Feature.QUOTES)
        except NotRead as error:
            sources, errors = [], dict.fromkeys(names, error.reason)
        for account in sources:
            rest = [name for name in names if name not in found]
            if not rest:
                break
            for name, answer in (await self._quotes.read(account, rest)).items():
                if isinstance(answer, BrokerQuote):
                    found[name] = _quote(answer, account)
                elif name not in errors or answer.code is not ReasonCode.INSTRUMENT_UNKNOWN:
                    errors[name] = answer
        return Answer(
            body=Quotes(
                [found[name] for name in names if name in found],
                [QuoteError(name, errors[name]) for name in names if name not in found],
            )
        )

    async def depth(self, call: Call) -> Answer:
        name = _required(call, "instrument")

        async def one(account: Account) -> Depth:
            contract = await listing(self._find, account, name)
            if isinstance(contract, Reason):
                raise NotRead(contract)
            return _depth(await self._depth(account, contract), account)

        return Answer(body=await self._first(call, Feature.DEPTH, one))

    async def candles(self, call: Call) -> Answer:
        name, text = _required(call, "instrument"), _required(call, "interval")
        try:
            interval = Interval(text)
        except ValueError as error:
            raise invalid("interval", f"must be one of {', '.join(Interval)}") from error
        start = _time(call, "from", _required(call, "from"), last=False)
        to = call.query.get("to")
        now = datetime.now(IST)
        end = _time(call, "to", to, last=True) if to else now
        if start > end:
            raise invalid("from", "is after to" if to else "is in the future")
        if min(end, now) - start > timedelta(days=MOST_DAYS[interval]):
            raise invalid("from", f"is too early: {MOST_DAYS[interval]} days of {interval} at most")

        async def one(account: Account) -> Candles:
            rows = await self._candles.read(account, name, interval, start, end)
            return Candles(
                instrument=name,
                interval=interval,
                account=account.id,
                candles=[
                    CandleRow(
                        rfc3339(to_us(row.at)),
                        money(row.open),
                        money(row.high),
                        money(row.low),
                        money(row.close),
                        row.volume,
                        row.open_interest,
                    )
                    for row in rows
                ],
            )

        return Answer(body=await self._first(call, Feature.CANDLES, one))

    def _asked(self, call: Call, feature: Feature) -> list[Account]:
        """The accounts to ask, in turn. Raises `NotRead`; `Problem` for an unknown account."""
        name = call.query.get("account")
        if name is None:
            return self._sources.best(feature, call.who.allows)
        account = self._sources.get(name)
        if account is None or not call.who.allows(name):
            raise invalid("account", f"{name!r} is not known; GET /v1/accounts lists them")
        return self._sources.named(account, feature)

    async def _first(
        self, call: Call, feature: Feature, one: Callable[[Account], Awaitable[T]]
    ) -> T:
        """The answer of the first account that gives one."""
        failed: Reason | None = None
        try:
            for account in self._asked(call, feature):
                try:
                    return await one(account)
                except NotRead as error:
                    # What another broker does not list says less than that this one failed.
                    if failed is None or error.reason.code is not ReasonCode.INSTRUMENT_UNKNOWN:
                        failed = error.reason
        except NotRead as error:
            failed = error.reason
        assert failed is not None  # noqa: S101
        raise _problem(failed)

    async def _depth(self, account: Account, contract: Instrument) -> BrokerDepth:
        try:
            depth = await account.calls.depth(session_of(account, now_us()), contract)
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_expired(account, error)
            raise NotRead(reason_of(error)) from error
        if depth is None:
            message = f"{account.id} has no depth of {contract.instrument}"
            raise NotRead(
                Reason(code=ReasonCode.PRICE_UNAVAILABLE, message=message, retryable=True)
            )
        return depth


def _route(
    path: str, handler: Handler, summary: str, response: type, query: dict[str, str]
) -> Route:
    return Route(
        method="GET",
        path=path,
        scope=Scope.READ,
        handler=handler,
        summary=summary,
        tag="market",
        response=response,
        query=query | _ACCOUNT,
    )


def _problem(reason: Reason) -> Problem:
    if reason.code is ReasonCode.INSTRUMENT_UNKNOWN:
        return invalid("instrument", f"is not known: {reason.message}")
    if reason.code is ReasonCode.NOT_SUPPORTED:
        return Problem(422, "not_supported", reason.message)
    return Problem(503, "broker_unavailable", reason.message, extra={"reason": reason})


def _required(call: Call, field: str) -> str:
    value = call.query.get(field, "").strip()
    if not value:
        raise invalid(field, "is required")
    return value


def _time(call: Call, field: str, text: str, *, last: bool) -> datetime:
    """Read a day or a time; a day as `to` is meant to its end."""
    # A plus that was not escaped arrives as a space.
    text = text.strip().replace(" ", "+")
    try:
        if len(text) == 10:
            day = datetime.combine(date.fromisoformat(text), time(), IST)
            return day + timedelta(days=1, microseconds=-1) if last else day
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and at.year > 1970:
            return at.astimezone(IST)
    except (ValueError, OverflowError):
        pass
    raise invalid(field, f"{text!r} is no day (YYYY-MM-DD) and no time with an offset (RFC 3339)")


def _quote(quote: BrokerQuote, account: Account) -> QuoteRow:
    return QuoteRow(
        instrument=quote.instrument,
        last_price=money(quote.last_price),
        open=price(quote.open),
        high=price(quote.high),
        low=price(quote.low),
        close=price(quote.close),
        volume=quote.volume,
        bid_price=price(quote.bid_price),
        bid_quantity=quote.bid_quantity,
        ask_price=price(quote.ask_price),
        ask_quantity=quote.ask_quantity,
        open_interest=quote.open_interest,
        as_of=rfc3339(to_us(quote.as_of)),
        account=account.id,
    )


def _depth(depth: BrokerDepth, account: Account) -> Depth:
    def levels(side: list[DepthLevel]) -> list[Level]:
        return [Level(money(item.price), item.quantity, item.orders) for item in side]

    return Depth(
        instrument=depth.instrument,
        bids=levels(list(depth.bids)),
        asks=levels(list(depth.asks)),
        as_of=rfc3339(to_us(depth.as_of)),
        account=account.id,
    )

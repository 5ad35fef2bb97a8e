"""When the exchanges trade: how things stand now, and which days are holidays."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, time
from typing import Any

import msgspec

from adapters.sdk.models import Exchange
from gateway.api.etags import assert_unchanged, etag
from gateway.api.problems import wrong_field
from gateway.api.routing import Answer, Call, Route
from gateway.calendar import BadDays, Days, Status
from gateway.calendar.owner import CalendarFile
from gateway.orders.problems import Problem
from gateway.orders.times import IST, now_us, rfc3339
from gateway.secrets.api_keys import Scope
from gateway.store import Store


class MarketStatus(msgspec.Struct):
    """`at`: for when this is."""

    at: str | None
    exchanges: list[Status]


class HolidayView(msgspec.Struct, kw_only=True):
    date: date
    name: str
    exchanges: list[Exchange]


class SpecialView(msgspec.Struct, kw_only=True):
    date: date
    name: str
    open: time
    close: time
    exchanges: list[Exchange]


class Holidays(msgspec.Struct, kw_only=True):
    """Known `from` to `until`; `problem`: why the owner's own file is not used, if he has one."""

    source: str
    from_: date = msgspec.field(name="from")
    until: date
    holidays: list[HolidayView]
    special_sessions: list[SpecialView]
    problem: str | None


class CalendarRoutes:
    def __init__(self, days: CalendarFile, store: Store) -> None:
        self._days = days
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/market/status",
                scope=Scope.READ,
                handler=self.status,
                summary="Which exchanges trade now, and when they open next",
                tag="market",
                response=MarketStatus,
            ),
            Route(
                method="GET",
                path="/v1/market/holidays",
                scope=Scope.READ,
                handler=self.holidays,
                summary="Holidays and special sessions that are known",
                tag="market",
                response=Holidays,
                query={"year": "only this year", "exchange": "only those of this exchange"},
            ),
            Route(
                method="PUT",
                path="/v1/market/holidays",
                scope=Scope.OPERATE,
                handler=self.replace,
                summary="Put a newer list of holidays in the place of the known ones",
                tag="market",
                request=dict[str, Any],
                response=Holidays,
                refusals=(412,),
            ),
        ]

    async def status(self, call: Call) -> Answer:
        at_us = now_us()
        at = datetime.fromtimestamp(at_us / 1_000_000, IST)
        calendar = self._days.calendar
        return Answer(
            body=MarketStatus(
                rfc3339(at_us), [calendar.status(exchange, at) for exchange in Exchange]
            )
        )

    async def holidays(self, call: Call) -> Answer:
        year, exchange = _year(call.query.get("year")), _exchange(call.query.get("exchange"))
        days = self._days.calendar.days
        if year is not None and not days.from_.year <= year <= days.until.year:
            raise wrong_field(
                "year",
                f"{year} is not known: the list goes from {days.from_} to {days.until}",
            )
        return Answer(body=self._view(days, year, exchange), headers=self._etag())

    async def replace(self, call: Call) -> Answer:
        call.assert_all_accounts("the list of holidays")
        async with self._one_at_a_time:
            assert_unchanged(call, self._view(self._days.calendar.days, None, None))
            try:
                days = await asyncio.to_thread(self._days.replace, call.body)
            except BadDays as error:
                raise wrong_field("body", str(error)) from error
            except OSError as error:
                raise Problem(
                    503, "not_kept", f"the list cannot be written to the data directory: {error}"
                ) from error
        body = {
            "event": "holidays_replaced",
            "actor": call.who.actor(),
            "source": days.source,
            "from": days.from_,
            "until": days.until,
            "holidays": len(days.holidays),
        }
        await self._store.audit("calendar", body)
        return Answer(body=self._view(days, None, None), headers=self._etag())

    def _etag(self) -> list[tuple[bytes, bytes]]:
        """Of the whole list, whatever part of it was asked for: it is put as a whole."""
        return etag(self._view(self._days.calendar.days, None, None))

    def _view(self, days: Days, year: int | None, exchange: Exchange | None) -> Holidays:
        def wanted(day: date, exchanges: frozenset[Exchange]) -> bool:
            return year in (None, day.year) and (exchange is None or exchange in exchanges)

        return Holidays(
            source=days.source,
            from_=days.from_,
            until=days.until,
            holidays=[
                HolidayView(date=row.date, name=row.name, exchanges=sorted(row.exchanges))
                for row in sorted(days.holidays, key=lambda row: row.date)
                if wanted(row.date, row.exchanges)
            ],
            special_sessions=[
                SpecialView(
                    date=row.date,
                    name=row.name,
                    open=row.open,
                    close=row.close,
                    exchanges=sorted(row.exchanges),
                )
                for row in sorted(days.special_sessions, key=lambda row: row.date)
                if wanted(row.date, row.exchanges)
            ],
            problem=self._days.problem,
        )


def _year(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isdecimal() and len(text) == 4):
        raise wrong_field("year", "must be four digits, as 2026")
    return int(text)


def _exchange(text: str | None) -> Exchange | None:
    if not text:
        return None
    if text not in Exchange.__members__:
        raise wrong_field("exchange", f"must be one of {', '.join(Exchange)}")
    return Exchange(text)

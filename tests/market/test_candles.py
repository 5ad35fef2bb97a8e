"""What is kept of candles, by a clock of the test's own and a broker that counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import apsw
import pytest

from adapters.sdk.errors import BadAnswer
from adapters.sdk.models import Candle, Exchange, Instrument, InstrumentType, Interval, Session
from adapters.sdk.simulator.candles import candles as made
from adapters.sdk.simulator.universe import Universe
from gateway.books.reader import NotRead
from gateway.calendar import Calendar
from gateway.calendar.owner import CalendarFile
from gateway.market.candles import CandleDesk
from gateway.orders.times import IST, to_us
from gateway.store.candles import CandleStore

SBIN = "NSE:SBIN"
CONTRACT = Instrument(
    instrument=SBIN,
    exchange=Exchange.NSE,
    symbol="SBIN",
    name="SBIN",
    type=InstrumentType.EQ,
    lot_size=1,
    tick_size=Decimal("0.05"),
    codes={},
)
# A Tuesday on which the exchange trades, as it did the day before.
NOON = datetime(2026, 7, 14, 12, 0, 30, tzinfo=IST)


class Broker:
    """An account whose broker makes its candles from the same minutes as every simulator."""

    id, broker = "one", "one"

    def __init__(self) -> None:
        self.now = NOON
        self.asked: list[tuple[datetime, datetime]] = []
        self.fails = False
        self.calls = self
        self.session = Session(
            token="t", client_id="c", logged_in_at=NOON, expires_at=datetime(2100, 1, 1, tzinfo=UTC)
        )
        self.plugin = SimpleNamespace(
            title="One",
            capabilities=SimpleNamespace(candle_days={Interval.M5: 10, Interval.D1: 100}),
        )
        self._contract = Universe(date(2026, 7, 14)).by_instrument(SBIN)

    async def candles(self, session, instrument, interval, start, end) -> list[Candle]:
        self.asked.append((start, end))
        await asyncio.sleep(0)
        if self.fails:
            raise BadAnswer("no")
        return made(self._contract, interval, start, end, self.now)

    def clock(self) -> int:
        return to_us(self.now)


async def find(broker: str, name: str) -> Instrument | None:
    return CONTRACT


@pytest.fixture
def calendar(tmp_path) -> Calendar:
    return CalendarFile(tmp_path).calendar


@pytest.fixture
def store(tmp_path):
    store = CandleStore(tmp_path / "candles.db")
    yield store
    store.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def desk(store, broker, calendar) -> CandleDesk:
    return CandleDesk(store, find, lambda *_: None, calendar, clock=broker.clock)


async def read(desk, broker, start, *, end=None, interval=Interval.M5):
    return await desk.read(broker, SBIN, interval, start, end or broker.now)


def today(hour: int, minute: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute, second=0)


async def test_the_unfinished_candle_is_asked_for_again_and_the_finished_ones_are_not(desk, broker):
    first = await read(desk, broker, today(9))
    broker.now += timedelta(minutes=3)
    second = await read(desk, broker, today(9))

    assert first[-1].at == second[-1].at == today(12)
    assert second[-1].volume > first[-1].volume
    assert second[:-1] == first[:-1]
    assert broker.asked[0][0] == today(9)
    assert today(11, 50) < broker.asked[1][0] <= today(12)


async def test_a_candle_that_ended_only_just_is_not_kept_as_final(desk, broker):
    await read(desk, broker, today(9))
    await read(desk, broker, today(9))

    # The one of 11:55 ended half a minute before the answer.
    assert broker.asked[1][0] <= today(11, 55)


async def test_a_day_is_not_final_before_it_is_over(desk, broker):
    start = NOON - timedelta(days=20)
    first = await read(desk, broker, start, interval=Interval.D1)
    broker.now += timedelta(hours=2)
    second = await read(desk, broker, start, interval=Interval.D1)

    assert second[-1].at == today(0)
    assert second[-1].volume > first[-1].volume
    assert [ask[0] >= today(0) for ask in broker.asked] == [False, True, True]


async def test_no_call_asks_for_earlier_days_and_today_or_for_too_many(desk, broker):
    await read(desk, broker, NOON - timedelta(days=25))

    for start, end in broker.asked:
        assert end - start < timedelta(days=10)
        assert start >= today(0) or end < today(0)


async def test_weekends_and_holidays_are_not_asked_for_again(desk, broker):
    broker.now = datetime(2026, 7, 19, 18, 0, tzinfo=IST)
    for _ in range(3):
        await read(desk, broker, broker.now - timedelta(days=5))

    assert len(broker.asked) == 1


async def test_after_the_close_the_day_is_asked_for_once_more_at_most(desk, broker):
    broker.now = NOON.replace(hour=17)
    for _ in range(3):
        rows = await read(desk, broker, today(9))

    assert len(broker.asked) == 1
    assert rows[-1].at == today(15, 25)


async def test_what_a_broker_shows_late_is_asked_for_again(desk, broker):
    broker.now = NOON.replace(hour=17)
    real, broker._contract = broker._contract, None
    broker.candles, whole = no_candles(broker), broker.candles
    await read(desk, broker, today(9))
    broker.candles, broker._contract = whole, real

    assert len(await read(desk, broker, today(9))) == 75


def no_candles(broker):
    async def none(*_):
        return []

    return none


async def test_what_failed_is_not_remembered_as_read(desk, broker):
    broker.fails = True
    with pytest.raises(NotRead):
        await read(desk, broker, today(9))
    broker.fails = False

    assert len(await read(desk, broker, today(9))) == 34


async def test_what_was_kept_for_a_week_is_asked_for_again(desk, broker):
    span = {"end": NOON - timedelta(days=4), "interval": Interval.D1}
    start = NOON - timedelta(days=20)
    await read(desk, broker, start, **span)
    broker.now += timedelta(days=6)
    await read(desk, broker, start, **span)
    assert len(broker.asked) == 1
    broker.now += timedelta(days=2)
    await read(desk, broker, start, **span)
    assert len(broker.asked) == 2


async def test_the_cache_is_bounded(tmp_path, broker, calendar):
    store = CandleStore(tmp_path / "small.db", most=100)
    desk = CandleDesk(store, find, lambda *_: None, calendar, clock=broker.clock)
    span = {"end": NOON - timedelta(days=4)}
    for name in ("NSE:A", "NSE:B", "NSE:C"):
        await desk.read(broker, name, Interval.M5, NOON - timedelta(days=5), span["end"])
    store.close()

    connection = apsw.Connection(str(tmp_path / "small.db"))
    assert connection.execute("SELECT count(*) FROM candles").get <= 100
    connection.close()


async def test_a_file_that_is_no_database_is_begun_anew(tmp_path, broker, calendar):
    path = tmp_path / "broken.db"
    path.write_bytes(b"no database " * 1000)
    store = CandleStore(path)
    desk = CandleDesk(store, find, lambda *_: None, calendar, clock=broker.clock)

    assert await read(desk, broker, today(9))
    store.close()

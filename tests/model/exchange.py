"""A broker in memory whose every answer is decided beforehand, and an adapter that speaks to it.

What it does with an order and what it says of it are two things: `Fate` names the pair. An order
that exists was created here once, with the time from which the book shows it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from adapters.sdk.errors import (
    BadAnswer,
    LoginExpired,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
    Refused,
)
from adapters.sdk.interface import (
    AdapterContext,
    AdapterPlugin,
    Capabilities,
    SendGate,
    TagEcho,
)
from adapters.sdk.models import (
    BrokerOrder,
    BrokerOrderState,
    BrokerTrade,
    CancelRequested,
    Exchange,
    Instrument,
    InstrumentType,
    Modified,
    ModifyOrder,
    OrderRef,
    OrderType,
    Placed,
    PlaceOrder,
    Product,
    Session,
    Side,
    Validity,
)
from gateway.orders.times import IST

_CONNECT_S = 0.02
_LATENCY_S = 0.05
_TIMEOUT_S = 10.0
# As at every broker, an order that was taken shows in the book well inside the horizon.
LATE_S = 25.0


class Fate(StrEnum):
    """What becomes of a place, and what the gateway is told."""

    PLACED = "placed"
    SLOW = "slow"
    REJECTED_LATER = "rejected_later"
    REFUSED = "refused"
    CONNECTS_SLOWLY = "connects_slowly"
    RECONNECTS = "reconnects"
    NOT_CONNECTED = "not_connected"
    NOT_WRITTEN = "not_written"
    LOST = "lost"
    LOST_AND_LATE = "lost_and_late"
    TIMED_OUT = "timed_out"
    DROPPED = "dropped"
    BAD_ANSWER = "bad_answer"
    EXPIRED_NOTHING = "expired_nothing"
    EXPIRED_YET_TAKEN = "expired_yet_taken"


_TAKEN = frozenset(set(Fate) - {Fate.REFUSED, Fate.DROPPED, Fate.EXPIRED_NOTHING})


class Made(msgspec.Struct, kw_only=True):
    """One order at the exchange. `tag` None: placed elsewhere. `held_back`: it came in earlier."""

    broker_order_id: str
    tag: int | None
    instrument: str
    side: Side
    order_type: OrderType
    product: Product
    quantity: int
    price: Decimal | None
    at: datetime
    shows_at: float
    state: BrokerOrderState = BrokerOrderState.OPEN
    filled: int = 0
    held_back: bool = False


class FakeBroker:
    """One account's exchange. It outlives the gateway's crashes; `on_made` sees every creation."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        on_made: Callable[[str, Made], None],
        *,
        echoes: bool,
    ) -> None:
        self.name = name
        self.echoes = echoes
        self.made: list[Made] = []
        self.fates: deque[Fate] = deque()
        self.bad_reads: deque[str] = deque()
        self.token = 0
        self._loop = loop
        self._on_made = on_made
        self._epoch = loop.time()

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 10, tzinfo=IST) + timedelta(
            seconds=self._loop.time() - self._epoch
        )

    def make(
        self, order: PlaceOrder, *, lag_s: float, rejects: bool = False, held_back: bool = False
    ) -> Made:
        made = Made(
            broker_order_id=f"{self.name}-{len(self.made) + 1}",
            tag=order.broker_tag,
            instrument=order.instrument.instrument,
            side=order.side,
            order_type=order.order_type,
            product=order.product,
            quantity=order.quantity,
            price=order.price,
            at=self.now(),
            shows_at=self._loop.time() + lag_s,
            state=BrokerOrderState.REJECTED if rejects else BrokerOrderState.OPEN,
            held_back=held_back,
        )
        self.made.append(made)
        self._on_made(self.name, made)
        return made

    def make_later(self, order: PlaceOrder, after_s: float) -> None:
        """Take an order whose sender was told nothing; it happens whoever lives then."""
        self._loop.call_later(after_s, lambda: self.make(order, lag_s=0.5, held_back=True))

    def visible(self) -> list[Made]:
        return [made for made in self.made if made.shows_at <= self._loop.time()]


class FakeAdapter:
    """One account at a `FakeBroker`."""

    def __init__(self, broker: FakeBroker, capabilities: Capabilities) -> None:
        self._broker = broker
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def close(self) -> None:
        return None

    async def begin_login(self, credentials: Mapping[str, str]) -> Session:
        broker = self._broker
        far = datetime(2099, 1, 1, tzinfo=IST)
        return Session(
            token=str(broker.token),
            client_id=broker.name,
            logged_in_at=broker.now(),
            expires_at=far,
        )

    async def prove_session(self, session: Session) -> str:
        self._assert_live(session)
        return self._broker.name

    async def logout(self, session: Session) -> None:
        return None

    async def warm(self, session: Session) -> None:
        return None

    def is_warm(self) -> bool:
        return True

    def check_order(self, order: PlaceOrder) -> None:
        return None

    def check_modify(self, change: ModifyOrder) -> None:
        return None

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        broker = self._broker
        fate = broker.fates.popleft() if broker.fates else Fate.PLACED
        await asyncio.sleep(_CONNECT_S if fate is Fate.CONNECTS_SLOWLY else 0)
        if fate is Fate.NOT_CONNECTED:
            raise NotSent("refused", phase=Phase.CONNECT)
        await gate.ready()
        if fate is Fate.NOT_WRITTEN:
            raise NotSent("closed before the write", phase=Phase.CONNECT)
        # A connection that died meanwhile is replaced between the two halves of the gate.
        await asyncio.sleep(_CONNECT_S if fate is Fate.RECONNECTS else 0)
        gate.check()
        dead = session.token != str(broker.token)
        if dead and fate not in (Fate.EXPIRED_NOTHING, Fate.EXPIRED_YET_TAKEN):
            fate = Fate.EXPIRED_NOTHING
        made = None
        if fate is Fate.LOST_AND_LATE:
            broker.make_later(order, LATE_S)
        elif fate in _TAKEN:
            lag_s = LATE_S if fate is Fate.LOST else 0.3
            made = broker.make(order, lag_s=lag_s, rejects=fate is Fate.REJECTED_LATER)
        await asyncio.sleep(_TIMEOUT_S if fate is Fate.TIMED_OUT else _LATENCY_S)
        if fate is Fate.SLOW:
            await asyncio.sleep(3.0)
        return self._answer(fate, made)

    def _answer(self, fate: Fate, made: Made | None) -> Placed:
        if fate is Fate.REFUSED:
            raise Refused("no", reason=ReasonCode.BROKER_REJECTED)
        if fate in (Fate.EXPIRED_NOTHING, Fate.EXPIRED_YET_TAKEN):
            raise LoginExpired("dead", created_nothing=fate is Fate.EXPIRED_NOTHING)
        if fate is Fate.BAD_ANSWER:
            raise BadAnswer("<html>", status=502)
        if made is None or fate in (Fate.LOST, Fate.TIMED_OUT, Fate.DROPPED):
            raise OutcomeUnknown("lost", progress=Progress.MAYBE_SENT, phase=Phase.WAIT)
        return Placed(broker_order_id=made.broker_order_id)

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        if gate is not None:
            await gate.ready()
            gate.check()
        self._assert_live(session)
        for made in self._broker.made:
            if made.broker_order_id == ref.broker_order_id and not made.state.is_final:
                made.state = BrokerOrderState.CANCELLED
        await asyncio.sleep(_LATENCY_S)
        return CancelRequested(broker_order_id=ref.broker_order_id)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        raise NotSupported("no modify here")

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the book; what it shows is what stood in it when the read began."""
        rows = [self._row(made) for made in self._broker.visible()]
        await self._read(session)
        return rows

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        await self._read(session)
        for made in self._broker.visible():
            if made.broker_order_id == ref.broker_order_id:
                return self._row(made)
        return None

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        if not self._broker.echoes:
            raise NotSupported("no query by tag")
        await self._read(session)
        return [self._row(made) for made in self._broker.visible() if made.tag == broker_tag]

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        raise NotSupported("no trade book here")

    async def positions(self, session: Session) -> list[Any]:
        raise NotSupported("no positions here")

    async def quotes(self, session: Session, instruments: Any) -> list[Any]:
        raise NotSupported("no quotes here")

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        path = folder / "master"
        path.write_text("")
        return [path]

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        return iter(INSTRUMENTS.values())

    async def _read(self, session: Session) -> None:
        """Spend a read's time, and fail it if that was decided."""
        await asyncio.sleep(_LATENCY_S)
        self._assert_live(session)
        if self._broker.bad_reads:
            words = self._broker.bad_reads.popleft()
            if words == "html":
                raise BadAnswer("<html>", status=200)
            raise OutcomeUnknown(words, progress=Progress.MAYBE_SENT, phase=Phase.WAIT)

    def _assert_live(self, session: Session) -> None:
        if session.token != str(self._broker.token):
            raise LoginExpired("dead token", created_nothing=True)

    def _row(self, made: Made) -> BrokerOrder:
        state = made.state
        if state is BrokerOrderState.OPEN and made.filled:
            state = BrokerOrderState.PARTIALLY_FILLED
        return BrokerOrder(
            broker_order_id=made.broker_order_id,
            state=state,
            raw_state=state.value,
            codes={"code": made.instrument},
            side=made.side,
            order_type=made.order_type,
            product=made.product,
            quantity=made.quantity,
            filled_quantity=made.filled,
            validity=Validity.DAY,
            price=made.price,
            broker_tag=made.tag if self._broker.echoes else None,
            placed_at=made.at,
        )


INSTRUMENTS = {
    name: Instrument(
        instrument=name,
        exchange=Exchange.NSE,
        symbol=name.partition(":")[2],
        name=name,
        type=InstrumentType.EQ,
        lot_size=1,
        tick_size=Decimal("0.05"),
        codes={"code": name},
    )
    for name in ("NSE:SBIN", "NSE:INFY")
}


def plugin(broker: FakeBroker) -> AdapterPlugin:
    """Offer the broker to a gateway. Where the tag does not come back, that must be learned."""
    capabilities = Capabilities(
        hosts={},
        login_kinds=("none",),
        credentials=(),
        tag_echo=TagEcho.QUERYABLE if broker.echoes else TagEcho.UNPROVEN,
        exchanges=frozenset({Exchange.NSE}),
        order_types=frozenset({OrderType.LIMIT}),
        products=frozenset({Product.CNC}),
        validities=frozenset({Validity.DAY}),
    )

    def create(_: AdapterContext) -> FakeAdapter:
        return FakeAdapter(broker, capabilities)

    return AdapterPlugin(
        broker=broker.name, title=broker.name, capabilities=capabilities, create=create
    )

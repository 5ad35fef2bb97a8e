"""One account on the test bench: an adapter, the simulator it talks to, and the means to strike."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar, cast

from adapters.sdk.conformance.rules import Rule, Teaching, broken, require
from adapters.sdk.errors import Denied, GatewayError, NotSupported, ReasonCode
from adapters.sdk.interface import Adapter, AdapterPlugin, Capabilities
from adapters.sdk.models import (
    BrokerOrder,
    Exchange,
    Instrument,
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
from adapters.sdk.simulator import (
    BrokerSimulator,
    CallKind,
    Contract,
    SimOrder,
    SimRequest,
    SimResponse,
)

T = TypeVar("T")

_STOPS = (OrderType.SL, OrderType.SL_M)
_PRICED = (OrderType.LIMIT, OrderType.SL)
_FIRST_TAG = 202611010000001
_SHORTEST_SECRET = 6


class Gate:
    """A send gate that counts, and that may be told to say no."""

    def __init__(self, *, no_at: str = "") -> None:
        self.calls: list[str] = []
        self.no = Denied("the gate is shut", reason=ReasonCode.KILL_SWITCH)
        self._no_at = no_at

    async def ready(self) -> None:
        self._passed("ready")

    def check(self) -> None:
        self._passed("check")

    def _passed(self, name: str) -> None:
        self.calls.append(name)
        if self._no_at == name:
            raise self.no


class Bench:
    """What every test has at hand. `adapter` is logged in unless the test asked for no login."""

    def __init__(
        self,
        plugin: AdapterPlugin,
        simulator: BrokerSimulator,
        make: Callable[[float | None], Adapter],
    ) -> None:
        self.plugin = plugin
        self.simulator = simulator
        self.adapter = cast(Adapter, Teaching(make(None)))
        self.instruments: dict[str, Instrument] = {}
        self._session: Session | None = None
        self._make = make
        self._tags = count(_FIRST_TAG)

    # The account

    @property
    def capabilities(self) -> Capabilities:
        return self.plugin.capabilities

    @property
    def session(self) -> Session:
        if self._session is None:
            raise RuntimeError("this test did not log in")
        return self._session

    @session.setter
    def session(self, session: Session) -> None:
        self._session = session

    @property
    def credentials(self) -> Mapping[str, str]:
        return self.simulator.credentials

    def impatient(self, timeout_s: float = 0.4) -> Adapter:
        """Make a second adapter that waits this long for answers: for those that never come."""
        return cast(Adapter, Teaching(self._make(timeout_s)))

    def fresh(self) -> Adapter:
        """Make a second adapter, which has no connection yet."""
        return cast(Adapter, Teaching(self._make(None)))

    # Orders

    def contract(self, instrument: str) -> Contract:
        """Return the simulated market's contract of a canonical id."""
        found = self.simulator.universe.by_instrument(instrument)
        if found is None:
            raise LookupError(f"the simulated market has no {instrument}")
        return found

    def tradable(self, exchange: Exchange) -> list[Instrument]:
        """Pick contracts of an exchange to trade: a share, or a future, and an option of each."""
        picked: dict[str, Instrument] = {}
        for contract in self.simulator.universe.contracts(exchange):
            if contract.is_tradable and contract.type not in picked:
                listed = self.instruments.get(contract.instrument)
                require(
                    listed,
                    Rule.MASTER,
                    f"{contract.instrument} is traded on the simulated {exchange.value}, which the"
                    " adapter declares, but `read_master` yields no such instrument",
                )
                picked[contract.type] = cast(Instrument, listed)
        require(
            picked,
            Rule.DECLARED,
            f"{exchange.value} is declared, but the simulator trades nothing there: nothing shows"
            " that it works",
        )
        return list(picked.values())

    def order(self, instrument: Instrument | str | None = None, **changes: Any) -> PlaceOrder:
        """Make an order that the broker takes and that rests, unless `changes` say otherwise."""
        if isinstance(instrument, str):
            instrument = self.instruments[instrument]
        candidates = (
            [instrument]
            if instrument is not None
            else [
                one
                for exchange in Exchange
                if exchange in self.capabilities.exchanges
                for one in self.tradable(exchange)
            ]
        )
        refusal: Denied | None = None
        for candidate in candidates:
            for kind in _order_kinds(self.capabilities, changes):
                made = self._made(candidate, {**kind, **changes})
                refusal = self.denial(made)
                if refusal is None:
                    return made
        raise broken(
            Rule.DECLARED, f"the adapter takes no order at all with {changes}: {refusal!r}"
        )

    def order_or_none(self, instrument: Instrument, **fields: Any) -> PlaceOrder | None:
        """Make exactly this order, or None where `check_order` does not take it."""
        made = self._made(instrument, fields)
        return made if self.denial(made) is None else None

    def _made(self, instrument: Instrument, fields: dict[str, Any]) -> PlaceOrder:
        side = fields.setdefault("side", Side.BUY)
        prices = self.prices(instrument, side, fields["order_type"])
        fields = {
            "broker_tag": next(self._tags),
            "quantity": instrument.lot_size,
            **prices,
        } | fields
        return PlaceOrder(instrument=instrument, **fields)

    def prices(
        self, instrument: Instrument, side: Side, order_type: OrderType, *, far: str = "0.05"
    ) -> dict[str, Decimal | None]:
        """Prices at which an order of this type rests: `far` from the market, on the tick."""
        contract = self.contract(instrument.instrument)
        last = self.simulator.engine.price(contract)
        away = Decimal(far) * (1 if side is Side.SELL else -1)
        tick = contract.tick_size

        def at(factor: Decimal) -> Decimal:
            price = max(last * factor // tick, Decimal(1)) * tick
            return min(max(price, contract.lower_price), contract.upper_price)

        if order_type not in _STOPS:
            return {"price": at(1 + away) if order_type in _PRICED else None, "trigger_price": None}
        # A stop waits on the other side of the market, its limit a little beyond its trigger.
        limit = at(1 - away * Decimal("1.2")) if order_type in _PRICED else None
        return {"price": limit, "trigger_price": at(1 - away)}

    def crossing(self, instrument: Instrument, side: Side) -> Decimal:
        """A limit at which an order fills at once."""
        return self.simulator.engine.price(self.contract(instrument.instrument))

    def denial(self, order: PlaceOrder) -> Denied | None:
        """Return what `check_order` says against an order, or None."""
        try:
            self.adapter.check_order(order)
        except Denied as refusal:
            return refusal
        return None

    async def place(
        self, order: PlaceOrder | None = None, **changes: Any
    ) -> tuple[PlaceOrder, Placed]:
        """Place an order that is meant to succeed."""
        order = self.order(**changes) if order is None else order
        placed = await self.works(
            f"{order.side} {order.quantity} {order.instrument.instrument} {order.product}"
            f" {order.order_type} {order.validity} at {order.price}, {order.trigger_price}",
            lambda: self.adapter.place_order(self.session, order, Gate()),
        )
        return order, placed

    async def row(self, broker_order_id: str) -> BrokerOrder:
        """Read one order from the book, where it has to be."""
        book = await self.adapter.order_book(self.session)
        rows = [row for row in book if row.broker_order_id == broker_order_id]
        require(
            len(rows) == 1,
            Rule.WHOLE,
            f"order {broker_order_id} stands {len(rows)} times in `order_book`, not once",
        )
        return rows[0]

    @property
    def ledger(self) -> list[SimOrder]:
        """Every order that the simulated exchange accepted: the truth."""
        return self.simulator.engine.orders

    def sent(self, *kinds: CallKind) -> int:
        """Count the requests of these kinds that the simulator read; all without a kind."""
        calls = getattr(self.simulator, "calls", None)
        if calls is None:
            return 0
        return sum(number for kind, number in calls.items() if not kinds or kind in kinds)

    # Striking

    def strike(
        self, call: str, action: str, *, count: int | None = 1, skip: int = 0, **params: Any
    ) -> None:
        """Let something go wrong with the next call of a kind (see `adapters.sdk.simulator`)."""
        self.simulator.faults.add(
            [{"call": call, "action": action, "count": count, "skip": skip, "params": params}]
        )

    def answer(
        self, kind: CallKind, response: Callable[[], SimResponse], *, accepted: bool
    ) -> None:
        """Answer every call of a kind with this instead, its handler run before or not at all."""
        simulator, handle = self.simulator, self.simulator.handle

        def answered(request: SimRequest) -> SimResponse:
            if request.kind is not kind:
                return handle(request)
            if accepted:
                handle(request)
            return response()

        vars(simulator)["handle"] = answered

    def heal(self) -> None:
        """Take every fault and every replaced answer back."""
        self.simulator.faults.clear()
        vars(self.simulator).pop("handle", None)

    # Expectations

    @contextlib.contextmanager
    def unsent(self, what: str) -> Iterator[None]:
        """Let nothing reach the broker inside this block."""
        before = self.sent()
        yield
        require(
            self.sent() == before,
            Rule.DECLARED,
            f"{what} sent {self.sent() - before} request(s) to the broker; it must send none",
        )

    async def works(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a declared call answers, which must not fail here."""
        try:
            return await call()
        except GatewayError as error:
            said = f" ({error.broker_message})" if error.broker_message else ""
            raise broken(
                Rule.DECLARED, f"{what} is declared, but it raises {error!r}{said}"
            ) from error

    async def refuses(self, what: str, call: Callable[[], Any]) -> None:
        """Require `NotSupported` from an awaitable call, with nothing sent."""
        with self.unsent(what):
            try:
                got = await call()
            except NotSupported as refusal:
                require(refusal.message, Rule.DECLARED, f"{what} raises NotSupported without words")
                return
            except GatewayError as error:
                raise broken(
                    Rule.DECLARED, f"{what} is not declared and raises {error!r}"
                ) from error
        raise broken(Rule.DECLARED, f"{what} is not declared, but answers {got!r}: declare it")

    def kept_to_the_documents(self) -> None:
        """Require that the simulator counted no violation."""
        counted = getattr(self.simulator, "violations", {})
        told = ", ".join(f"{kind}: {what} ({number})" for (kind, what), number in counted.items())
        require(not counted, Rule.PROTOCOL, f"the simulator counted violations: {told}")

    def keeps_secrets(self, *shown: object) -> None:
        """Require that no secret stands in what these say of themselves."""
        for one in shown:
            texts = [repr(one), str(one)]
            if isinstance(one, BaseException):
                texts += traceback.format_exception(one)
            for name, secret in self.secrets().items():
                require(
                    not any(secret in text for text in texts),
                    Rule.SECRETS,
                    f"the {name} can be read in what {type(one).__name__} shows",
                )

    def secrets(self) -> dict[str, str]:
        """Everything that nobody may read, by name."""
        fields = {field.name for field in self.capabilities.credentials if field.secret}
        found = {name: text for name, text in self.credentials.items() if name in fields}
        if self._session is not None:
            found |= {"session token": self._session.token}
        return {name: text for name, text in found.items() if len(text) >= _SHORTEST_SECRET}


def ref(order: PlaceOrder, broker_order_id: str) -> OrderRef:
    """Name a placed order as the gateway does."""
    return OrderRef(
        broker_order_id=broker_order_id,
        instrument=order.instrument,
        order_type=order.order_type,
        amo=order.amo,
    )


def change_of(order: PlaceOrder, broker_order_id: str, **changes: Any) -> ModifyOrder:
    """Make the change that alters nothing but what is named."""
    fields: dict[str, Any] = {
        "instrument": order.instrument,
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "validity": order.validity,
        "quantity": order.quantity,
        "previous_quantity": order.quantity,
        "filled_quantity": 0,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "disclosed_quantity": order.disclosed_quantity,
        "amo": order.amo,
    }
    return ModifyOrder(broker_order_id=broker_order_id, **{**fields, **changes})


def _order_kinds(
    capabilities: Capabilities, changes: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every declared kind of order, a resting limit order in the plainest product first."""
    for validity in _first(Validity.DAY, capabilities.validities):
        for order_type in _first(OrderType.LIMIT, capabilities.order_types):
            for product in _first(Product.CNC, capabilities.products):
                kind = {"order_type": order_type, "product": product, "validity": validity}
                yield kind | {name: changes[name] for name in kind if name in changes}


def _first(favourite: Any, declared: Any) -> Sequence[Any]:
    return sorted(declared, key=lambda one: (one is not favourite, one))

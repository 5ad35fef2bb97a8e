"""Adapters that are wrong in one way each, for the suite to catch. `CAUGHT_BY` says by which test.

Not collected by itself: `test_kit` runs it where Acme's adapter is installed.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from brokergate_acme import PLUGIN, orders, parse
from brokergate_acme.adapter import AcmeAdapter

from adapters.sdk.conformance import AdapterConformance, Gate
from adapters.sdk.errors import (
    GatewayError,
    NotSent,
    OutcomeUnknown,
    Phase,
    Progress,
    ReasonCode,
    Refused,
)
from adapters.sdk.interface import AdapterContext, Feature, SendGate, Support
from adapters.sdk.models import (
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    Instrument,
    LoginStep,
    OrderRef,
    Placed,
    PlaceOrder,
    Session,
    Validity,
)


class _Suite(AdapterConformance):
    plugin = PLUGIN
    adapter: ClassVar[type[AcmeAdapter]]

    def make_adapter(self, context: AdapterContext) -> AcmeAdapter:
        return self.adapter(context)


class _SendsAgain(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        try:
            return await super().place_order(session, order, gate)
        except OutcomeUnknown:
            return await super().place_order(session, order, gate)


class TestSendsAgain(_Suite):
    adapter = _SendsAgain


class _CallsItRefused(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        try:
            return await super().place_order(session, order, gate)
        except OutcomeUnknown as error:
            raise Refused("no", reason=ReasonCode.BROKER_REJECTED) from error


class TestCallsItRefused(_Suite):
    adapter = _CallsItRefused


class _CallsItNotSent(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        try:
            return await super().place_order(session, order, gate)
        except OutcomeUnknown as error:
            raise NotSent("too slow", phase=Phase.CONNECT) from error


class TestCallsItNotSent(_Suite):
    adapter = _CallsItNotSent


class _TakesAnIdFromNowhere(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        fields = orders.place_fields(order)
        response = await self._client.post_orders(session.token, fields, gate)
        found = parse.answer(response)
        if found.good and isinstance(found.data, dict):
            return Placed(broker_order_id=str(found.data.get("id")))
        return Placed(broker_order_id=parse.order_id(response))


class TestTakesAnIdFromNowhere(_Suite):
    adapter = _TakesAnIdFromNowhere
    unproven_success = ('{"ok":true,"data":{}}',)


class _LeavesTheGateOut(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        await gate.ready()
        return await super().place_order(session, order, Gate())


class TestLeavesTheGateOut(_Suite):
    adapter = _LeavesTheGateOut


class _ShowsAnEmptyBook(AcmeAdapter):
    async def order_book(self, session: Session) -> list[BrokerOrder]:
        try:
            return await super().order_book(session)
        except GatewayError:
            return []


class TestShowsAnEmptyBook(_Suite):
    adapter = _ShowsAnEmptyBook


class _ShowsOnePage(AcmeAdapter):
    async def order_book(self, session: Session) -> list[BrokerOrder]:
        return (await super().order_book(session))[:3]


class TestShowsOnePage(_Suite):
    adapter = _ShowsOnePage


class _SkipsRows(AcmeAdapter):
    async def order_book(self, session: Session) -> list[BrokerOrder]:
        found = []
        for row in parse.rows(await self._client.get_orders(session.token)):
            try:
                found.append(parse.order(row))
            except GatewayError:
                continue
        return found


class TestSkipsRows(_Suite):
    adapter = _SkipsRows


class _TellsItsLog(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        logging.getLogger(__name__).debug("placing with %s", session.token)
        return await super().place_order(session, order, gate)


class TestTellsItsLog(_Suite):
    adapter = _TellsItsLog


class _SendsNonsenseFirst(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        fields = {**orders.place_fields(order), "side": "BUY"}
        await self._client.post_orders(session.token, fields, Gate())
        return await super().place_order(session, order, gate)


class TestSendsNonsenseFirst(_Suite):
    adapter = _SendsNonsenseFirst


class _TellsItsToken(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        try:
            return await super().place_order(session, order, gate)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(
                f"POST /v1/orders with {session.token}",
                progress=Progress.MAYBE_SENT,
                phase=Phase.READ,
            ) from error


class TestTellsItsToken(_Suite):
    adapter = _TellsItsToken


class _TakesAnything(AcmeAdapter):
    def check_order(self, order: PlaceOrder) -> None:
        return None


class TestTakesAnything(_Suite):
    adapter = _TakesAnything


class _LosesTheTag(AcmeAdapter):
    async def order_book(self, session: Session) -> list[BrokerOrder]:
        book = await super().order_book(session)
        return [msgspec.structs.replace(row, broker_tag=None) for row in book]


class TestLosesTheTag(_Suite):
    adapter = _LosesTheTag


class _SendsDayForIoc(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        for_the_day = msgspec.structs.replace(order, validity=Validity.DAY)
        return await super().place_order(session, for_the_day, gate)


class TestSendsDayForIoc(_Suite):
    adapter = _SendsDayForIoc


class _CountsInLots(AcmeAdapter):
    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        lots = order.quantity // order.instrument.lot_size
        sent = msgspec.structs.replace(
            order, instrument=msgspec.structs.replace(order.instrument, lot_size=1), quantity=lots
        )
        return await super().place_order(session, sent, gate)


class TestCountsInLots(_Suite):
    adapter = _CountsInLots


class _ShowsAnotherState(AcmeAdapter):
    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        row = await super().get_order(session, ref)
        return row and msgspec.structs.replace(row, filled_quantity=row.quantity)


class TestShowsAnotherState(_Suite):
    adapter = _ShowsAnotherState


class _ForgetsTheSign(AcmeAdapter):
    async def positions(self, session: Session) -> list[BrokerPosition]:
        found = await super().positions(session)
        return [msgspec.structs.replace(row, quantity=abs(row.quantity)) for row in found]


class TestForgetsTheSign(_Suite):
    adapter = _ForgetsTheSign


class _PricesInFloats(AcmeAdapter):
    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        found = await super().quotes(session, instruments)
        floats: dict[str, Any] = {"last_price": 812.0}
        return {name: msgspec.structs.replace(quote, **floats) for name, quote in found.items()}


class TestPricesInFloats(_Suite):
    adapter = _PricesInFloats


class _QuotesTheFirstBatch(AcmeAdapter):
    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        return await super().quotes(session, instruments[:50])


class TestQuotesTheFirstBatch(_Suite):
    adapter = _QuotesTheFirstBatch


class _KeepsTheMaster(AcmeAdapter):
    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        return iter(list(super().read_master(files)))


class TestKeepsTheMaster(_Suite):
    adapter = _KeepsTheMaster


class _ReadsHalfAMaster(AcmeAdapter):
    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        rows = super().read_master(files)
        for _ in itertools.count():
            try:
                yield next(rows)
            except (StopIteration, ValueError):
                return


class TestReadsHalfAMaster(_Suite):
    adapter = _ReadsHalfAMaster


class _LogsInAgain(AcmeAdapter):
    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        try:
            return await super().begin_login(credentials)
        except OutcomeUnknown:
            return await super().begin_login(credentials)


class TestLogsInAgain(_Suite):
    adapter = _LogsInAgain


class TestDeclaresTooMuch(_Suite):
    adapter = AcmeAdapter
    plugin = msgspec.structs.replace(
        PLUGIN,
        capabilities=msgspec.structs.replace(
            PLUGIN.capabilities,
            features={**PLUGIN.capabilities.features, Feature.MARGINS: Support.SUPPORTED},
        ),
    )


class TestDeclaresTooLittle(_Suite):
    adapter = AcmeAdapter
    plugin = msgspec.structs.replace(
        PLUGIN,
        capabilities=msgspec.structs.replace(
            PLUGIN.capabilities,
            features={
                name: support
                for name, support in PLUGIN.capabilities.features.items()
                if name is not Feature.FUNDS
            },
        ),
    )

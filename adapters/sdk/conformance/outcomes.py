"""What may be said of a write whose answer went astray: the heart of the suite.

For each way in which a write can fail, whether the exchange has it is known here, from the
ledger, and never to the adapter. It may therefore say only what is true in both cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench, Gate, change_of, ref
from adapters.sdk.conformance.losses import LOSSES, NO_ID, Loss
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import (
    GatewayError,
    LoginExpired,
    NotSent,
    OutcomeUnknown,
    Refused,
)
from adapters.sdk.interface import Adapter, Feature
from adapters.sdk.models import PlaceOrder
from adapters.sdk.simulator import CallKind, SimResponse

_JSON = "application/json"
_LIBRARIES = ("urllib3", "niquests")


class OutcomeTests(Setup):
    """Ambiguous outcomes of placing, changing and cancelling."""

    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
    async def test_place_whose_answer_is_lost_is_unknown(self, bench: Bench, loss: Loss) -> None:
        self._can_happen(loss)
        adapter = await _adapter_for(bench, loss)
        order = bench.order()
        gate = Gate()
        bench.strike("place", loss.action, **loss.params)
        error = await _failed(
            f"place_order ({loss.name})", lambda: adapter.place_order(bench.session, order, gate)
        )
        await _ledger_holds(bench, int(loss.taken))
        _is_unknown(f"place_order ({loss.name})", error, taken=loss.taken)
        _left_once(bench, CallKind.PLACE, gate)
        bench.keeps_secrets(error)
        await self._book_tells_the_truth(bench)

    async def test_place_at_a_refused_connection_is_not_sent(self, bench: Bench) -> None:
        self.needs_wire()
        order, gate, adapter = bench.order(), Gate(), bench.fresh()
        bench.strike("any", "refuse", ms=None)
        error = await _failed(
            "place_order (connection refused)",
            lambda: adapter.place_order(bench.session, order, gate),
        )
        bench.heal()
        require(
            isinstance(error, NotSent),
            Rule.EVIDENCE,
            f"no connection could be made, so nothing was sent: NotSent, not {error!r}",
        )
        await _ledger_holds(bench, 0)
        require("check" not in gate.calls, Rule.GATE, "the gate was passed without a connection")
        bench.keeps_secrets(error)

    async def test_place_on_a_connection_that_dies_unheard_never_doubles(
        self, bench: Bench
    ) -> None:
        self.needs_wire()
        for how in ("fin", "rst"):
            bench.simulator.reset()
            await bench.adapter.warm(bench.session)
            bench.strike("any", "close_idle", how=how)
            order, gate = bench.order(), Gate()
            try:
                await bench.adapter.place_order(bench.session, order, gate)
                expected = 1
            except NotSent:
                expected = 0
            except OutcomeUnknown:
                expected = len(bench.ledger)
            require(
                len(bench.ledger) == expected <= 1,
                Rule.ONE_WRITE,
                f"an idle connection was closed ({how}): the ledger holds {len(bench.ledger)}"
                f" order(s) where {expected} follows from what place_order said",
            )

    async def test_place_that_meets_a_reset_on_connect_never_doubles(self, bench: Bench) -> None:
        self.needs_wire()
        bench.strike("any", "close_idle")
        bench.simulator.faults.add(
            [{"call": "any", "action": "reset_before_read", "params": {"on": "connect"}}]
        )
        order, gate = bench.order(), Gate()
        try:
            await bench.adapter.place_order(bench.session, order, gate)
        except (NotSent, OutcomeUnknown) as error:
            if isinstance(error, NotSent):
                await _ledger_holds(bench, 0)
        require(len(bench.ledger) <= 1, Rule.ONE_WRITE, "the ledger holds the order twice")

    @pytest.mark.parametrize("taken", [False, True], ids=["not_taken", "taken"])
    async def test_success_without_an_order_id_is_unknown(self, bench: Bench, taken: bool) -> None:
        self.needs_wire()
        for body in (*NO_ID, *self.unproven_success):
            bench.simulator.reset()
            bench.answer(
                CallKind.PLACE,
                lambda body=body: SimResponse(200, body.encode(), {"content-type": _JSON}),  # type: ignore[misc]
                accepted=taken,
            )
            order, gate = bench.order(), Gate()
            what = f"place_order answered 200 {body}"
            error = await _failed(
                what,
                lambda: bench.adapter.place_order(bench.session, order, gate),  # noqa: B023
            )
            _is_unknown(what, error, taken=taken)
            _left_once(bench, CallKind.PLACE, gate)
            bench.heal()

    @pytest.mark.parametrize("taken", [False, True], ids=["not_taken", "taken"])
    async def test_place_at_the_rate_limit_claims_no_more_than_is_proven(
        self, bench: Bench, taken: bool
    ) -> None:
        self.needs_wire()
        if taken and self.rate_limit_creates_nothing:
            pytest.skip(f"cannot be: {self.rate_limit_creates_nothing}")
        order, gate = bench.order(), Gate()
        bench.strike("place", "rate_limit", accepted=taken)
        error = await _failed(
            "place_order (rate limited)",
            lambda: bench.adapter.place_order(bench.session, order, gate),
        )
        _left_once(bench, CallKind.PLACE, gate)
        if not (isinstance(error, Refused) and self.rate_limit_creates_nothing):
            _is_unknown("place_order (rate limited)", error, taken=taken)
        await _ledger_holds(bench, int(taken))

    @pytest.mark.parametrize("taken", [False, True], ids=["not_taken", "taken"])
    async def test_place_with_a_dead_session_claims_no_more_than_is_proven(
        self, bench: Bench, taken: bool
    ) -> None:
        self.needs_wire()
        if taken and self.dead_session_creates_nothing:
            pytest.skip(f"cannot be: {self.dead_session_creates_nothing}")
        order, gate = bench.order(), Gate()
        bench.strike("place", "session_expired", accepted=taken)
        error = await _failed(
            "place_order (session dead)",
            lambda: bench.adapter.place_order(bench.session, order, gate),
        )
        _left_once(bench, CallKind.PLACE, gate)
        await _ledger_holds(bench, int(taken))
        if isinstance(error, LoginExpired):
            require(
                not error.created_nothing or self.dead_session_creates_nothing,
                Rule.EVIDENCE,
                "LoginExpired says `created_nothing`, and the test module gives no evidence for"
                " that (`dead_session_creates_nothing`)",
            )
        else:
            _is_unknown("place_order (session dead)", error, taken=taken)

    async def test_business_refusal_of_a_place_is_refused_with_the_brokers_words(
        self, bench: Bench
    ) -> None:
        self.needs_wire()
        order, gate = bench.order(), Gate()
        bench.strike("place", "reject", message="Not today please")
        error = await _failed(
            "place_order (refused)", lambda: bench.adapter.place_order(bench.session, order, gate)
        )
        _left_once(bench, CallKind.PLACE, gate)
        require(
            isinstance(error, Refused | OutcomeUnknown),
            Rule.EVIDENCE,
            f"the broker's refusal is Refused where it is on the list, else unknown: {error!r}",
        )
        require(
            "Not today" in f"{error.broker_message} {error.message}",
            Rule.EVIDENCE,
            f"the broker's own words are lost in {error!r}",
        )

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirect_of_a_write_is_not_followed(self, bench: Bench, status: int) -> None:
        self.needs_wire()
        target = f"{bench.simulator.url}/elsewhere"
        bench.answer(
            CallKind.PLACE, lambda: SimResponse(status, b"", {"location": target}), accepted=True
        )
        order, gate = bench.order(), Gate()
        before = bench.sent()
        error = await _failed(
            f"place_order (redirected, {status})",
            lambda: bench.adapter.place_order(bench.session, order, gate),
        )
        require(
            bench.sent() - before == 1,
            Rule.ONE_WRITE,
            f"a redirected order led to {bench.sent() - before} requests, not one",
        )
        _is_unknown(f"place_order (redirected, {status})", error, taken=True)

    @pytest.mark.parametrize("no_at", ["ready", "check"])
    async def test_shut_gate_sends_nothing(self, bench: Bench, no_at: str) -> None:
        order, placed = await bench.place()
        calls = self._writes(bench, bench.adapter, order, placed.broker_order_id)
        before = bench.sent(CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL)
        for name, call in calls.items():
            gate = Gate(no_at=no_at)
            error = await _failed(f"{name} (gate shut)", lambda: call(gate))  # noqa: B023
            require(
                error is gate.no,
                Rule.GATE,
                f"{name}: what the gate raises comes out unchanged, not as {error!r}",
            )
            require(
                gate.calls == ["ready", "check"][: 1 + (no_at == "check")],
                Rule.GATE,
                f"{name} called the gate like this: {gate.calls}",
            )
        require(
            bench.sent(CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL) == before
            and len(bench.ledger) == 1,
            Rule.GATE,
            f"a write went out although the gate said no at `{no_at}`",
        )

    async def test_gate_is_passed_once_and_in_order_by_each_write(self, bench: Bench) -> None:
        gate = Gate()
        order = bench.order()
        placed = await bench.adapter.place_order(bench.session, order, gate)
        gates = {"place_order": gate}
        for name, call in self._writes(bench, bench.adapter, order, placed.broker_order_id).items():
            if name != "place_order":
                gates[name] = Gate()
                await call(gates[name])
        for name, passed in gates.items():
            require(
                passed.calls == ["ready", "check"],
                Rule.GATE,
                f"{name} is to call ready, then check, once each, not {passed.calls}",
            )

    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
    async def test_cancel_whose_answer_is_lost_is_unknown(self, bench: Bench, loss: Loss) -> None:
        self._can_happen(loss)
        order, placed = await bench.place()
        adapter = await _adapter_for(bench, loss)
        await self._lost(
            bench,
            loss,
            CallKind.CANCEL,
            lambda gate: adapter.cancel_order(
                bench.session, ref(order, placed.broker_order_id), gate
            ),
        )

    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
    async def test_modify_whose_answer_is_lost_is_unknown(self, bench: Bench, loss: Loss) -> None:
        self._can_happen(loss)
        if not self.capabilities.has(Feature.MODIFY):
            pytest.skip("modify is not declared")
        order, placed = await bench.place()
        adapter = await _adapter_for(bench, loss)
        change = _repriced(bench, order, placed.broker_order_id)
        await self._lost(
            bench,
            loss,
            CallKind.MODIFY,
            lambda gate: adapter.modify_order(bench.session, change, gate),
        )

    async def test_cancel_and_modify_at_a_refused_connection_are_not_sent(
        self, bench: Bench
    ) -> None:
        self.needs_wire()
        order, placed = await bench.place()
        calls = self._writes(bench, bench.fresh(), order, placed.broker_order_id)
        bench.strike("any", "refuse", ms=None)
        for name, call in calls.items():
            error = await _failed(f"{name} (refused)", lambda: call(Gate()))  # noqa: B023
            require(
                isinstance(error, NotSent),
                Rule.EVIDENCE,
                f"{name} at a refused connection is NotSent, not {error!r}",
            )

    async def test_no_secret_is_logged(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        await self.log_in(bench.adapter, bench.simulator)
        await bench.place()
        if self.wire:
            for action in ("accept_then_html", "accept_then_reset", "reject", "session_expired"):
                bench.strike("place", action)
                with contextlib.suppress(GatewayError):
                    await bench.adapter.place_order(bench.session, bench.order(), Gate())
                bench.heal()
        # Of the HTTP library the gateway shows warnings only, since its debug lines hold URLs.
        shown = [
            record
            for record in caplog.records
            if record.levelno >= logging.WARNING or not record.name.startswith(_LIBRARIES)
        ]
        for name, secret in bench.secrets().items():
            for record in shown:
                require(
                    secret not in record.getMessage(),
                    Rule.SECRETS,
                    f"the {name} can be read in the log of {record.name}",
                )

    # How

    def _can_happen(self, loss: Loss) -> None:
        self.needs_wire()
        evidence = self.statuses_that_refuse.get(loss.params.get("status", 0))
        if evidence and loss.taken:
            pytest.skip(f"cannot be: {evidence}")

    def _writes(
        self, bench: Bench, adapter: Adapter, order: PlaceOrder, broker_order_id: str
    ) -> dict[str, Callable[[Gate], Any]]:
        """Every declared write, to be made with a gate; the cancel last."""
        again = bench.order()
        calls: dict[str, Callable[[Gate], Any]] = {
            "place_order": lambda gate: adapter.place_order(bench.session, again, gate)
        }
        if self.capabilities.has(Feature.MODIFY):
            change = _repriced(bench, order, broker_order_id)
            calls["modify_order"] = lambda gate: adapter.modify_order(bench.session, change, gate)
        calls["cancel_order"] = lambda gate: adapter.cancel_order(
            bench.session, ref(order, broker_order_id), gate
        )
        return calls

    async def _lost(
        self, bench: Bench, loss: Loss, kind: CallKind, call: Callable[[Gate], Any]
    ) -> None:
        what, gate = f"{kind.value}_order ({loss.name})", Gate()
        before = bench.sent(kind)
        bench.strike(kind.value, loss.action, **loss.params)
        error = await _failed(what, lambda: call(gate))
        bench.heal()
        _is_unknown(what, error, taken=loss.taken)
        require(
            bench.sent(kind) - before <= 1,
            Rule.ONE_WRITE,
            f"{what} sent {bench.sent(kind) - before} requests",
        )
        require(gate.calls == ["ready", "check"], Rule.GATE, f"{what} passed {gate.calls}")
        bench.keeps_secrets(error)

    async def _book_tells_the_truth(self, bench: Bench) -> None:
        """After the storm the book shows exactly what the exchange has."""
        bench.heal()
        book = await bench.adapter.order_book(bench.session)
        require(
            sorted(row.broker_order_id for row in book)
            == sorted(order.broker_order_id for order in bench.ledger),
            Rule.WHOLE,
            "after a lost answer the book does not show what the exchange has",
        )


def _repriced(bench: Bench, order: PlaceOrder, broker_order_id: str) -> Any:
    prices = bench.prices(order.instrument, order.side, order.order_type, far="0.08")
    return change_of(order, broker_order_id, **prices)


async def _adapter_for(bench: Bench, loss: Loss) -> Any:
    """The patient adapter, or for an answer that never comes one that has connected already."""
    if not loss.hangs:
        return bench.adapter
    adapter = bench.impatient()
    await adapter.warm(bench.session)
    return adapter


async def _failed(what: str, call: Callable[[], Any]) -> GatewayError:
    """Return the error that a call must end with."""
    try:
        got = await call()
    except GatewayError as error:
        return error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise broken(
            Rule.EVIDENCE,
            f"{what} raises {error!r}: the gateway knows only what derives from GatewayError",
        ) from error
    raise broken(Rule.EVIDENCE, f"{what} returns {got!r}, but nothing proves that")


def _is_unknown(what: str, error: GatewayError, *, taken: bool) -> None:
    has = "has it" if taken else "does not have it, which the answer does not prove"
    require(
        isinstance(error, OutcomeUnknown),
        Rule.EVIDENCE,
        f"{what}: the exchange {has}. OutcomeUnknown (or BadAnswer), not {error!r}",
    )


def _left_once(bench: Bench, kind: CallKind, gate: Gate) -> None:
    require(
        bench.sent(kind) <= 1, Rule.ONE_WRITE, f"{bench.sent(kind)} requests were made of one order"
    )
    require(
        gate.calls == ["ready", "check"],
        Rule.GATE,
        f"the gate is to be asked ready, then check, once each, not {gate.calls}",
    )


async def _ledger_holds(bench: Bench, expected: int) -> None:
    """Wait, bounded, for what is still under way at the exchange, then look."""
    for _ in range(200):
        if len(bench.ledger) >= expected:
            break
        await asyncio.sleep(0.01)
    require(
        len(bench.ledger) == expected,
        Rule.ONE_WRITE,
        f"the exchange has {len(bench.ledger)} order(s), expected {expected}",
    )

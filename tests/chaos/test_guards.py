"""Take each guard out, and something must fail: otherwise nobody would notice its loss.

Each test first shows that the same run is sound with the guard in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.orchestrator.book import BookView
from gateway.orchestrator.live import LiveLeg
from gateway.orchestrator.runner import LegRunner
from gateway.orchestrator.service import OrderService
from gateway.orders.states import LegState
from tests.chaos.checker import Violation
from tests.model.exchange import Fate
from tests.model.world import World

Story = Callable[[World], list[Violation]]


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        made.close()


def broken(story: Story) -> set[str]:
    with world() as made:
        return {violation.invariant for violation in story(made)}


def place(world: World, fate: Fate, *, account: str = "echo", ttl_ms: int = 5000) -> None:
    key = f"k{len(world.requests)}"
    world.place(key, {account: fate}, instrument="NSE:SBIN", ttl_ms=ttl_ms, quantity=1)


def two_orders_then_a_crash(world: World) -> list[Violation]:
    """The second finds no rate token free, so that its SEND_BEGIN is a commit of its own."""
    for _ in range(12):
        place(world, Fate.PLACED)
    world.loop.advance(1.5)
    world.crash()
    world.settle()
    return world.judge(at_the_end=True)


def test_without_waiting_for_send_begin_an_order_arrives_before_it_is_journalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set() == broken(two_orders_then_a_crash)

    async def careless(self: LegRunner) -> None:
        """Believe SEND_BEGIN written without writing it."""

    monkeypatch.setattr(LegRunner, "ready", careless)

    assert "send_begin_before_arrival" in broken(two_orders_then_a_crash)


def stopped_while_an_order_is_under_way(world: World) -> list[Violation]:
    """The switch is thrown while an order waits for its connection, before the gate or in it."""
    for fate in (Fate.CONNECTS_SLOWLY, Fate.RECONNECTS):
        for steps in (0, 5, 20):
            place(world, fate)
            world.loop.step(steps)
            world.stop_orders()
            world.loop.advance(2.0)
            world.release()
    world.settle()
    return world.judge(at_the_end=True)


def test_without_the_look_before_send_begin_an_order_goes_out_after_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set() == broken(stopped_while_an_order_is_under_way)

    monkeypatch.setattr(LegRunner, "_assert_may_send", lambda self: None)

    assert "kill_holds" in broken(stopped_while_an_order_is_under_way)


def test_without_the_look_before_the_first_byte_an_order_goes_out_after_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def believe_the_first_look(self: LegRunner) -> None:
        self._check_alive()

    monkeypatch.setattr(LegRunner, "check", believe_the_first_look)

    assert "kill_holds" in broken(stopped_while_an_order_is_under_way)


def crashed_on_the_wire(world: World) -> list[Violation]:
    """The process dies while a broker has an order that it never answered."""
    place(world, Fate.TIMED_OUT)
    world.loop.advance(1.0)
    world.crash()
    world.settle()
    return world.judge(at_the_end=True)


def test_without_the_boot_rule_an_order_of_the_last_run_is_never_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set() == broken(crashed_on_the_wire)

    async def forget(self: OrderService, leg: LiveLeg) -> None:
        """Leave what an earlier process left behind as it stands."""

    monkeypatch.setattr(OrderService, "_recover", forget)

    assert "settled_after_faults" in broken(crashed_on_the_wire)


def test_when_an_earlier_run_s_send_is_called_lapsed_its_order_is_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def guess(self: OrderService, leg: LiveLeg) -> None:
        """Call it not sent, as one would who does not look at whose SENDING it is."""
        await leg.change(LegState.RETRY_WAIT, "not_sent")
        await leg.change(LegState.LAPSED, "restart")

    monkeypatch.setattr(OrderService, "_recover", guess)

    assert "failed_means_nothing_live" in broken(crashed_on_the_wire)


def lost_beside_an_order_that_looks_the_same(world: World) -> list[Violation]:
    """One order is answered, one is dropped by the broker; both ask for the same thing."""
    place(world, Fate.PLACED)
    world.loop.advance(1.0)
    place(world, Fate.DROPPED)
    world.loop.advance(1.0)
    place(world, Fate.LOST)
    world.settle()
    return world.judge(at_the_end=True)


def test_without_the_tag_a_lost_order_is_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set() == broken(lost_beside_an_order_that_looks_the_same)

    def any_row(self: BookView, broker_tag: int) -> list[Any]:
        return self.rows[-1:]

    monkeypatch.setattr(BookView, "tagged", any_row)

    assert broken(lost_beside_an_order_that_looks_the_same) & {
        "accepted_is_that_order",
        "found_when_it_is_there",
        "settled_after_faults",
    }

"""Sequences that nobody would write by hand: orders, faults, crashes and time, in any order.

Hypothesis draws what clients do, what becomes of each order and what the gateway is told; after
every step the same checker judges that judges the chaos runs. A failure shrinks to its shortest
sequence and prints it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.sdk.models import BrokerOrderState
from gateway.orders.request import OrderRequest
from tests.chaos.checker import Violation
from tests.model.exchange import INSTRUMENTS, Fate, Made
from tests.model.world import World

_ACCOUNTS = ("echo", "silent", "alone")
# Drawn before it is known how many there are: what happened must not change what is drawn.
_ANY = st.integers(0, 30)
_TAKEN_BACK = (BrokerOrderState.FILLED, BrokerOrderState.CANCELLED)


class OrdersUnderFire(RuleBasedStateMachine):
    """The gateway against everything that may happen to an order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.halted = False

    @rule(
        fates=st.dictionaries(
            st.sampled_from(_ACCOUNTS), st.sampled_from(Fate), min_size=1, max_size=3
        ),
        instrument=st.sampled_from(sorted(INSTRUMENTS)),
        ttl_ms=st.sampled_from((200, 5000, 30_000)),
        quantity=st.integers(1, 3),
    )
    def place(self, fates: dict[str, Fate], instrument: str, ttl_ms: int, quantity: int) -> None:
        key = f"k{len(self.world.requests)}"
        self.world.place(key, fates, instrument=instrument, ttl_ms=ttl_ms, quantity=quantity)

    @precondition(lambda self: self.world.requests)
    @rule(which=_ANY)
    def repeat_a_key(self, which: int) -> None:
        self.world.send(f"k{which % len(self.world.requests)}")

    @precondition(lambda self: self.world.requests)
    @rule(which=_ANY)
    def reuse_a_key_for_another_order(self, which: int) -> None:
        key = f"k{which % len(self.world.requests)}"
        known = self.world.requests[key]
        other = OrderRequest(
            instrument=known.instrument,
            side=known.side,
            order_type=known.order_type,
            product=known.product,
            accounts=known.accounts,
            quantity=(known.quantity or 0) + 100,
            price=known.price,
        )
        self.world.send(key, other)

    @rule(rounds=st.integers(1, 12))
    def let_a_few_steps_happen(self, rounds: int) -> None:
        self.world.loop.step(rounds)

    @rule(seconds=st.sampled_from((0.06, 0.5, 2.0, 11.0, 70.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.world.loop.advance(seconds)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(account=st.sampled_from(_ACCOUNTS))
    def lose_the_session(self, account: str) -> None:
        self.world.brokers[account].token += 1

    @rule()
    def log_in(self) -> None:
        self.world.log_in()

    @rule(account=st.sampled_from(_ACCOUNTS), words=st.sampled_from(("html", "reset")))
    def fail_the_next_reads(self, account: str, words: str) -> None:
        self.world.brokers[account].bad_reads.extend((words, words))

    @rule(which=_ANY, quantity=st.integers(1, 3))
    def fill_at_the_broker(self, which: int, quantity: int) -> None:
        live = self._live_at_the_broker()
        if live:
            made = live[which % len(live)]
            made.filled = min(made.filled + quantity, made.quantity)
            if made.filled == made.quantity:
                made.state = BrokerOrderState.FILLED

    @rule(
        which=_ANY,
        state=st.sampled_from((BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED)),
    )
    def end_at_the_broker(self, which: int, state: BrokerOrderState) -> None:
        live = self._live_at_the_broker()
        if live:
            live[which % len(live)].state = state

    @rule(which=_ANY)
    def take_a_final_word_back(self, which: int) -> None:
        """The broker shows an order as open again that it had called over."""
        over = [
            made
            for broker in self.world.brokers.values()
            for made in broker.visible()
            if made.tag is not None and made.state in _TAKEN_BACK
        ]
        if over:
            made = over[which % len(over)]
            made.state = BrokerOrderState.OPEN
            made.filled = min(made.filled, made.quantity - 1)
            self.world.taken_back.add(f"{made.tag:015d}")

    @rule(instrument=st.sampled_from(sorted(INSTRUMENTS)), quantity=st.integers(1, 3))
    def trade_elsewhere(self, instrument: str, quantity: int) -> None:
        """Somebody places an order by hand that looks like one of ours. Not where we are alone."""
        broker = self.world.brokers["silent"]
        template = next(iter(self.world.requests.values()), None)
        if template is not None:
            broker.made.append(
                Made(
                    broker_order_id=f"by-hand-{len(broker.made)}",
                    tag=None,
                    instrument=instrument,
                    side=template.side,
                    order_type=template.order_type,
                    product=template.product,
                    quantity=quantity,
                    price=template.price,
                    at=broker.now(),
                    shows_at=self.world.loop.time(),
                )
            )

    @rule(which=_ANY)
    def cancel(self, which: int) -> None:
        ids = self.world.order_ids()
        if ids:
            self.world.cancel(ids[which % len(ids)])

    @precondition(lambda self: not self.halted)
    @rule()
    def stop_orders(self) -> None:
        self.world.stop_orders()
        self.halted = True

    @precondition(lambda self: self.halted)
    @rule()
    def release(self) -> None:
        self.world.release()
        self.halted = False

    @invariant()
    def nothing_is_broken(self) -> None:
        assert_nothing(self.world.judge(at_the_end=False))

    def teardown(self) -> None:
        try:
            self.world.settle()
            assert_nothing(self.world.judge(at_the_end=True))
        finally:
            self.world.close()

    def _live_at_the_broker(self) -> list[Made]:
        return [
            made
            for broker in self.world.brokers.values()
            for made in broker.visible()
            if not made.state.is_final
        ]


def assert_nothing(found: list[Violation]) -> None:
    assert not found, "\n".join(f"{each.invariant}: {each.what}" for each in found)


OrdersUnderFire.TestCase.settings = settings(
    max_examples=int(os.environ.get("BROKERGATE_MODEL_EXAMPLES", "60")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
test_no_sequence_of_events_breaks_an_invariant = OrdersUnderFire.TestCase

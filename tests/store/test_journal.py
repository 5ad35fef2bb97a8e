"""The journal with real files: what it refuses, what survives, what a changed row gives away."""

from __future__ import annotations

from decimal import Decimal

import apsw
import msgspec
import pytest

from adapters.sdk.models import OrderType, Product, Side, Validity
from gateway.orders.ids import TagMint, leg_id_of, new_order_id
from gateway.orders.records import Leg, Order
from gateway.orders.request import OrderRequest, fingerprint
from gateway.orders.states import IllegalTransition, LegState
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring, WrongMasterKey
from gateway.store import DataDirLock, DataDirLocked, LegEvent, OrderFilter, StaleLeg, Store

S = LegState
REQUEST = msgspec.convert(
    {
        "instrument": "NSE:SBIN",
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 10,
        "price": "812.50",
        "accounts": ["a"],
        "strategy": "momentum-1",
    },
    OrderRequest,
)
MINT = TagMint()


@pytest.fixture
def keyring():
    return Keyring(generate_master_key())


@pytest.fixture
def store(tmp_path, keyring):
    store = Store(tmp_path / "journal.db", keyring)
    yield store
    store.close()


def make_order(key: str = "k1", client: str = "me") -> tuple[Order, Leg]:
    order_id = new_order_id()
    order = Order(
        order_id=order_id,
        client=client,
        idempotency_key=key,
        fingerprint=fingerprint(REQUEST),
        created_us=1,
        request=REQUEST,
    )
    leg = Leg(
        order_id=order_id,
        n=1,
        leg_id=leg_id_of(order_id, 1),
        account="a",
        broker="fyers",
        broker_tag=MINT.mint(),
        instrument="NSE:SBIN",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        product=Product.CNC,
        validity=Validity.DAY,
        quantity=10,
        created_us=1,
        deadline_us=2,
        updated_us=1,
        price=Decimal("812.50"),
    )
    return order, leg


READY = [(None, S.READY, LegEvent(event="accepted", at_us=1))]


async def accept(store: Store, order: Order, leg: Leg):
    return await store.accept_order(order, [(leg, READY)], {"client": order.client})


async def test_an_order_comes_back_as_it_was_written(store):
    order, leg = make_order()
    await accept(store, order, leg)

    assert (order, [leg]) == await store.load_order(order.order_id)


async def test_one_key_is_one_order(store):
    order, leg = make_order()
    await accept(store, order, leg)
    second, leg2 = make_order()

    existing = await accept(store, second, leg2)

    assert existing is not None
    assert existing.order_id == order.order_id
    assert await store.load_order(second.order_id) is None


async def test_the_same_key_of_another_client_is_another_order(store):
    await accept(store, *make_order(client="me"))

    assert await accept(store, *make_order(client="you")) is None


async def test_a_tag_is_never_journalled_twice(store):
    order, leg = make_order("k1")
    await accept(store, order, leg)
    other, leg2 = make_order("k2")
    leg2.broker_tag = leg.broker_tag

    with pytest.raises(apsw.ConstraintError):
        await accept(store, other, leg2)

    assert await store.load_order(other.order_id) is None
    assert await store.find_key("me", "k2") is None


async def test_only_the_tables_transitions_reach_the_journal(store):
    order, leg = make_order()
    await accept(store, order, leg)
    leap = msgspec.structs.replace(leg, state=S.FILLED)

    with pytest.raises(IllegalTransition):
        await store.update_leg(leap, S.READY, LegEvent(event="x", at_us=2))

    assert (await store.load_order(order.order_id))[1][0].state is S.READY


async def test_a_change_from_a_state_the_journal_does_not_hold_is_refused(store):
    order, leg = make_order()
    await accept(store, order, leg)
    late = msgspec.structs.replace(leg, state=S.ACKED)

    with pytest.raises(StaleLeg):
        await store.update_leg(late, S.SENDING, LegEvent(event="x", at_us=2))


async def test_each_transition_has_exactly_one_audit_row(store):
    order, leg = make_order()
    await accept(store, order, leg)
    for old, new in ((S.READY, S.SENDING), (S.SENDING, S.UNKNOWN), (S.UNKNOWN, S.ACKED)):
        leg = msgspec.structs.replace(leg, state=new)
        await store.update_leg(leg, old, LegEvent(event="step", at_us=2))

    steps = [msgspec.json.decode(body) for _, body in await store.leg_history(order.order_id)]

    assert [
        (None, "READY"),
        ("READY", "SENDING"),
        ("SENDING", "UNKNOWN"),
        ("UNKNOWN", "ACKED"),
    ] == [(step["from"], step["to"]) for step in steps]


async def test_a_journal_reopened_holds_everything_and_its_chain(tmp_path, keyring):
    store = Store(tmp_path / "journal.db", keyring)
    order, leg = make_order()
    await accept(store, order, leg)
    store.close()

    again = Store(tmp_path / "journal.db", keyring)
    await accept(again, *make_order("k2"))

    assert [order.order_id] == [o.order_id for o, _ in (await again.load_open_orders())[:1]]
    assert (await again.verify_audit()).ok
    assert await again.highest_tag() > 10**14
    again.close()


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE audit SET body = replace(body, 'READY', 'DENIED') WHERE seq = 2",
        "UPDATE audit SET body = CAST(replace(body, 'READY', 'ACKED') AS BLOB) WHERE seq = 2",
        "UPDATE audit SET at_us = at_us + 1 WHERE seq = 2",
        "UPDATE audit SET account = 'b' WHERE seq = 2",
        "UPDATE audit SET mac = zeroblob(32) WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 1",
    ],
)
async def test_a_changed_audit_row_is_found(tmp_path, store, tamper):
    for n in range(3):
        await accept(store, *make_order(f"k{n}"))
    intruder = apsw.Connection(str(tmp_path / "journal.db"))
    intruder.execute("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete")
    intruder.execute(tamper)
    assert intruder.changes() == 1
    intruder.close()

    bad = await store.verify_audit()

    assert not bad.ok
    assert bad.first_bad_seq in (1, 2)


async def test_audit_rows_cannot_be_changed_by_accident(tmp_path, store):
    await accept(store, *make_order())
    connection = apsw.Connection(str(tmp_path / "journal.db"))

    with pytest.raises(apsw.ConstraintError, match="append-only"):
        connection.execute("UPDATE audit SET at_us = 0")
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        connection.execute("DELETE FROM audit")
    connection.close()


async def test_another_master_key_is_refused_before_anything_is_read(tmp_path, store):
    store.close()

    with pytest.raises(WrongMasterKey):
        Store(tmp_path / "journal.db", Keyring(generate_master_key()))


async def test_credentials_are_sealed_on_disk(tmp_path, store):
    await store.set_credentials("a", {"password": "hunter2-canary"}, {"client": "t"})

    assert await store.get_credentials("a") == {"password": "hunter2-canary"}
    for file in tmp_path.iterdir():
        assert b"hunter2-canary" not in file.read_bytes()


async def test_search_filters_and_pages(store):
    made = []
    for n in range(5):
        order, leg = make_order(f"k{n}")
        await accept(store, order, leg)
        made.append(order.order_id)

    newest = await store.search_orders(OrderFilter(limit=2))
    older = await store.search_orders(OrderFilter(limit=10, before_seq=newest[-1][0]))

    assert made[::-1] == [order.order_id for _, order, _ in newest + older]
    by_key = await store.search_orders(OrderFilter(idempotency_key="k3"))
    assert [made[3]] == [order.order_id for _, order, _ in by_key]
    assert await store.search_orders(OrderFilter(accounts=frozenset({"b"}))) == []
    assert await store.search_orders(OrderFilter(accounts=frozenset())) == []
    assert len(await store.search_orders(OrderFilter(open=True, strategy="momentum-1"))) == 5
    assert await store.search_orders(OrderFilter(states=frozenset({"FILLED"}))) == []


def test_a_data_directory_has_one_owner(tmp_path):
    with DataDirLock(tmp_path), pytest.raises(DataDirLocked, match="in use"):
        DataDirLock(tmp_path).acquire()
    with DataDirLock(tmp_path):
        pass

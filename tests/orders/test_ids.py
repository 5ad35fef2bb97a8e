from __future__ import annotations

from gateway.orders.ids import TAG_MAX, TAG_MIN, TagMint, leg_id_of, new_order_id, order_of_leg


def test_tags_have_fifteen_digits_and_never_repeat():
    mint = TagMint()

    tags = [mint.mint() for _ in range(20_000)]

    assert len(set(tags)) == len(tags)
    assert all(TAG_MIN <= tag <= TAG_MAX for tag in tags)


def test_a_restart_never_mints_in_a_second_that_was_used_before():
    clock = lambda: 1_795_000_000.0  # noqa: E731
    last = max(TagMint(clock=clock).mint() for _ in range(100))

    again = TagMint(last, clock=clock)

    assert all(again.mint() > last for _ in range(100))


def test_a_clock_that_steps_back_does_not_bring_old_tags_back():
    now = [1_795_000_000.0]
    mint = TagMint(clock=lambda: now[0])
    first = mint.mint()
    now[0] -= 86_400

    assert mint.mint() // 1_000_000 >= first // 1_000_000


def test_order_ids_sort_by_time():
    ids = [new_order_id(ms) for ms in (1, 2, 1_000, 1_795_000_000_000)]

    assert ids == sorted(ids)
    assert all(len(order_id) == 30 for order_id in ids)


def test_a_leg_id_names_its_order_and_number():
    order_id = new_order_id()

    assert order_of_leg(leg_id_of(order_id, 12)) == (order_id, 12)
    assert order_of_leg("leg_x") is None
    assert order_of_leg(order_id) is None

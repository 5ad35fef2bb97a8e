"""What of a position is proven to be one strategy's, from fills and the broker's net."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from adapters.sdk.models import Exchange, Instrument, InstrumentType, Product, Side
from gateway.orchestrator.exposure import Held, share_of
from gateway.orders.records import Purpose
from gateway.orders.times import now_us
from gateway.store.closes import Traded
from tests.books.conftest import make_leg

SBIN = Instrument(
    instrument="NSE:SBIN",
    exchange=Exchange.NSE,
    symbol="SBIN",
    name="State Bank",
    type=InstrumentType.EQ,
    lot_size=1,
    tick_size=Decimal("0.05"),
    codes={},
)
DAY_US = 86_400_000_000


def held(quantity: int, product: Product = Product.MIS) -> Held:
    return Held(instrument=SBIN, product=product, quantity=quantity, free=abs(quantity))


def fill(strategy: str | None, quantity: int, product: Product = Product.MIS, days: int = 0):
    leg = make_leg(
        now_us() - days * DAY_US,
        side=Side.BUY if quantity > 0 else Side.SELL,
        product=product,
        filled_quantity=abs(quantity),
    )
    return Traded(leg, strategy, None, Purpose.CLIENT)


def share(position: Held, *fills: Traded) -> tuple[int, int]:
    found = share_of(position, fills, lambda one: one.strategy, "mine")
    return found.proven, found.claimed


@pytest.mark.parametrize(
    ("net", "fills", "wanted"),
    [
        (10, [("mine", 10)], (10, 10)),
        (10, [("mine", 15), ("mine", -5)], (10, 10)),
        (17, [("mine", 10), ("other", 7)], (10, 10)),
        # Bought elsewhere as well: that is not the strategy's, and takes nothing from it.
        (25, [("mine", 10)], (10, 10)),
        # Sold elsewhere: it may have been the strategy's.
        (4, [("mine", 10)], (4, 10)),
        (0, [("mine", 10)], (0, 10)),
        # Sold under no strategy, then bought by another: what is there is the other's.
        (10, [("mine", 10), (None, -10), ("other", 10)], (0, 10)),
        # A short of another strategy is its own affair, but never more than is held.
        (3, [("mine", 10), ("other", -7)], (3, 10)),
        (-3, [("mine", 10), ("other", -13)], (0, 10)),
        (-8, [("mine", -5), ("other", -3)], (-5, -5)),
        # What hides behind a sale elsewhere and a purchase under no strategy.
        (10, [("mine", 10), (None, -4)], (6, 10)),
        (10, [("other", 10)], (0, 0)),
    ],
)
def test_a_share_is_the_net_of_its_fills_less_what_may_have_been_traded_from_it(net, fills, wanted):
    assert wanted == share(held(net), *(fill(*one) for one in fills))


@pytest.mark.parametrize(
    ("product", "wanted"), [(Product.MIS, 0), (Product.CNC, 0), (Product.NRML, 10)]
)
def test_only_what_is_carried_over_counts_fills_of_other_days(product, wanted):
    assert wanted == share(held(10, product), fill("mine", 10, product, days=3))[0]


def test_fills_in_another_product_or_instrument_are_not_of_the_position():
    other = msgspec.structs.replace(fill("mine", 5).leg, instrument="NSE:INFY")
    fills = [fill("mine", 5, Product.NRML), Traded(other, "mine", None, Purpose.CLIENT)]

    assert (0, 0) == share(held(10), *fills)

"""Every segment, product and validity that is declared, through the adapter to the simulator."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.fyers.adapter import FyersAdapter
from adapters.fyers.config import CAPABILITIES
from adapters.fyers.simulator import FyersSimulator
from adapters.sdk.errors import Denied, ReasonCode
from adapters.sdk.models import (
    Exchange,
    Instrument,
    InstrumentType,
    PlaceOrder,
    Product,
    Session,
    Validity,
)
from tests.fyers.conftest import Gate

MakeOrder = Callable[..., PlaceOrder]
_CASH = {Product.CNC, Product.MIS, Product.MTF}
_DERIVATIVES = {Product.NRML, Product.MIS}
_SEGMENTS = [
    (Exchange.NSE, InstrumentType.EQ, _CASH),
    (Exchange.BSE, InstrumentType.EQ, _CASH),
    (Exchange.NFO, InstrumentType.FUT, _DERIVATIVES),
    (Exchange.NFO, InstrumentType.OPT, _DERIVATIVES),
    (Exchange.BFO, InstrumentType.FUT, _DERIVATIVES),
    (Exchange.BFO, InstrumentType.OPT, _DERIVATIVES),
]


def first(
    instruments: dict[str, Instrument], exchange: Exchange, kind: InstrumentType
) -> Instrument:
    return next(i for i in instruments.values() if (i.exchange, i.type) == (exchange, kind))


def test_every_declared_exchange_is_tried():
    assert CAPABILITIES.exchanges == {exchange for exchange, _, _ in _SEGMENTS}


@pytest.mark.parametrize("validity", list(Validity))
@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize(("exchange", "kind", "products"), _SEGMENTS)
async def test_segment_takes_its_products_and_no_other(
    adapter: FyersAdapter,
    simulator: FyersSimulator,
    session: Session,
    order: MakeOrder,
    instruments: dict[str, Instrument],
    exchange: Exchange,
    kind: InstrumentType,
    products: set[Product],
    product: Product,
    validity: Validity,
):
    contract = first(instruments, exchange, kind)
    listed = simulator.universe.by_instrument(contract.instrument)
    assert listed is not None
    wanted = order(
        contract.instrument,
        product=product,
        validity=validity,
        quantity=2 * contract.lot_size,
        price=listed.price,
    )

    if product not in products:
        with pytest.raises(Denied) as caught:
            await adapter.place_order(session, wanted, Gate())
        assert ReasonCode.PRODUCT_NOT_ALLOWED is caught.value.reason
        assert not simulator.engine.orders
        return
    await adapter.place_order(session, wanted, Gate())

    (row,) = await adapter.order_book(session)
    assert (product, validity, contract.codes, 2 * contract.lot_size) == (
        row.product,
        row.validity,
        row.codes,
        row.quantity,
    )
    (booked,) = simulator.engine.orders
    assert (contract.instrument, row.quantity) == (booked.contract.instrument, booked.quantity)
    assert not simulator.violations

"""The order against the contract, check by check."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.models import (
    Exchange,
    Instrument,
    InstrumentType,
    OptionType,
    OrderType,
    Product,
    Side,
)
from gateway.orders.checks import Verdict
from gateway.prechecks.contract import Draft, check_contract
from gateway.prechecks.verdict import first_failure, summary

TODAY = date(2026, 11, 23)


def share(**changes: Any) -> Instrument:
    return Instrument(
        **{
            "instrument": "NSE:SBIN",
            "exchange": Exchange.NSE,
            "symbol": "SBIN",
            "name": "State Bank of India",
            "type": InstrumentType.EQ,
            "lot_size": 1,
            "tick_size": Decimal("0.05"),
            "codes": {},
            **changes,
        }
    )


def option(**changes: Any) -> Instrument:
    return share(
        **{
            "instrument": "NFO:NIFTY24NOV2624000CE",
            "exchange": Exchange.NFO,
            "symbol": "NIFTY24NOV2624000CE",
            "type": InstrumentType.OPT,
            "lot_size": 75,
            "underlying": "NIFTY",
            "expiry": date(2026, 11, 24),
            "strike": Decimal(24000),
            "option_type": OptionType.CE,
            "freeze_quantity": 1800,
            **changes,
        }
    )


def draft(instrument: Instrument | None = None, **changes: Any) -> Draft:
    return Draft(
        **{
            "instrument": instrument or share(),
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "product": Product.CNC,
            "quantity": 10,
            "price": Decimal("812.50"),
            **changes,
        }
    )


def test_a_good_order_passes_everything() -> None:
    checks = list(check_contract(draft(), TODAY, may_slice=False))

    assert {check.verdict for check in checks} == {Verdict.PASSED}
    assert summary(checks) == "passed"


SL = {"order_type": OrderType.SL, "trigger_price": Decimal("812.50")}
NRML = {"product": Product.NRML}


@pytest.mark.parametrize(
    ("order", "code", "field"),
    [
        (draft(share(type=InstrumentType.INDEX)), "instrument_blocked", "instrument"),
        (
            draft(option(expiry=date(2026, 11, 22)), quantity=75, **NRML),
            "instrument_blocked",
            "instrument",
        ),
        (draft(product=Product.NRML), "product_not_allowed", "product"),
        (draft(option(), quantity=75), "product_not_allowed", "product"),
        (draft(option(), quantity=75, product=Product.MTF), "product_not_allowed", "product"),
        (draft(option(), quantity=74, **NRML), "lot_size", "quantity"),
        (draft(option(), quantity=100, **NRML), "lot_size", "quantity"),
        (draft(option(), quantity=1875, **NRML), "freeze_quantity", "quantity"),
        (draft(price=Decimal("812.51")), "tick_size", "price"),
        (draft(price=Decimal("812.5001")), "tick_size", "price"),
        (draft(**SL, price=Decimal("812.45")), "invalid_order", "price"),
        (draft(**SL, side=Side.SELL, price=Decimal("812.55")), "invalid_order", "price"),
        (
            draft(**{**SL, "trigger_price": Decimal("812.53")}, price=Decimal(813)),
            "tick_size",
            "trigger_price",
        ),
        (draft(share(band_low=Decimal(800)), price=Decimal("799.95")), "price_band", "price"),
        (draft(share(band_high=Decimal(812)), price=Decimal("812.05")), "price_band", "price"),
        (draft(share(band_high=Decimal(812)), **SL, price=Decimal(811)), "invalid_order", "price"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(order: Draft, code: str, field: str) -> None:
    failure = first_failure(check_contract(order, TODAY, may_slice=False))

    assert failure is not None and failure.message
    assert (failure.code, failure.field) == (code, field)


def test_slicing_lifts_the_freeze_quantity_and_nothing_else() -> None:
    order = draft(option(), quantity=3750, **NRML)

    assert first_failure(check_contract(order, TODAY, may_slice=True)) is None


def test_the_day_of_expiry_still_trades() -> None:
    order = draft(option(expiry=TODAY), quantity=75, **NRML)

    assert first_failure(check_contract(order, TODAY, may_slice=False)) is None


ticks = st.sampled_from(["0.05", "0.01", "0.0025", "0.1", "1", "5", "0.5"]).map(Decimal)


@given(tick=ticks, steps=st.integers(1, 10_000_000), zeros=st.integers(0, 3))
def test_no_multiple_of_the_tick_is_refused_however_it_is_written(
    tick: Decimal, steps: int, zeros: int
) -> None:
    price = tick * steps
    written = Decimal(f"{price:f}" + ("" if "." in f"{price:f}" else ".") + "0" * zeros)

    order = draft(share(tick_size=tick), price=written)

    assert first_failure(check_contract(order, TODAY, may_slice=False)) is None


@given(tick=ticks, steps=st.integers(1, 10_000_000), part=st.integers(1, 99))
def test_no_price_between_two_ticks_passes(tick: Decimal, steps: int, part: int) -> None:
    order = draft(share(tick_size=tick), price=tick * steps + tick * part / 100)

    failure = first_failure(check_contract(order, TODAY, may_slice=False))

    assert failure is not None and failure.code == "tick_size"

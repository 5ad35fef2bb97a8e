"""Risk limits: what each forbids, how the day's sums grow and shrink."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.sdk.models import Exchange, InstrumentType, OrderType, Product, Side, Validity
from gateway.orders.checks import Verdict
from gateway.orders.records import Leg
from gateway.orders.states import LegState
from gateway.prechecks.ledger import Entry, Ledger
from gateway.prechecks.limits import RiskLimits, problems_of_limits
from gateway.prechecks.risk import Candidate, check_risk
from gateway.prechecks.verdict import first_failure
from tests.prechecks.test_contract import draft, option

TODAY = date(2026, 11, 23)
VALUE = Decimal("8125.00")


def candidate(**changes: Any) -> Candidate:
    return Candidate(
        **{
            "draft": draft(),
            "value": VALUE,
            "last_price": Decimal(812),
            "open_orders": 0,
            "now_s": 1000.0,
            **changes,
        }
    )


def used(*quantities: int, at_s: float = 990.0) -> Ledger:
    """A ledger with orders of SBIN at 812.50."""
    ledger = Ledger()
    for tag, quantity in enumerate(quantities):
        ledger.enter(entry(tag, quantity, at_s))
    return ledger


def entry(tag: int, quantity: int, at_s: float = 990.0) -> Entry:
    return Entry(
        tag=tag,
        day=TODAY,
        instrument="NSE:SBIN",
        quantity=quantity,
        value=Decimal("812.50") * quantity,
        margin=Decimal(100) * quantity,
        at_s=at_s,
        order_id="ord_1",
        look=candidate(draft=draft(quantity=quantity)).look,
    )


def leg(tag: int, state: LegState, filled: int = 0, average: str | None = None) -> Leg:
    return Leg(
        order_id="ord_1",
        n=1,
        leg_id="leg_1",
        account="a",
        broker="b",
        broker_tag=tag,
        instrument="NSE:SBIN",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        product=Product.CNC,
        validity=Validity.DAY,
        quantity=10,
        created_us=0,
        deadline_us=0,
        updated_us=0,
        state=state,
        filled_quantity=filled,
        average_price=Decimal(average) if average else None,
    )


@pytest.mark.parametrize(
    ("limits", "ledger", "asked", "code", "field"),
    [
        ({"max_order_quantity": 9}, used(), candidate(), "risk_limit", "quantity"),
        ({"max_order_value": Decimal("8124.99")}, used(), candidate(), "risk_limit", "quantity"),
        ({"max_day_quantity": 29}, used(10, 10), candidate(), "risk_limit", "quantity"),
        ({"max_day_value": Decimal(16249)}, used(10), candidate(), "risk_limit", "quantity"),
        ({"max_instrument_quantity": 19}, used(10), candidate(), "risk_limit", "quantity"),
        ({"max_instrument_value": Decimal(16249)}, used(10), candidate(), "risk_limit", "quantity"),
        ({"max_open_orders": 2}, used(), candidate(open_orders=2), "risk_limit", "accounts"),
        ({"max_orders_per_minute": 2}, used(1, 1), candidate(), "risk_limit", "accounts"),
        ({"lookalike_s": 30}, used(10), candidate(), "lookalike", "instrument"),
        ({"allowed_exchanges": ["BSE"]}, used(), candidate(), "risk_limit", "instrument"),
        ({"banned_exchanges": ["NSE"]}, used(), candidate(), "risk_limit", "instrument"),
        ({"allowed_products": ["MIS"]}, used(), candidate(), "risk_limit", "product"),
        ({"banned_products": ["CNC"]}, used(), candidate(), "risk_limit", "product"),
        ({"allowed_instruments": ["NSE:INFY"]}, used(), candidate(), "risk_limit", "instrument"),
        ({"banned_instruments": ["NSE:SB*"]}, used(), candidate(), "risk_limit", "instrument"),
        (
            {"price_collar_percent": {"EQ": "1"}},
            used(),
            candidate(last_price=Decimal(900)),
            "risk_limit",
            "price",
        ),
    ],
)
def test_a_limit_forbids_what_is_above_it_and_names_the_field(
    limits: dict[str, Any], ledger: Ledger, asked: Candidate, code: str, field: str
) -> None:
    failure = first_failure(
        check_risk(msgspec.convert(limits, RiskLimits), ledger, asked, scope="account")
    )

    assert failure is not None and failure.message
    assert (failure.code, failure.field) == (code, field)


def test_what_just_fits_passes_every_limit() -> None:
    limits = RiskLimits(
        max_order_quantity=10,
        max_order_value=VALUE,
        max_day_quantity=30,
        max_day_value=VALUE * 3,
        max_instrument_quantity=30,
        max_instrument_value=VALUE * 3,
        max_open_orders=3,
        max_orders_per_minute=3,
        lookalike_s=10,
        price_collar_percent={InstrumentType.EQ: Decimal("0.1")},
        allowed_exchanges=(Exchange.NSE,),
        allowed_products=(Product.CNC,),
        allowed_instruments=("NSE:*",),
        banned_instruments=("NSE:SBI",),
    )
    ledger = used(10, 10, at_s=985.0)

    checks = list(check_risk(limits, ledger, candidate(open_orders=2), scope="account"))

    assert [check for check in checks if check.verdict is not Verdict.PASSED] == []
    assert {"max_day_value", "price_collar", "lookalike"} <= {check.check for check in checks}


def test_what_needs_a_price_is_skipped_without_one() -> None:
    limits = RiskLimits(max_order_value=VALUE, price_collar_percent={InstrumentType.EQ: Decimal(1)})

    checks = list(
        check_risk(limits, used(), candidate(value=None, last_price=None), scope="global")
    )

    assert {check.verdict for check in checks} == {Verdict.SKIPPED}


def test_a_collar_of_another_type_does_not_apply() -> None:
    limits = RiskLimits(price_collar_percent={InstrumentType.EQ: Decimal(1)})
    asked = candidate(draft=draft(option(), price=Decimal(1)), last_price=Decimal(100))

    assert list(check_risk(limits, used(), asked, scope="global")) == []


@pytest.mark.parametrize(
    ("state", "filled", "counted"),
    [
        (LegState.REFUSED, 0, 0),
        (LegState.REJECTED, 0, 0),
        (LegState.DENIED, 0, 0),
        (LegState.LAPSED, 0, 0),
        (LegState.ABSENT, 0, 0),
        (LegState.CANCELLED, 0, 0),
        (LegState.CANCELLED, 4, 4),
        (LegState.EXPIRED, 3, 3),
        (LegState.FILLED, 10, 10),
    ],
)
def test_a_leg_that_is_over_counts_for_what_it_did(
    state: LegState, filled: int, counted: int
) -> None:
    ledger = used(10)

    ledger.settle(leg(0, state, filled, "800" if filled else None), 991.0)

    assert ledger.day_quantity == counted
    assert ledger.day_value == Decimal(800) * counted
    assert ledger.margin_since(0.0) == Decimal(100) * counted


def test_what_a_restart_finds_account_by_account_counts_as_made_for_its_last_minute_only() -> None:
    ledger = used()
    for tag, at_s in enumerate([100.0, 970.0, 995.0, 101.0, 934.0, 980.0]):
        ledger.enter(entry(tag, 10, at_s))

    assert ledger.entered_since(940.0) == 3
    assert ledger.entered_since(981.0) == 2
    assert ledger.entered_since(996.0) == 0
    assert ledger.day_quantity == 60


def test_a_struck_order_gives_its_room_back_but_was_still_made() -> None:
    ledger = used(10)
    ledger.strike(0)
    ledger.strike(0)

    assert (ledger.day_quantity, ledger.day_value, ledger.margin_since(0.0)) == (0, 0, 0)
    assert ledger.entered_since(940.0) == 1
    assert ledger.lookalike(candidate().look, 0.0) is None
    assert ledger.open == set()


def test_a_new_day_begins_with_nothing() -> None:
    ledger = used(10)

    ledger.turn_to(date(2026, 11, 24))

    assert (ledger.day_quantity, ledger.values, ledger.margin_since(0.0)) == (0, {}, 0)


def test_margin_counts_what_was_not_certainly_at_the_broker_when_funds_were_read() -> None:
    ledger = used(10, 5, 3, at_s=100.0)
    ledger.answered(0, 110.0)
    ledger.answered(1, 160.0)

    assert ledger.margin_since(50.0) == 1800
    assert ledger.margin_since(150.0) == 800
    assert ledger.margin_since(200.0) == 300


def test_margin_of_a_filled_leg_counts_until_funds_are_read_anew() -> None:
    ledger = used(10, at_s=100.0)
    assert ledger.margin_since(105.0) == 1000

    ledger.settle(leg(0, LegState.FILLED, 10, "800"), 120.0)

    assert ledger.margin_since(105.0) == 1000
    assert ledger.margin_since(121.0) == 0


def test_slices_count_as_the_orders_that_they_are() -> None:
    limits = RiskLimits(max_open_orders=5, max_orders_per_minute=5)
    asked = candidate(open_orders=2, orders=4)

    checks = list(check_risk(limits, used(1, 1), asked, scope="account"))

    assert [check.check for check in checks if check.verdict is Verdict.FAILED] == [
        "max_open_orders",
        "max_orders_per_minute",
    ]


def test_legs_of_one_request_are_not_look_alikes_of_each_other() -> None:
    limits = RiskLimits(lookalike_s=10)
    ledger = Ledger()
    ledger.enter(msgspec.structs.replace(entry(0, 10), request=7, at_s=999.0))

    own = first_failure(check_risk(limits, ledger, candidate(request=7), scope="global"))
    other = first_failure(check_risk(limits, ledger, candidate(request=8), scope="global"))

    assert own is None
    assert other is not None and other.check == "lookalike"


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (RiskLimits(max_day_value=Decimal(0)), "max_day_value"),
        (RiskLimits(max_daily_loss=Decimal("NaN")), "max_daily_loss"),
        (
            RiskLimits(price_collar_percent={InstrumentType.EQ: Decimal(101)}),
            "price_collar_percent",
        ),
        (RiskLimits(max_order_quantity=11, max_day_quantity=10), "max_order_quantity"),
        (RiskLimits(max_order_value=Decimal(2), max_day_value=Decimal(1)), "max_order_value"),
        (
            RiskLimits(max_instrument_value=Decimal(2), max_day_value=Decimal(1)),
            "max_instrument_value",
        ),
        (
            RiskLimits(allowed_products=(Product.CNC,), banned_products=(Product.CNC,)),
            "allowed_products",
        ),
        (
            RiskLimits(allowed_instruments=("NSE:SBIN",), banned_instruments=("NSE:*",)),
            "allowed_instruments",
        ),
    ],
)
def test_what_is_no_limit_or_contradicts_another_is_named(limits: RiskLimits, field: str) -> None:
    assert [name for name, _ in problems_of_limits(limits)] == [field]


def test_a_ban_inside_what_is_allowed_is_no_contradiction() -> None:
    limits = RiskLimits(allowed_instruments=("NSE:*",), banned_instruments=("NSE:SBIN",))

    assert list(problems_of_limits(limits)) == []

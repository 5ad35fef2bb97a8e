"""What broker simulators inherit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.sdk.models import Exchange
from adapters.sdk.simulator import IST, CallKind, ManualClock, SimRequest, totp_code
from tests.simulator.toy import ToyBroker

START = datetime(2026, 11, 23, 10, 0, tzinfo=IST)


def test_today_is_the_clocks_day_unless_given() -> None:
    assert date(2026, 11, 23) == ToyBroker(clock=ManualClock(START)).universe.today
    assert date(2026, 1, 2) == ToyBroker(today=date(2026, 1, 2)).universe.today


def test_options_reach_market_engine_and_broker() -> None:
    broker = ToyBroker(options={"rows": 5000, "book_lag_ms": 3, "greeting": "namaste"})
    assert (5000, 3) == (len(broker.universe), broker.engine.settings.book_lag_ms)
    assert {"greeting": "namaste"} == broker.options


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="lag"):
        ToyBroker(options={"lag": 3})


def test_tokens_die_at_their_time() -> None:
    clock = ManualClock(START)
    broker = ToyBroker(clock=clock)
    broker.open_session("t", client_id="C", expires_at=START + timedelta(milliseconds=10))
    session = broker.session_of("t")
    assert session is not None
    assert "C" == session.client_id
    assert broker.session_of("other") is None
    clock.advance(ms=10)
    assert broker.session_of("t") is None


def test_one_time_passwords_come_from_the_seed() -> None:
    first, same, other = ToyBroker(seed=1), ToyBroker(seed=1), ToyBroker(seed=2)
    sequence = [first.new_otp() for _ in range(5)]
    assert sequence == [same.new_otp() for _ in range(5)]
    assert sequence != [other.new_otp() for _ in range(5)]


def test_holdings_of_the_account_are_known() -> None:
    account = ToyBroker().engine.account
    assert [("NSE:SBIN", 50), ("NSE:INFY", 20)] == [
        (holding.contract.instrument, holding.quantity) for holding in account.holdings
    ]
    assert Decimal(1_000_000_000) == account.funds.available


def test_most_order_messages_within_one_second_are_kept() -> None:
    clock = ManualClock(START)
    broker = ToyBroker(clock=clock)
    for wait_ms in (0, 300, 300, 399, 1, 5000):
        clock.advance(ms=wait_ms)
        broker.record(SimRequest("POST", "/v1/orders", kind=CallKind.PLACE))
        broker.record(SimRequest("GET", "/v1/orders", kind=CallKind.BOOK))
    assert 4 == broker.peak_order_messages


def test_synthetic_rows_can_be_traded() -> None:
    broker = ToyBroker(options={"rows": 5000, "ack_delay_ms": 0, "fill_delay_ms": 0})
    contract = broker.universe.by_instrument("NSE:SYN00002")
    assert contract is not None
    request = SimRequest(
        "POST", "/v1/orders", body=b'{"token":%d,"price":"%s"}' % (contract.token, b"137.00")
    )
    assert 200 == broker.handle(request).status
    assert contract == broker.engine.orders[0].contract
    assert broker.universe.by_token(Exchange.NSE, contract.token) == contract


# RFC 6238, appendix B (SHA-1; the last six of its eight digits).
@pytest.mark.parametrize(
    ("epoch_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_totp_agrees_with_the_rfc(epoch_s: int, code: str) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert code == totp_code(secret, datetime.fromtimestamp(epoch_s, UTC))


def test_clock_wants_aware_times() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 11, 23))  # noqa: DTZ001

"""Every status word of dossier 5.9, and quantities over words."""

from __future__ import annotations

import pytest

from adapters.hdfc.statuses import order_state
from adapters.sdk.models import BrokerOrderState as State


def state_of(
    status: str,
    filled: int = 0,
    *,
    quantity: int = 10,
    pending: int | None = None,
    at_exchange: bool = False,
    is_stop: bool = False,
) -> State | None:
    return order_state(
        status,
        quantity=quantity,
        filled=filled,
        pending=quantity - filled if pending is None else pending,
        at_exchange=at_exchange,
        is_stop=is_stop,
    )


@pytest.mark.parametrize(
    "word", ["Traded", "EXECUTED", "Complete", "COMPLETED", "fully_executed", "PARTIALLY TRADED"]
)
def test_traded_words_mean_filled_only_when_all_is_filled(word: str) -> None:
    assert state_of(word, 10) is State.FILLED
    assert state_of(word, 4) is State.PARTIALLY_FILLED
    assert state_of(word, 0) is State.OPEN
    assert state_of(word, 0, pending=0) is None


@pytest.mark.parametrize(
    "word",
    ["CANCELLED", "Canceled", "CANCEL_CONFIRMED", "BATCH CANCEL CONFIRMED", "AMO-CANCEL-CONFIRMED"],
)
def test_cancel_words_are_final_whatever_has_filled(word: str) -> None:
    assert state_of(word, 0, pending=0) is State.CANCELLED
    assert state_of(word, 4, pending=0) is State.CANCELLED


@pytest.mark.parametrize(
    "word",
    [
        "CANCEL REJECTED",
        "Modify_Rejected",
        "MODIFY PENDING",
        "CANCEL PENDING",
        "CANCEL ACCEPTED",
        "MODIFY ACCEPTED",
    ],
)
def test_refused_or_pending_requests_leave_the_order_alive(word: str) -> None:
    assert state_of(word) is State.OPEN
    assert state_of(word, 4) is State.PARTIALLY_FILLED


@pytest.mark.parametrize(
    "word", ["OPEN", "CONFIRMED", "MODIFIED", "MODIFY CONFIRMED", "PLACED", "AMO NEW CONFIRMED"]
)
def test_resting_words(word: str) -> None:
    assert state_of(word) is State.OPEN
    assert state_of(word, 4) is State.PARTIALLY_FILLED
    assert state_of(word, is_stop=True) is State.TRIGGER_PENDING


@pytest.mark.parametrize("word", ["Pending", "ACCEPTED", "RECEIVED"])
def test_pending_words_are_open_once_the_exchange_gave_an_id(word: str) -> None:
    assert state_of(word) is State.PENDING
    assert state_of(word, at_exchange=True) is State.OPEN


@pytest.mark.parametrize(
    "word",
    [
        "TRANSIT",
        "UNACCEPTED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "EXCHANGE RESPONSE PENDING",
        "RMS VALIDATION COMPLETED",
        "AMO REQ RECEIVED",
        "AFTER MARKET ORDER REQ RECEIVED",
    ],
)
def test_words_for_not_yet_at_the_exchange(word: str) -> None:
    assert state_of(word, at_exchange=True) is State.PENDING


@pytest.mark.parametrize("word", ["TRIGGER PENDING", "SL_TRIGGER_PENDING", "SL TRIGGER CONFIRMED"])
def test_trigger_words(word: str) -> None:
    assert state_of(word, is_stop=True) is State.TRIGGER_PENDING
    assert state_of(word, 4, is_stop=True) is State.PARTIALLY_FILLED


def test_rejected_and_expired_are_final() -> None:
    assert state_of("Rejected", pending=0) is State.REJECTED
    assert state_of("EXPIRED", pending=0) is State.EXPIRED


def test_quantities_win_over_words() -> None:
    assert state_of("OPEN", 10) is State.FILLED
    assert state_of("CANCELLED", 10) is State.FILLED
    assert state_of("Rejected", 4) is State.PARTIALLY_FILLED
    assert state_of("PARTLY TRADED", 10) is State.FILLED


@pytest.mark.parametrize("word", ["", "FROZEN", "TRADED-ISH", "NEW"])
@pytest.mark.parametrize("filled", [0, 4, 10])
def test_unknown_words_change_nothing(word: str, filled: int) -> None:
    assert state_of(word, filled) is None

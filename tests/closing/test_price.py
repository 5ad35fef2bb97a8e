"""The limit that closes: inside the account's band and the day's, on the tick."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from adapters.sdk.models import Side
from gateway.orchestrator.closing import protected_price
from tests.closing.test_shares import SBIN

ACCOUNT: Any = SimpleNamespace(policy=SimpleNamespace(protect_band={"EQ": Decimal(1)}))


@pytest.mark.parametrize(
    ("side", "last", "band", "wanted"),
    [
        (Side.SELL, "812.50", {}, "804.40"),
        (Side.BUY, "812.50", {}, "820.60"),
        (Side.SELL, "812.50", {"band_low": Decimal("810.03")}, "810.05"),
        (Side.BUY, "812.50", {"band_high": Decimal("815.03")}, "815.00"),
        (Side.SELL, "812.50", {"band_low": Decimal("700.00")}, "804.40"),
        (Side.SELL, "0.05", {}, "0.05"),
        (Side.SELL, "0", {}, None),
    ],
)
def test_a_closing_limit_is_in_the_accounts_band_and_in_the_days(side, last, band, wanted):
    instrument = msgspec.structs.replace(SBIN, **band)

    price = protected_price(ACCOUNT, instrument, side, Decimal(last))

    assert price == (Decimal(wanted) if wanted else None)

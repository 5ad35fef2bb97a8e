"""Payloads and answers that several test modules need."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import adapters.hdfc
from adapters.hdfc.envelope import Answer, read_answer
from adapters.sdk.models import (
    Exchange,
    Instrument,
    InstrumentType,
    OptionType,
    OrderType,
    PlaceOrder,
    Product,
    Side,
    Validity,
)

PAYLOADS = Path(adapters.hdfc.__file__).parent / "payloads"

WIPRO = Instrument(
    instrument="NSE:WIPRO",
    exchange=Exchange.NSE,
    symbol="WIPRO",
    name="WIPRO",
    type=InstrumentType.EQ,
    lot_size=1,
    tick_size=Decimal("0.05"),
    codes={"exchange": "NSE", "security_id": "WIPLTDEQNR", "instrument_segment": "EQUITY"},
)

BANKNIFTY_PUT = Instrument(
    instrument="NFO:BANKNIFTY29SEP2671000PE",
    exchange=Exchange.NFO,
    symbol="BANKNIFTY29SEP2671000PE",
    name="BANKNIFTY29SEP2671000PE",
    type=InstrumentType.OPT,
    lot_size=30,
    tick_size=Decimal("0.05"),
    codes={
        "exchange": "NSE",
        "security_id": "70528",
        "instrument_segment": "OPTIDX",
        "underlying_symbol": "BANKNIFTEQNR",
    },
    underlying="BANKNIFTY",
    expiry=date(2026, 9, 29),
    strike=Decimal("71000"),
    option_type=OptionType.PE,
)


def payload(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def answer_of(body: Any, status: int = 200, secrets: tuple[str, ...] = ()) -> Answer:
    """Wrap bytes, or anything that JSON can say, as an answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, content, secrets)


def order(instrument: Instrument = WIPRO, **changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {
        "broker_tag": 176300000012301,
        "instrument": instrument,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "validity": Validity.DAY,
        "quantity": 1,
        "price": Decimal("458"),
    }
    return PlaceOrder(**(fields | changes))

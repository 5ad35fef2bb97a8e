"""How an instrument stands in the masters' file, and what is told of a whole master."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from adapters.sdk.models import Exchange, Instrument, InstrumentType, OptionType


class MasterRow(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """An instrument as stored: an array instead of an object, since names repeat per row."""

    symbol: str
    name: str
    type: InstrumentType
    lot_size: int
    tick_size: Decimal
    codes: dict[str, str]
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: OptionType | None = None
    freeze_quantity: int | None = None
    isin: str | None = None
    band_low: Decimal | None = None
    band_high: Decimal | None = None


class ChangedTerm(msgspec.Struct, frozen=True, kw_only=True):
    """A contract whose lot, tick or freeze quantity is not what the copy before said."""

    instrument: str
    field: str
    was: str | None
    now: str | None


class MasterChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a master has that the copy before it had not, and the reverse.

    `gone` are contracts that vanished before their expiry day was over; those that `expired`
    are counted apart. The lists name the first few; the figures count all.
    """

    previous_rows: int
    added: int = 0
    gone: int = 0
    expired: int = 0
    changed: int = 0
    added_instruments: list[str] = []
    gone_instruments: list[str] = []
    changed_terms: list[ChangedTerm] = []


class MasterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` is None for a first copy, which has nothing to be compared with."""

    broker: str
    rows: int
    loaded_us: int
    changes: MasterChanges | None = None


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry day of an underlying's futures or options on one exchange, at one broker."""

    broker: str
    exchange: Exchange
    type: InstrumentType
    underlying: str
    expiry: date


class AmbiguousInstrument(LookupError):
    """One canonical id stands for two contracts in a broker's master."""


class MasterTooShort(ValueError):
    """A new master lost so many rows that it is more likely cut short than true."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MasterRow).decode


def packed(item: Instrument) -> bytes:
    """Encode an instrument; its id and exchange are the key that it is stored under."""
    return _encode(
        MasterRow(
            item.symbol,
            item.name,
            item.type,
            item.lot_size,
            item.tick_size,
            item.codes,
            item.underlying,
            item.expiry,
            item.strike,
            item.option_type,
            item.freeze_quantity,
            item.isin,
            item.band_low,
            item.band_high,
        )
    )


def unpacked(instrument: str, data: bytes) -> Instrument:
    row = _decode(data)
    return Instrument(
        instrument=instrument,
        exchange=Exchange(instrument.partition(":")[0]),
        symbol=row.symbol,
        name=row.name,
        type=row.type,
        lot_size=row.lot_size,
        tick_size=row.tick_size,
        codes=row.codes,
        underlying=row.underlying,
        expiry=row.expiry,
        strike=row.strike,
        option_type=row.option_type,
        freeze_quantity=row.freeze_quantity,
        isin=row.isin,
        band_low=row.band_low,
        band_high=row.band_high,
    )


def terms_of(item: Instrument) -> str:
    """Write what changes of a contract are told: lot, tick and freeze quantity."""
    return f"{item.lot_size}|{item.tick_size}|{item.freeze_quantity or ''}"


def contract_of(codes: Mapping[str, str], code_keys: Sequence[str]) -> str | None:
    """Join the broker's codes that together name a contract, or None where one is missing."""
    values = [codes.get(key) for key in code_keys]
    return "\x1f".join(filter(None, values)) if values and all(values) else None

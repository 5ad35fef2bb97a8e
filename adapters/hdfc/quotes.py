"""Which instruments go into which last-price call (dossier hdfc 8.1). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from adapters.hdfc.config import LTP_BATCH
from adapters.hdfc.constants import LTP_EXCHANGES, LTP_INDEX_SUFFIX
from adapters.sdk.models import Instrument, InstrumentType

Batch = dict[str, tuple[str, str]]


def batches(instruments: Iterable[Instrument]) -> Iterator[Batch]:
    """Group instruments into calls, each a map of token to (exchange word, canonical id).

    No token stands twice in a call, because the answer may leave the exchange blank. What
    cannot be asked for without doubt (currency, commodities) is left out.
    """
    waiting: list[Batch] = []
    for instrument in instruments:
        token = instrument.codes.get("token")
        if instrument.exchange not in LTP_EXCHANGES or not token:
            continue
        suffix = LTP_INDEX_SUFFIX if instrument.type is InstrumentType.INDEX else ""
        asked = (f"{instrument.exchange}{suffix}", instrument.instrument)
        for batch in waiting:
            if len(batch) < LTP_BATCH and token not in batch:
                batch[token] = asked
                break
        else:
            waiting.append({token: asked})
    yield from waiting


def items_of(batch: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """Write a call's items; tokens go out as text and come back as numbers."""
    return [{"exchange": word, "token": token} for token, (word, _) in batch.items()]

"""The practice broker's list of instruments: a borrowed one, the synthetic one, or both.

A file holds one instrument as JSON per line, by ascending canonical id, so that lists are
merged without holding any. Its last line says how many there are, so that one cut short shows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from adapters.paper.config import CODE
from adapters.paper.contracts import instrument_of
from adapters.sdk.models import Instrument
from adapters.sdk.simulator import Universe

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Instrument).decode


def write_universe(universe: Universe, path: Path) -> None:
    """Write the synthetic market as such a file."""
    rows = sorted(universe.contracts(), key=lambda contract: contract.instrument)
    with path.open("wb") as file:
        file.writelines(_encode(instrument_of(contract)) + b"\n" for contract in rows)
        file.write(b'{"rows":%d}\n' % len(rows))


def read_master(files: Iterable[Path]) -> Iterator[Instrument]:
    """Merge the files row by row; of one canonical id, the row of the earlier file counts.

    Raises: `ValueError` naming file and row.
    """
    last = ""
    for item in heapq.merge(*map(_rows, files), key=lambda item: item.instrument):
        if item.instrument == last:
            continue
        last = item.instrument
        yield msgspec.structs.replace(item, codes={**item.codes, CODE: item.instrument})


def _rows(path: Path) -> Iterator[Instrument]:
    number = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line == b'{"rows":%d}\n' % (number - 1):
                break
            try:
                yield _decode(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"{path.name} row {number}: {error}") from error
        else:
            raise ValueError(f"{path.name} row {number}: is the last, and does not say so")
        if file.read(1):
            raise ValueError(f"{path.name} row {number}: is not the last, as it says")

"""Answers that are a little wrong: one value of a real answer changed or taken away.

Whatever a broker sends, an adapter answers with our models or raises our errors, and it never
claims of a write what a changed answer no longer proves.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench, Gate
from adapters.sdk.conformance.reads import account_reads, buy
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import GatewayError, NotSent, OutcomeUnknown, Refused
from adapters.sdk.simulator import SimRequest, SimResponse

_GONE = object()
_OTHERS: tuple[Any, ...] = (_GONE, None, "", "?", [], {}, [None], -1, True, 10**30)
_MOST_PLACES = 60

Path = tuple[str | int, ...]


class MutationTests(Setup):
    """Answers that are a little wrong."""

    async def test_changed_answer_to_a_place_never_denies_the_order(self, bench: Bench) -> None:
        self.needs_wire()
        answers = await self._seen(bench, lambda: bench.place())
        for place, other in _changes(answers[-1]):
            bench.simulator.engine.reset()
            order = bench.order()
            told = f"place_order, its answer changed at {_shown(place, other)}"
            with _Changed(bench, len(answers) - 1, place, other) as changed:
                try:
                    placed = await bench.adapter.place_order(bench.session, order, Gate())
                except (Refused, NotSent) as error:
                    raise broken(
                        Rule.EVIDENCE, f"{told}: the exchange has the order, not {error!r}"
                    ) from error
                except OutcomeUnknown as error:
                    bench.keeps_secrets(error)
                except GatewayError as error:
                    bench.keeps_secrets(error)
                except Exception as error:
                    raise broken(Rule.EVIDENCE, f"{told} raises {error!r}") from error
                else:
                    real = bench.ledger[-1].broker_order_id
                    require(
                        placed.broker_order_id == real or changed.took(real),
                        Rule.EVIDENCE,
                        f"{told}: the order is {real}, not {placed.broker_order_id}",
                    )

    async def test_changed_answer_to_a_read_is_read_whole_or_raises(self, bench: Bench) -> None:
        self.needs_wire()
        await buy(bench, units_of_a_lot=1)
        await bench.place()
        for name, call in account_reads(bench).items():
            answers = await self._seen(bench, lambda call=call: call(bench.adapter))  # type: ignore[misc]
            whole = await call(bench.adapter)
            for number, answer in enumerate(answers):
                for place, other in _changes(answer):
                    with _Changed(bench, number, place, other):
                        found = await self._read(
                            bench, f"{name} changed at {_shown(place, other)}", call
                        )
                    in_a_row = any(isinstance(step, int) for step in place[1:])
                    if isinstance(found, list) and in_a_row and name not in self.filters:
                        require(
                            len(found) >= len(whole),
                            Rule.WHOLE,
                            f"{name} changed at {_shown(place, other)}: {len(found)} of"
                            f" {len(whole)} rows are shown. A row that cannot be read fails the"
                            " whole read (or name the read in `filters`, with the source)",
                        )

    async def _read(self, bench: Bench, told: str, call: Callable[[Any], Awaitable[Any]]) -> object:
        """Return what a changed answer is read as, None when it raises as it should."""
        try:
            return await call(bench.adapter)
        except GatewayError as error:
            bench.keeps_secrets(error)
            return None
        except Exception as error:
            raise broken(
                Rule.WHOLE, f"{told} raises {error!r}; what cannot be read is BadAnswer"
            ) from error

    async def _seen(self, bench: Bench, call: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Every JSON answer that the simulator gives while this runs."""
        seen: list[Any] = []
        with _Watched(bench, seen.append):
            await call()
        return seen


class _Watched:
    """Shows each JSON answer of the simulator to `look`, which may return another in its place."""

    def __init__(self, bench: Bench, look: Callable[[Any], Any]) -> None:
        self._bench = bench
        self._look = look
        self._handle = bench.simulator.handle

    def __enter__(self) -> _Watched:
        vars(self._bench.simulator)["handle"] = self._answer
        return self

    def __exit__(self, *exc: object) -> None:
        self._bench.heal()

    def _answer(self, request: SimRequest) -> SimResponse:
        response = self._handle(request)
        if not isinstance(response.body, bytes):
            return response
        try:
            value = msgspec.json.decode(response.body)
        except msgspec.DecodeError:
            return response
        changed = self._look(value)
        if changed is not None:
            response.body = msgspec.json.encode(changed[0])
        return response


class _Changed(_Watched):
    """Changes the answer number `number` at one place."""

    def __init__(self, bench: Bench, number: int, place: Path, other: Any) -> None:
        super().__init__(bench, self._change)
        self._left = number
        self._place = place
        self._other = other
        self._was: Any = None

    def __enter__(self) -> _Changed:
        super().__enter__()
        return self

    def took(self, text: str) -> bool:
        """Whether what was changed held this text."""
        return text in str(self._was)

    def _change(self, value: Any) -> Any:
        self._left -= 1
        if self._left != -1:
            return None
        holder, (*way, last) = value, self._place
        for step in way:
            holder = holder[step]
        self._was = holder[last]
        if self._other is _GONE:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(self._other)
        return (value,)


def _changes(answer: Any) -> Iterator[tuple[Path, Any]]:
    places = list(_places(answer))
    # A wide row is looked at in full, a long list by its first rows.
    for place in places[:_MOST_PLACES]:
        for other in _OTHERS:
            # A shorter list is another answer, and a good one.
            if not (other is _GONE and isinstance(place[-1], int)):
                yield place, other


def _places(value: Any, above: Path = ()) -> Iterator[Path]:
    """Every place of a JSON value, outer ones first; of a list only the first entry."""
    steps: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value[:1]))
    for step, inner in steps:
        yield (*above, step)
        yield from _places(inner, (*above, step))


def _shown(place: Path, other: Any) -> str:
    where = ".".join(map(str, place))
    return f"{where}, taken away" if other is _GONE else f"{where}, now {other!r}"

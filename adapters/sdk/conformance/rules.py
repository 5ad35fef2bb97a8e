"""The rules that the suite holds an adapter to, and how a broken one is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

GUIDE = "docs/adapters.md"


class Rule(Enum):
    """Each rule in a sentence, and the heading of the guide that explains it."""

    FINISHED = ("every call that the capabilities declare is written", "order-of-work")
    LOGIN = ("a login is one step at a time, proven, and never repeated by the adapter", "login")
    DECLARED = ("what is declared works; what is not is refused, unsent", "capabilities")
    FIELDS = ("an order stands in the book with the values that it was sent with", "orders")
    TAG = ("the tag comes back as `tag_echo` promises", "orders")
    ONE_WRITE = ("a write leaves once: no repetition, no redirect, no second try", "writes")
    PROTOCOL = ("nothing is sent that the broker's documents forbid", "the-simulator")
    GATE = ("the gateway's gate is handed to the transport, and its no is final", "writes")
    EVIDENCE = ("`Refused` and `NotSent` need evidence; all else is unknown", "errors")
    WHOLE = ("a read is whole and good, or it raises: never a part", "reads")
    VALUES = ("money is Decimal, quantities are units, times are aware", "models")
    CANDLES = ("candles are in bounds, in order, in IST, and none is made up", "candles")
    MASTER = ("a master is streamed, and a damaged one raises ValueError", "instrument-master")
    SECRETS = ("no secret stands in a repr or in an error", "secrets")

    @property
    def text(self) -> str:
        return self.value[0]

    @property
    def where(self) -> str:
        return f"{GUIDE}#{self.value[1]}"


def broken(rule: Rule, what: str) -> BaseException:
    """Make the failure to raise: what happened, which rule that breaks, where it is explained."""
    words = f"{what}\n  rule: {rule.text}\n  see:  {rule.where}"
    return pytest.fail.Exception(words, pytrace=False)


def require(ok: object, rule: Rule, what: str) -> None:
    """Fail the test unless `ok`."""
    if not ok:
        raise broken(rule, what)


class Teaching:
    """Hands every call on to an adapter, and turns a stub's NotImplementedError into advice."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._wrapped, name)
        except NotImplementedError as error:
            raise _unfinished(name, error) from None
        return _taught(name, value) if callable(value) else value

    def __repr__(self) -> str:
        return repr(self._wrapped)


def _taught(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(call):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await call(*args, **kwargs)
            except NotImplementedError as error:
                raise _unfinished(name, error) from None

        return awaited

    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            result = call(*args, **kwargs)
        except NotImplementedError as error:
            raise _unfinished(name, error) from None
        return _taught_rows(name, result) if inspect.isgenerator(result) else result

    return called


def _taught_rows(name: str, rows: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from rows
    except NotImplementedError as error:
        raise _unfinished(name, error) from None


def _unfinished(name: str, error: NotImplementedError) -> BaseException:
    said = str(error) or "it raises NotImplementedError"
    return broken(
        Rule.FINISHED,
        f"`{name}` is not finished: {said}\n"
        f"  how:  the docstring of `Adapter.{name}` in adapters/sdk/interface.py says what it owes."
        " Where the broker has no such thing, leave the method to BaseAdapter and the feature out"
        " of the capabilities.",
    )

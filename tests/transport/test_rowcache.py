"""Rows that are there again are not read again, and never taken for others."""

from __future__ import annotations

import msgspec
import pytest

from adapters.sdk.errors import BadAnswer
from adapters.sdk.rowcache import RowCache


class Reader:
    """Reads an array of numbers, and remembers which it was given."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []

    def __call__(self, array: msgspec.Raw) -> list[int]:
        numbers = msgspec.json.decode(array, type=list[int])
        self.given.append(numbers)
        return [10 * number for number in numbers]


def raws(*numbers: object) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(number)) for number in numbers]


def test_only_new_and_changed_rows_are_read_and_the_order_is_the_lists_own():
    cache, reader = RowCache[int](), Reader()
    assert [10, 20] == cache.read(raws(1, 2), reader)
    assert [30, 20, 10] == cache.read(raws(3, 2, 1), reader)
    assert [[1, 2], [3]] == reader.given


def test_a_row_that_was_gone_is_read_anew():
    cache, reader = RowCache[int](), Reader()
    cache.read(raws(1, 2), reader)
    cache.read(raws(1), reader)
    assert [10, 20] == cache.read(raws(1, 2), reader)
    assert [[1, 2], [2]] == reader.given


def test_equal_rows_each_count():
    cache, reader = RowCache[int](), Reader()
    assert [10, 10, 20] == cache.read(raws(1, 1, 2), reader)
    assert [10, 20, 10] == cache.read(raws(1, 2, 1), reader)
    assert [[1, 2]] == reader.given


def test_a_list_that_cannot_be_read_leaves_what_was_known():
    cache, reader = RowCache[int](), Reader()
    cache.read(raws(1), reader)
    with pytest.raises(msgspec.ValidationError):
        cache.read(raws(1, "two"), reader)
    assert [10] == cache.read(raws(1), reader)
    assert [[1]] == reader.given


def test_a_reader_that_loses_a_row_is_not_believed():
    cache = RowCache[int]()
    with pytest.raises(BadAnswer):
        cache.read(raws(1, 2), lambda array: [10])
    assert [10, 20] == cache.read(raws(1, 2), Reader())


def test_no_rows_are_no_values_and_nothing_is_asked():
    cache, reader = RowCache[int](), Reader()
    cache.read(raws(1), reader)
    assert [] == cache.read([], reader)
    assert [10] == cache.read(raws(1), reader)
    assert [[1], [1]] == reader.given

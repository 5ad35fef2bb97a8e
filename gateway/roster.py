"""What is configured by name and can change while the gateway runs: accounts, groups."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TypeVar

T = TypeVar("T")


class Roster(Mapping[str, T]):
    """A mapping that is only ever replaced as a whole.

    Whoever walks over it sees the whole old or the whole new one, also across an await.
    """

    def __init__(self, items: Mapping[str, T]) -> None:
        self._items = dict(items)

    def replace(self, items: Mapping[str, T]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    # The views of `Mapping` would look names up one by one, in whatever stands by then.
    def values(self) -> ValuesView[T]:
        return self._items.values()

    def items(self) -> ItemsView[str, T]:
        return self._items.items()

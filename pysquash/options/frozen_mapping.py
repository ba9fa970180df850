"""Frozen mapping: a mapping for options, which cannot be changed, and can be hashed and pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["FrozenMapping"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FrozenMapping(Mapping[_Key, _Value]):
    """Holds what it was given at first; equal to every mapping that holds the same."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[_Key, _Value]) -> None:
        """Take a copy; every value can be hashed."""
        self._values = dict(values)

    def __getitem__(self, name: _Key) -> _Value:
        return self._values[name]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return self._values == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._values)

"""Reader: what was decompressed a moment ago, and is likely to be asked for again.

In: values by their keys. Out: the same, as long as they are among those used last.
Rules kept here: a cache holds so many values and no more; threads may use it at the same time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Cache"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """The values used last."""

    __slots__ = ("_limit", "_lock", "_values")

    def __init__(self, limit: int) -> None:
        """Start empty.

        Args:
            limit: How many values to keep, at least 1.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Give a value that was put here, or None where it is not, or no longer."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, in place of the one unused for longest."""
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._limit:
                self._values.popitem(last=False)

"""Sources: how long a path inside the image may be, the same for every source."""

from __future__ import annotations

from pysquash.errors import LimitError, printable
from pysquash.options.limits import Limits

__all__ = ["check_path_limits"]


_SHOWN_SIZE = 300


def check_path_limits(path: bytes, longest_size: int, depth: int, limits: Limits, *, source: str) -> None:
    """Refuse a path that is longer or deeper than the limits.

    Args:
        path: The path inside the image.
        longest_size: Bytes in its longest component.
        depth: Components in it.
        limits: path_size, component_size and depth are kept here.
        source: What messages call the source; "" for none.

    Raises:
        LimitError: One of the three is exceeded.
    """
    if len(path) <= limits.path_size and longest_size <= limits.component_size and depth <= limits.depth:
        return
    where = f"{source}: {printable(path)[:_SHOWN_SIZE]}" if source else printable(path)[:_SHOWN_SIZE]
    if len(path) > limits.path_size:
        raise LimitError("path size", len(path), limits.path_size, where=where, name="path_size")
    if longest_size > limits.component_size:
        raise LimitError("component size", longest_size, limits.component_size, where=where)
    raise LimitError("path depth", depth, limits.depth, where=where, name="depth")

"""Sources: how long a path inside the image may be, the same for every source."""

from __future__ import annotations

from pysquash.errors import LimitError
from pysquash.options import Limits

__all__ = ["check_path_limits"]


def check_path_limits(path_size: int, component_size: int, depth: int, limits: Limits, *, where: str) -> None:
    """Refuse a path that is longer or deeper than the limits.

    Args:
        path_size: Bytes in the path.
        component_size: Bytes in its longest component.
        depth: Components in it.
        limits: path_size, component_size and depth are kept here.
        where: Which source, and which path.

    Raises:
        LimitError: One of the three is exceeded.
    """
    if path_size > limits.path_size:
        raise LimitError("path size", path_size, limits.path_size, where=where)
    if component_size > limits.component_size:
        raise LimitError("component size", component_size, limits.component_size, where=where)
    if depth > limits.depth:
        raise LimitError("path depth", depth, limits.depth, where=where)

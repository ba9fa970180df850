"""Sorting: the order in which contents are stored, where it is not that in which they are read.

In: contents as they come, set aside in the spool, and the tree that they end up in. Out: those that are in the tree,
stored in the order that the options ask for.
Rules kept here: a content that several names share is stored where the first of them would be; content that is in no
tree is not stored; of a path and the directories above it, the nearest that has a priority counts.
Not here: the spool itself (spool), which contents seem to be hidden (packing/layer_reader).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pysquash.content.digests import Verification
from pysquash.content.spool import Spool, Spooled
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Kind, Segment
from pysquash.tree.node import Node

__all__ = ["files", "setting_aside", "store_spooled"]

Store = Callable[[int, Callable[[int], bytes], tuple[Segment, ...] | None], object]


class _Waiting(Spooled):
    """Content that waits for its turn only, and not because it seemed needless."""

    __slots__ = ()


def setting_aside(store: Store, spool: Spool, options: WriterOptions) -> Store:
    """Give what takes contents while they are read: what stores them, unless their order has to be found first.

    Args:
        store: Stores a content.
        spool: Where they wait.
        options: Say whether they have an order.
    """
    if not options.is_sorted:
        return store

    def set_aside(size: int, read: Callable[[int], bytes], segments: tuple[Segment, ...] | None = None) -> object:
        if not size:
            return store(size, read, segments)
        stored_size = size if segments is None else sum(length for _, length in segments)
        return _Waiting(*spool.add(size, stored_size, read, segments))

    return set_aside


def store_spooled(root: Node, store: Store, spool: Spool, options: WriterOptions, verification: Verification) -> int:
    """Store what was set aside and is in the tree after all.

    Args:
        root: The tree.
        store: Stores a content.
        spool: Where they are.
        options: In which order; that in which they were read, where they say nothing.
        verification: Told of what moved.

    Returns:
        How many of them had seemed needless.
    """
    if not spool.end and not options.is_sorted:
        return 0
    count = 0
    for node in _in_order(root, options):
        spooled = node.data
        if isinstance(spooled, Spooled):  # else a hard link of one stored in this loop
            count += not isinstance(spooled, _Waiting)
            node.data = store(spooled.size, spool.reader(spooled), spooled.segments)
            verification.moved(spooled, node.data)
    return count


def files(root: Node) -> Iterator[Node]:
    """Yield every node of a regular file, once for each of its names."""
    return (node for _, _, node in _named_files(root, None))


def _in_order(root: Node, options: WriterOptions) -> list[Node]:
    """List the files whose content was set aside."""
    rows = [
        (path, priority, node, node.data)
        for path, priority, node in _named_files(root, options.priority_of if options.sort_priorities else None)
        if isinstance(node.data, Spooled)
    ]
    if options.sort_by == "size":
        rows.sort(key=lambda row: (-row[1], row[3].size, row[0].split(b"/")))
    elif options.sort_by == "path":
        rows.sort(key=lambda row: (-row[1], row[0].split(b"/")))
    else:
        rows.sort(key=lambda row: (-row[1], row[3].start))
    return [row[2] for row in rows]


def _named_files(root: Node, priority_of: Callable[[bytes], int | None] | None) -> Iterator[tuple[bytes, int, Node]]:
    """Yield every name of a regular file with its priority, 0 unless something says otherwise."""
    of_all = None if priority_of is None else priority_of(b"")
    waiting = [(b"", of_all or 0, root)]
    while waiting:
        path, priority, directory = waiting.pop()
        prefix = path + b"/" if path else b""
        for name, node in directory.names.items():
            if node.children is None and node.kind is not Kind.FILE:
                continue
            below = prefix + name
            own = None if priority_of is None else priority_of(below)
            row = below, priority if own is None else own, node
            if node.children is not None:
                waiting.append(row)
            else:
                yield row

"""Follow: finds what is at a path of a finished tree, as programs in the image will see it.

In: a tree, and a path. Out: the node that it leads to.
Rules kept here: symlinks are followed whatever the options say of layers; an absolute target starts at the root, and
`..` stops there.
Not here: the way of entries into a tree that is being made (tree/paths).
"""

from __future__ import annotations

from pysquash.tree.entry import Kind
from pysquash.tree.node import Node

__all__ = ["follow"]


def follow(root: Node, path: bytes, *, limit: int, to_the_end: bool = True) -> Node | None:
    """Give the node at a path; None where there is none, or symlinks go in circles.

    Args:
        root: The tree's root.
        path: From there.
        limit: Symlinks followed at most.
        to_the_end: Whether the last component is followed, too.
    """
    nodes = [root]  # where we are, and how we came
    left = path.split(b"/")[::-1]
    while left:
        name = left.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if len(nodes) > 1:
                nodes.pop()
            continue
        node = (nodes[-1].children or {}).get(name)
        if node is None:
            return None
        if node.kind is Kind.SYMLINK and (left or to_the_end):
            limit -= 1
            if limit < 0:
                return None
            if node.target.startswith(b"/"):
                del nodes[1:]
            left += node.target.split(b"/")[::-1]
            continue
        nodes.append(node)
    return nodes[-1]

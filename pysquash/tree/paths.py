"""Paths: turns a path of a layer into a place in the tree, through symlinks, without ever leaving the image.

In: paths as entries have them, and the tree so far. Out: the directory, or the node, that they lead to.
Rules kept here: the parents of a path are followed, its last component is not; an absolute target starts at the image's
root and `..` stops there; at most `limits.symlink_steps` symlinks and `limits.path_steps` components for one path; what
is missing on the way to an entry becomes an implied directory, at most `limits.depth` deep.
Not here: what happens at the place (tree/merge).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NoReturn

from pysquash.errors import LimitError, MergeError, printable
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.node import Node

__all__ = ["Paths"]

_SYMLINK = Kind.SYMLINK
_KNOWN_SIZE = 1 << 16
_SHOWN_PATH_SIZE = 200


class Paths:
    """The way to every place in a tree.

    Attributes:
        source: What messages call the layer whose paths these are.
        known: Where paths led before, because most entries share their parent with one before. Read it freely.
        implicit_count: How many directories were made because something is in them.
    """

    def __init__(self, root: Node, options: WriterOptions, is_made: Callable[[Node, bytes, Node], bool]) -> None:
        """Start with a tree that is a root.

        Args:
            root: The root directory.
            options: parent_symlinks, source_date_epoch and limits are kept here.
            is_made: Tells of a directory, a name in it and its node whether an entry of this layer put it there.
        """
        self.source = ""
        self.implicit_count = 0
        self.known: dict[bytes, Node] = {b"": root}
        # Where links were looked for. Apart, because nobody has checked that entries may be put there.
        self._found: dict[bytes, Node] = {}
        self._root = root
        self._options = options
        self._is_made = is_made
        self._is_deepened = False

    def forget(self) -> None:
        """Forget where paths led. To be called whenever a directory or a symlink goes from its place."""
        self.known.clear()
        self.known[b""] = self._root
        self._found.clear()

    def fail(self, entry: Entry, text: str) -> NoReturn:
        """Raise `MergeError`: what is wrong, at which entry, of which source and where in it."""
        where = f"{self.source}, at byte {entry.offset}" if self.source and entry.offset else self.source
        raise MergeError(f"{text} ({where})" if where else text, path=entry.path)

    def _shown(self, entry: Entry) -> str:
        """Return source and path of an entry, cut to what fits into a message."""
        path = printable(entry.path)[:_SHOWN_PATH_SIZE]
        return f"{self.source}: {path}" if self.source else path

    def find(self, path: bytes, entry: Entry) -> Node | None:
        """Give the node at a path, the last component not followed; None where there is none.

        Args:
            path: Relative to the root, without `.` and `..`.
            entry: What messages are about.

        Raises:
            MergeError: Symlinks go in circles, or are not to be followed.
        """
        parent_path, _, name = path.rpartition(b"/")
        if not name:
            return self._root
        parent = self.known.get(parent_path) or self._found.get(parent_path)
        if parent is None:
            parent = self._walk(parent_path, entry, make=False)
            if parent is None:
                return None
            if len(self._found) >= _KNOWN_SIZE:
                self._found.clear()
            self._found[parent_path] = parent
        return parent.names.get(name)

    def find_directory(self, path: bytes, entry: Entry, *, not_followed: Container[bytes] = ()) -> Node | None:
        """Give the directory that a path leads to, the last component followed as well; None where there is none.

        Args:
            path: Relative to the root, without `.` and `..`.
            entry: What messages are about.
            not_followed: Beginnings of the path at which a symlink leads nowhere.

        Raises:
            MergeError: Symlinks go in circles, or are not to be followed.
        """
        return self._walk(path, entry, make=False, not_followed=not_followed)

    def make_directory(self, path: bytes, entry: Entry, *, may_replace: bool = True) -> Node:
        """Give the directory that a path leads to; what is missing on the way becomes an implied directory.

        Args:
            path: Relative to the root, without `.` and `..`.
            entry: What is to be in the directory.
            may_replace: Whether files of lower layers become directories when they are in the way.

        Raises:
            MergeError: A file is in the way that stays, symlinks go in circles or are not to be followed.
            LimitError: The directory is too deep in the tree.
        """
        node = self._known_child(path) or self._walk(path, entry, make=True, may_replace=may_replace)
        if node is None:
            raise AssertionError("a walk that makes directories gives one")
        if len(self.known) >= _KNOWN_SIZE:
            self.forget()
        self.known[path] = node
        return node

    def _known_child(self, path: bytes) -> Node | None:
        """Give a directory without going all the way to it, if it is in one that is known.

        Nobody counts how deep that is, so it is not done once a symlink has led deeper than its path says.
        """
        parent_path, _, name = path.rpartition(b"/")
        parent = self.known.get(parent_path)
        if parent is None or self._is_deepened:
            return None
        node = parent.names.get(name)
        return node if node is not None and node.children is not None else None

    def _implicit_directory(self, entry: Entry) -> Node:
        """Make a directory that is there only because something is in it."""
        self.implicit_count += 1
        limit = self._options.limits.implicit_directory_count
        if self.implicit_count > limit:
            what = "the number of implicit parent directories"
            raise LimitError(
                what, self.implicit_count, limit, where=self._shown(entry), name="implicit_directory_count"
            )
        return Node.implied_directory(self._options.source_date_epoch)

    def _may_go(self, parent: Node, name: bytes, node: Node) -> bool:
        """Tell whether something may become a directory: a symlink, where that is the policy, or a lower layer's."""
        return node.kind is _SYMLINK or not self._is_made(parent, name, node)

    def _walk(
        self,
        path: bytes,
        entry: Entry,
        *,
        make: bool,
        may_replace: bool = True,
        not_followed: Container[bytes] = (),
    ) -> Node | None:
        """Follow all components of a path, one after the other and never by recursion."""
        limits, policy = self._options.limits, self._options.parent_symlinks
        # Where we are and how we came, for the ".." of symlinks; and what is left to go, next one last.
        nodes, names = [self._root], list[bytes]()
        components = path.split(b"/")
        left = components[::-1]
        own_left = len(left)  # how much of that is the path's own, and not a symlink's
        link_count, step_count = 0, len(left)  # how many there will have been at the end
        while left:
            name = left.pop()
            own_left = min(own_left, len(left))
            if name in (b"", b"."):
                continue
            if name == b"..":
                if names:
                    names.pop()
                    nodes.pop()
                continue
            children = nodes[-1].names
            node = children.get(name)
            if node is not None and node.kind is _SYMLINK and (policy != "replace" or not may_replace):
                if b"/".join(components[: len(components) - own_left]) in not_followed:
                    return None
                if policy == "error":
                    self.fail(entry, f"its path leads through the symlink {_shown(names, name)}")
                link_count += 1
                if link_count > limits.symlink_steps:
                    self.fail(entry, f"its path leads through more than {limits.symlink_steps} symlinks")
                if node.target.startswith(b"/"):
                    del nodes[1:], names[:]
                step_count += node.target.count(b"/") + 1
                if step_count > limits.path_steps:
                    what = "the number of components walked for a path"
                    raise LimitError(what, step_count, limits.path_steps, where=self._shown(entry), name="path_steps")
                left += node.target.split(b"/")[::-1]
                continue
            if node is None or node.children is None:
                if not make:
                    return None
                if node is not None and not (may_replace and self._may_go(nodes[-1], name, node)):
                    what = node.kind.name.lower().replace("_", " ")
                    self.fail(entry, f"{_shown(names, name)} must be a directory, but is a {what}")
                node = children[name] = self._implicit_directory(entry)
            nodes.append(node)
            names.append(name)
        if make and len(names) >= limits.depth:
            where = self._shown(entry)
            raise LimitError("the depth of a path", len(names) + 1, limits.depth, where=where, name="depth")
        self._is_deepened |= len(names) > len(components)
        return nodes[-1]


def _shown(names: list[bytes], name: bytes) -> str:
    return printable(b"/".join([*names, name]))

"""Merge: turns layers of entries into one tree, as extracting each over the one below would.

In: the entries of one layer after the other, base first. Out: the tree's root.
Source: the OCI image specification, "Image Layer Filesystem Changeset".
Rules kept here: a directory over a directory replaces its attributes and keeps its children, anything else replaces
what was there with all below it; `.wh.NAME` and `.wh..wh..opq` hide what LOWER layers have, wherever they stand in
their layer, and never appear themselves; a path's parents are followed through symlinks inside the image, its last
component is not; a hard link shares the inode that its target has when the link is made, or at the layer's end.
Not here: which content is worth storing before the tree is known (visibility), inode numbers (writer/inodes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from pysquash.errors import MergeError, printable
from pysquash.options import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.node import Node

__all__ = ["OPAQUE_MARKER", "WHITEOUT_PREFIX", "Merge"]

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARKER = b".wh..wh..opq"
_OTHER_MARKER_PREFIX = b".wh..wh."

_KNOWN_DIRECTORIES_SIZE = 1 << 16


class Merge:
    """The tree as far as it is built. Layers go in one after the other: `begin_layer`, `put` for each entry,
    `end_layer`.

    Attributes:
        root: The root directory, implied until an entry describes it.
    """

    def __init__(self, options: WriterOptions, warn: Callable[[str], None]) -> None:
        """Start with an empty root.

        Args:
            options: whiteouts, duplicates, parent_symlinks, lenient, strict, source_date_epoch and limits are kept
            here.
            warn: Takes one complete line.
        """
        self._options = options
        self._warn = warn
        self._steps_limit = options.limits.symlink_steps
        self.root = self._implied_directory()
        # Where paths led: most entries share their parent with one before. Cleared when a directory or symlink goes.
        self._known: dict[bytes, Node] = {b"": self.root}
        # Of the layer being applied:
        self._source = ""
        self._duplicates: DuplicatePolicy = options.duplicates
        self._is_base = True
        self._made: set[tuple[Node, bytes]] = set()
        self._is_root_made = False
        self._waiting_links: list[Entry] = []

    # --- layers ----------------------------------------------------------------------------------------------------

    def begin_layer(
        self, *, source: str, entries: Sequence[Entry] | None = None, duplicates: DuplicatePolicy | None = None
    ) -> None:
        """Begin a layer over what is there.

        Args:
            source: What messages call it.
            entries: All of its entries, which is what whiteouts need to be applied first; None for the base layer,
                which has nothing below it to hide, so that it can be streamed.
            duplicates: Which of several entries of one name stands; None for the options'.

        Raises:
            MergeError: A whiteout is malformed, or leads through a symlink where that is an error.
        """
        self._source = source
        self._duplicates = duplicates or self._options.duplicates
        self._is_base = entries is None
        if entries is not None and self._options.whiteouts == "apply":
            for entry in entries:
                if WHITEOUT_PREFIX in entry.path:
                    self._apply_whiteout(entry.path)

    def put(self, entry: Entry) -> None:
        """Put one entry where extraction would.

        Raises:
            MergeError: It cannot be there.
        """
        path = entry.path
        if WHITEOUT_PREFIX in path and self._options.whiteouts == "apply" and self._is_marker(path):
            return
        if not path:
            self._put_root(entry)
            return
        parent_path, _, name = path.rpartition(b"/")
        parent = self._known.get(parent_path) or self._directory(parent_path)
        children = parent.names
        if entry.kind is Kind.HARD_LINK:
            self._link(entry, parent, name, at_end=False)
            return
        existing = children.get(name)
        if existing is None:
            children[name] = Node.from_entry(entry)
        elif not self._is_made(parent, name, existing) or self._may_replace(path):
            self._replace(children, name, existing, entry)
        else:
            return
        if not self._is_base:
            self._made.add((parent, name))

    def would_drop(self, path: bytes) -> bool:
        """Tell whether the layer being applied has the name already, and the first entry of a name stands.

        For whoever is about to store an entry's content. Follows symlinks as `put` does, and makes implied directories.
        """
        if self._duplicates != "first" or not path:
            return False
        parent_path, _, name = path.rpartition(b"/")
        parent = self._known.get(parent_path) or self._directory(parent_path)
        existing = parent.names.get(name)
        return existing is not None and self._is_made(parent, name, existing)

    def end_layer(self) -> None:
        """End a layer: make the hard links that came before their targets.

        Raises:
            MergeError: A hard link leads to nothing, or to a directory.
        """
        waiting, self._waiting_links = self._waiting_links, []
        while waiting:
            # A link may wait for another link, so go round as long as that helps.
            left = [entry for entry in waiting if not self._link_at_end(entry)]
            if len(left) == len(waiting):
                for entry in left:
                    self._report_dangling(entry)
                break
            waiting = left
        self._made.clear()
        self._is_root_made = False

    def put_default(self, entry: Entry) -> Node | None:
        """Put one entry where the finished tree has nothing of its name, through symlinked parents.

        Returns:
            Its node, or None where there is something already.

        Raises:
            MergeError: Its parent is no directory.
        """
        parent_path, _, name = entry.path.rpartition(b"/")
        parent = self._walk(parent_path, make=True, may_replace=False)
        if parent is None:
            self._fail(entry.path, "leads through something that is no directory")
        children = parent.names
        if name in children:
            return None
        node = children[name] = Node.from_entry(entry)
        return node

    # --- entries ---------------------------------------------------------------------------------------------------

    def _put_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            self._fail(b"", "the root is a directory and cannot be anything else")
        if not self._is_root_made or self._may_replace(b""):
            self._describe(self.root, entry)
        self._is_root_made = True

    def _is_made(self, parent: Node, name: bytes, existing: Node) -> bool:
        """Tell whether an entry of this very layer stands under a name; implied directories are nobody's."""
        if existing.implied:
            return False
        return self._is_base or (parent, name) in self._made

    def _may_replace(self, path: bytes) -> bool:
        """Decide about a second entry of a name in one layer."""
        policy = self._duplicates
        if policy == "error" or self._options.strict:
            self._fail(path, "more than one entry has this name")
        self._warn(f"{self._source}: {printable(path)}: more than one entry has this name; the {policy} one stands")
        return policy == "last"

    def _replace(self, children: dict[bytes, Node], name: bytes, existing: Node, entry: Entry) -> None:
        if existing.children is not None and entry.kind is Kind.DIRECTORY:
            self._describe(existing, entry)
            return
        children[name] = Node.from_entry(entry)
        if existing.children is not None or existing.kind is Kind.SYMLINK:
            self._forget_known()

    def _describe(self, node: Node, entry: Entry) -> None:
        """Give a directory that is there the attributes of an entry, all of them."""
        node.mode, node.uid, node.gid, node.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
        node.xattrs = entry.xattrs
        node.implied = False

    # --- hard links ------------------------------------------------------------------------------------------------

    def _link(self, entry: Entry, parent: Node, name: bytes, *, at_end: bool) -> bool:
        """Make a hard link if its target is there; otherwise let it wait for the layer's end."""
        target = self._lookup(entry.target)
        if target is None:
            if not at_end:
                self._waiting_links.append(entry)
            return False
        if target.children is not None:
            self._fail(entry.path, f"a hard link to the directory {printable(entry.target)}")
        children = parent.names
        existing = children.get(name)
        if existing is target:
            pass  # a link to itself, or to what it is already
        elif existing is not None and self._is_made(parent, name, existing):
            # At the layer's end what stands there came after the link, so first and last change places.
            if self._may_replace(entry.path) == at_end:
                return True
            children[name] = target
        else:
            children[name] = target
        if existing is not None and (existing.children is not None or existing.kind is Kind.SYMLINK):
            self._forget_known()
        if not self._is_base:
            self._made.add((parent, name))
        return True

    def _link_at_end(self, entry: Entry) -> bool:
        parent_path, _, name = entry.path.rpartition(b"/")
        return self._link(entry, self._directory(parent_path), name, at_end=True)

    def _report_dangling(self, entry: Entry) -> None:
        text = f"a hard link to {printable(entry.target)}, which does not exist"
        if not self._options.lenient:
            self._fail(entry.path, text)
        self._warn(f"{self._source}: {printable(entry.path)}: {text}; it is dropped")

    # --- whiteouts -------------------------------------------------------------------------------------------------

    def _is_marker(self, path: bytes) -> bool:
        """Tell whether a path is a whiteout, or below one, and so never in the image."""
        components = path.split(b"/")
        if WHITEOUT_PREFIX in components:
            self._fail(path, "a whiteout without a name")
        return any(component.startswith(WHITEOUT_PREFIX) for component in components)

    def _apply_whiteout(self, path: bytes) -> None:
        """Remove what a marker of this layer hides. The tree holds lower layers only, as yet."""
        if not self._is_marker(path):
            return
        parent_path, _, name = path.rpartition(b"/")
        if not name.startswith(WHITEOUT_PREFIX) or b"/" + WHITEOUT_PREFIX in b"/" + parent_path:
            return  # below a marker
        if name.startswith(_OTHER_MARKER_PREFIX) and name != OPAQUE_MARKER:
            return  # what aufs keeps for itself
        parent = self._walk(parent_path, make=False)
        if parent is None or parent.children is None:
            return
        if name == OPAQUE_MARKER:
            parent.children.clear()
            self._forget_known()
        elif parent.children.pop(name[len(WHITEOUT_PREFIX) :], None) is not None:
            self._forget_known()

    # --- paths -----------------------------------------------------------------------------------------------------

    def _forget_known(self) -> None:
        self._known.clear()
        self._known[b""] = self.root

    def _implied_directory(self) -> Node:
        return Node(Kind.DIRECTORY, 0o755, 0, 0, self._options.source_date_epoch, implied=True)

    def _directory(self, path: bytes) -> Node:
        """Give the directory that a path leads to; what is missing on the way becomes an implied directory.

        Raises:
            MergeError: A file of this layer is in the way, a symlink is and that is an error, or symlinks go in
            circles.
        """
        known = self._known.get(path)
        if known is not None:
            return known
        node = self._walk(path, make=True)
        if node is None or node.children is None:
            self._fail(path, "is no directory")
        if len(self._known) >= _KNOWN_DIRECTORIES_SIZE:
            self._forget_known()
        self._known[path] = node
        return node

    def _lookup(self, path: bytes) -> Node | None:
        """Give the node that a path leads to, its last component not followed; None where there is none."""
        parent_path, _, name = path.rpartition(b"/")
        if not name:
            return self.root
        parent = self._known.get(parent_path) or self._walk(parent_path, make=False)
        if parent is None or parent.children is None:
            return None
        return parent.children.get(name)

    def _walk(self, path: bytes, *, make: bool, may_replace: bool = True) -> Node | None:
        """Follow a path to a directory, through symlinks inside the image.

        Args:
            path: Relative to the root; all of its components are followed.
            make: Whether what is missing becomes an implied directory; otherwise that gives None.
            may_replace: Whether, making, what is in the way does too; otherwise that gives None.
        """
        stack = [self.root]  # where we are and how we came, for the ".." of symlinks
        left = path.split(b"/")[::-1] if path else []
        steps = 0
        while left:
            name = left.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":  # "`..` stops at the root"
                if len(stack) > 1:
                    stack.pop()
                continue
            parent = stack[-1]
            children = parent.names
            node = children.get(name)
            if node is not None and node.kind is Kind.SYMLINK:
                policy = self._options.parent_symlinks
                if policy == "error":
                    self._fail(path, f"leads through the symlink {printable(name)} -> {printable(node.target)}")
                if policy == "follow":
                    steps += 1
                    if steps > self._steps_limit:
                        self._fail(path, f"leads through more than {self._steps_limit} symlinks")
                    if node.target.startswith(b"/"):
                        del stack[1:]
                    left += node.target.split(b"/")[::-1]
                    continue
            if node is None or node.children is None:
                if not make or (node is not None and not may_replace):
                    return None
                if node is not None:
                    self._make_way(path, parent, name, node)
                node = children[name] = self._implied_directory()
            stack.append(node)
        return stack[-1]

    def _make_way(self, path: bytes, parent: Node, name: bytes, node: Node) -> None:
        """Allow a directory in place of a lower layer's file, not in place of one of this layer."""
        if self._is_made(parent, name, node) and node.kind is not Kind.SYMLINK:
            self._fail(path, f"must be a directory, but this layer made {printable(name)} a {node.kind.name.lower()}")
        self._forget_known()

    def _fail(self, path: bytes, text: str) -> NoReturn:
        raise MergeError(f"{text} ({self._source})" if self._source else text, path=path)

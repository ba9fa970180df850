"""Merge: turns layers of entries into one tree, as extracting each over the one below would.

In: the entries of one layer after the other, base first. Out: the tree's root.
Source: the OCI image specification, "Image Layer Filesystem Changeset"; docs/merging.md says it in full.
Rules kept here: a directory over a directory replaces its attributes and keeps its children, anything else replaces
what was there with all below it; whiteouts hide what LOWER layers have, wherever they stand in their layer, and never
appear themselves; a hard link shares the inode that its target has when the link is met, or at the layer's end.
Not here: where a path leads (tree/paths), what a marker hides (tree/whiteouts), which content is worth storing before
the tree is known (tree/visibility), inode numbers (writer/inodes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pysquash.errors import MergeError, printable
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.node import Node
from pysquash.tree.paths import Paths
from pysquash.tree.whiteouts import WHITEOUT_PREFIX, hidden_by, is_aufs_link_target, is_marker, is_nameless_marker

__all__ = ["Merge"]

# Names of their own, because looking a member up in an enum takes longer than most of what is done with it.
_DIRECTORY, _SYMLINK, _HARD_LINK = Kind.DIRECTORY, Kind.SYMLINK, Kind.HARD_LINK
_OVERLAY_WHITEOUT_DEVICE = (0, 0)
_OVERLAY_XATTR_PREFIX = b"trusted.overlay."


class Merge:
    """The tree as far as it is built. Layers go in one after the other: `begin_layer`, `put` for each entry,
    `end_layer`.

    Attributes:
        root: The root directory, implied until an entry describes it.
    """

    def __init__(self, options: WriterOptions, warn: Warn) -> None:
        """Start with an empty root.

        Args:
            options: whiteouts, duplicates, parent_symlinks, lenient, strict, source_date_epoch and limits are kept
                here.
            warn: Takes warnings.
        """
        self._options = options
        self._applies_whiteouts = options.whiteouts == "apply"
        self._warn = warn
        self.root = Node.implied_directory(options.source_date_epoch)
        self._paths = Paths(self.root, options, self._is_made)
        self._known = self._paths.known
        # Of the layer being applied:
        self._duplicates: DuplicatePolicy = options.duplicates
        self._is_base = True
        self._made: set[tuple[Node, bytes]] = set()  # stays empty in the base, where whatever is there was made by it
        self._waiting_links: list[_WaitingLink] = []
        self._seen_targets: dict[int, Node] = {}
        self._aufs_targets: dict[bytes, Node] = {}
        self._kept_target: Entry | None = None  # the last that was kept for hard links
        self._inodes: dict[object, Node] = {}

    # --- layers ----------------------------------------------------------------------------------------------------

    @property
    def implicit_count(self) -> int:
        """How many directories were made because something is in them."""
        return self._paths.implicit_count

    def begin_layer(
        self, *, source: str, entries: Sequence[Entry] | None = None, duplicates: DuplicatePolicy | None = None
    ) -> None:
        """Begin a layer over what is there.

        Args:
            source: What messages call it.
            entries: All of its entries, which is what whiteouts need to be applied first; None for the base layer,
                which has nothing below it to hide, so that it can be streamed. To be kept until `end_layer`.
            duplicates: Which of several entries of one name stands; None for the options'.

        Raises:
            MergeError: A whiteout is malformed, or leads through a symlink where that is an error.
        """
        self._paths.source = source
        self._duplicates = duplicates or self._options.duplicates
        self._is_base = entries is None
        if entries is not None and self._applies_whiteouts:
            self._apply_whiteouts(entries)

    def put(self, entry: Entry) -> Node | None:
        """Put one entry where extraction would.

        Returns:
            The node that was made for it. None where there is none: a marker, a hard link, another description of a
            directory, or what does not stand because its name is taken.

        Raises:
            MergeError: It cannot be there.
            LimitError: It is too deep in the tree.
        """
        # This runs for every entry of every layer: what is rare is elsewhere, and asked for as late as possible.
        parent_path, _, name = entry.path.rpartition(b"/")
        if name[:4] == WHITEOUT_PREFIX and self._is_marker(entry):
            return None
        parent = self._known.get(parent_path)
        if parent is None:
            if WHITEOUT_PREFIX in parent_path and self._is_marker(entry):
                self._keep_aufs_target(entry)
                return None
            parent = self._paths.make_directory(parent_path, entry)
        children = parent.children or parent.names  # the same, and the check of `names` only where it is empty
        existing = children.get(name)
        node = None
        if not name:
            self._put_root(entry)
        elif entry.kind is _HARD_LINK:
            self._put_link(entry, parent, name, existing)
        elif existing is None:
            node = children[name] = Node(entry)
        else:
            node = self._put_over(entry, parent, name, existing)
        if not self._is_base:
            self._made.add((parent, name))
        if entry.xattrs or entry.device is not None:
            self._warn_of_overlay(entry)
        if entry.inode is not None and node is not None:
            self._inodes[entry.inode] = node
        return node

    def end_layer(self) -> None:
        """End a layer: make the hard links that came before their targets.

        Raises:
            MergeError: A hard link leads to nothing, or to a directory.
        """
        for link in self._waiting_links:
            self._resolve(link)
        for link in self._waiting_links:
            self._place(link)
        self._waiting_links.clear()
        self._made.clear()
        self._seen_targets.clear()
        self._aufs_targets.clear()
        self._kept_target = None
        self._inodes.clear()

    def link_target(self, entry: Entry) -> Node | None:
        """Return the node of an entry that is kept for hard links of its layer only; None where it is not."""
        return self._aufs_targets.get(entry.path) if entry is self._kept_target else None

    def put_default(self, entry: Entry) -> Node | None:
        """Put one entry, no hard link, where the finished tree has nothing of its name; nothing goes to make way.

        Returns:
            Its node, or None where there is something already.

        Raises:
            MergeError: Its path leads through a file.
            LimitError: It is too deep in the tree.
        """
        self._paths.source = ""
        parent_path, _, name = entry.path.rpartition(b"/")
        children = self._paths.make_directory(parent_path, entry, may_replace=False).names
        if not name or name in children:
            return None
        node = children[name] = Node(entry)
        return node

    def find(self, path: bytes) -> Node | None:
        """Give what has a name in the finished tree, where an entry of that path would land; None for nothing."""
        self._paths.source = ""
        return self._paths.find(path, Entry(path, Kind.FILE))

    def make_directory(self, entry: Entry) -> Node:
        """Give the directory at an entry's path in the finished tree, symlinks followed to the end; what is missing is
        made.

        Raises:
            MergeError: A file is in the way.
            LimitError: It is too deep in the tree.
        """
        self._paths.source = ""
        return self._paths.make_directory(entry.path, entry, may_replace=False)

    def remove(self, is_unwanted: Callable[[bytes, bool], bool]) -> list[tuple[bytes, Node]]:
        """Take names out of the finished tree, with all that is below them.

        Args:
            is_unwanted: Told a path, and whether a directory is there.

        Returns:
            The paths and nodes that went, directories before what was in them.
        """
        removed: list[tuple[bytes, Node]] = []
        waiting = [(b"", self.root, False)]
        while waiting:
            path, directory, is_removed = waiting.pop()
            for name, node in list(directory.names.items()):
                place = path + b"/" + name if path else name
                goes = is_removed or is_unwanted(place, node.children is not None)
                if goes:
                    removed.append((place, node))
                    if not is_removed:
                        del directory.names[name]
                if node.children is not None:
                    waiting.append((place, node, goes))
        self._paths.forget()
        return removed

    # --- entries ---------------------------------------------------------------------------------------------------

    def _put_root(self, entry: Entry) -> None:
        if entry.kind is not _DIRECTORY:
            self._paths.fail(entry, "the root is a directory and cannot be anything else")
        if self._may_put_over(entry, self.root, b"", self.root):
            self.root.describe(entry)

    def _put_over(self, entry: Entry, parent: Node, name: bytes, existing: Node) -> Node | None:
        if not self._may_put_over(entry, parent, name, existing):
            return None
        if existing.children is not None and entry.kind is _DIRECTORY:
            existing.describe(entry)
            return None
        node = Node(entry)
        self._replace(parent, name, existing, node)
        return node

    def _replace(self, parent: Node, name: bytes, existing: Node | None, node: Node) -> None:
        """Put a node where another one was, which goes with all that is below it."""
        parent.names[name] = node
        if existing is not None and (existing.children is not None or existing.kind is _SYMLINK):
            self._paths.forget()

    def _is_made(self, parent: Node, name: bytes, existing: Node) -> bool:
        """Tell whether an entry of this very layer stands under a name; implied directories are nobody's."""
        if existing.implied:
            return False
        return self._is_base or (parent, name) in self._made

    def _is_made_below(self, node: Node) -> bool:
        """Tell whether an entry of this very layer stands somewhere below a node."""
        if self._is_base:
            return bool(node.children)
        waiting = [node]
        while waiting:
            directory = waiting.pop()
            for name, child in (directory.children or {}).items():
                if (directory, name) in self._made:
                    return True
                if child.children:
                    waiting.append(child)
        return False

    def _may_put_over(self, entry: Entry, parent: Node, name: bytes, existing: Node) -> bool:
        """Decide whether an entry replaces what is there, which is a question where this layer made it."""
        is_directory, was_directory = entry.kind is _DIRECTORY, existing.children is not None
        if not self._is_made(parent, name, existing) and (is_directory or not self._is_made_below(existing)):
            return True
        if is_directory is was_directory:
            text, policy = "more than one entry has this name", self._duplicates
        else:
            # These cannot be one thing described twice, so the later one replaces the earlier one as on extraction.
            text, policy = "one layer makes it a directory and something else", "last"
        if self._duplicates == "error" or self._options.strict:
            self._paths.fail(entry, text)
        hint = ", extraction would keep the last (option duplicates)" if policy == "first" else ""
        self._report(entry, WarningKind.DUPLICATE_NAME, f"{text}; the {policy} entry wins{hint}")
        return policy == "last"

    def _warn_of_overlay(self, entry: Entry) -> None:
        """Say that an overlay's own way of hiding things is kept as it is: in a layer that is a mistake."""
        if entry.device == _OVERLAY_WHITEOUT_DEVICE and entry.kind is Kind.CHARACTER_DEVICE:
            self._report_or_fail(entry, "the character device 0:0 is kept, and is a whiteout in an overlay")
        for name, _ in entry.xattrs:
            if name.startswith(_OVERLAY_XATTR_PREFIX):
                self._report_or_fail(
                    entry, f"the attribute {printable(name)} is kept, and marks hidden names in an overlay"
                )

    def _report_or_fail(self, entry: Entry, text: str) -> None:
        if self._options.strict:
            self._paths.fail(entry, text)
        self._report(entry, WarningKind.OVERLAY_MARKER, text)

    def _report(self, entry: Entry, kind: WarningKind, text: str) -> None:
        self._warn(Notice(kind, text, self._paths.source, entry.path))

    # --- hard links ------------------------------------------------------------------------------------------------

    def _put_link(self, entry: Entry, parent: Node, name: bytes, existing: Node | None) -> None:
        """Make a hard link, or let it wait in its place for the layer's end if its target is not there."""
        target = self._find_target(entry) or self._seen_targets.get(id(entry))
        if target is not None and target.children is not None:
            self._fail_at_directory(entry)
        if target is not None and target is existing:
            return  # a link to itself, or to what it is already
        if existing is not None and not self._may_put_over(entry, parent, name, existing):
            return
        if target is None or isinstance(target, _WaitingLink):
            target = _WaitingLink(entry, parent, name, existing)
            self._waiting_links.append(target)
        self._replace(parent, name, existing, target)

    def _find_target(self, link: Entry) -> Node | None:
        """Return what a hard link leads to at this moment; None for nothing."""
        if link.inode is not None and link.inode in self._inodes:
            return self._inodes[link.inode]
        return self._aufs_targets.get(link.target) or self._paths.find(link.target, link)

    def _keep_aufs_target(self, entry: Entry) -> None:
        """Keep what hard links of this layer may lead to, outside the tree."""
        if not is_aufs_link_target(entry.path) or entry.kind is _DIRECTORY:
            return
        if entry.path in self._aufs_targets:
            text = "more than one entry has this name"
            if self._duplicates == "error" or self._options.strict:
                self._paths.fail(entry, text)
            self._report(entry, WarningKind.DUPLICATE_NAME, f"{text}; the {self._duplicates} entry wins")
            if self._duplicates == "first":
                return
        node = self._find_target(entry) if entry.kind is _HARD_LINK else Node(entry)
        if node is not None and node.children is None:
            self._aufs_targets[entry.path] = node
            self._kept_target = entry

    def _resolve(self, link: _WaitingLink) -> None:
        """Find what a waiting link leads to, if need be through other ones."""
        chain: list[_WaitingLink] = []
        node: Node | None = link
        while isinstance(node, _WaitingLink) and not node.is_resolved:
            node.is_resolved = True  # to nothing as yet, which is what links in a circle are to find
            chain.append(node)
            node = self._find_target(node.entry)
        if isinstance(node, _WaitingLink):
            node = node.node
        for each in chain:
            each.node = node

    def _place(self, link: _WaitingLink) -> None:
        """Put what a waiting link leads to in its place, unless a later entry took that."""
        if link.node is None:
            text = f"a hard link to {printable(link.entry.target)}, which does not exist"
            if not self._options.lenient:
                self._paths.fail(link.entry, text)
            self._report(link.entry, WarningKind.LINK_DROPPED, f"{text}; the link is dropped")
        elif link.node.children is not None:
            self._fail_at_directory(link.entry)
        children = link.parent.names
        if children.get(link.name) is not link:
            return
        node: Node | None = link
        while isinstance(node, _WaitingLink):
            node = node.node or node.displaced
        if node is None:
            del children[link.name]
        else:
            children[link.name] = node

    def _fail_at_directory(self, entry: Entry) -> None:
        self._paths.fail(entry, f"a hard link to the directory {printable(entry.target)}")

    # --- whiteouts -------------------------------------------------------------------------------------------------

    def _is_marker(self, entry: Entry) -> bool:
        """Tell whether an entry is a marker or below one, and refuse one that does not say what it hides."""
        if not self._applies_whiteouts or not is_marker(entry.path):
            return False
        if is_nameless_marker(entry.path):
            self._paths.fail(entry, "a whiteout without a name")
        return True

    def _apply_whiteouts(self, entries: Sequence[Entry]) -> None:
        """Remove what the markers of a layer hide. The tree holds lower layers only, as yet."""
        markers = [row for row, entry in enumerate(entries) if WHITEOUT_PREFIX in entry.path and self._is_marker(entry)]
        if not markers:
            return
        # What this layer puts in a symlink's place is not where the symlink led. That matters: a directory that takes a
        # symlink's place comes with an opaque whiteout, which would otherwise empty what the symlink led to.
        not_followed = {entry.path for entry in entries if entry.kind is not _SYMLINK}
        links: list[tuple[Entry, Node]] = []
        start = 0
        for row in markers:
            # A link that stands before a marker sees what the marker hides, as it does on extraction.
            earlier = (entry for entry in entries[start:row] if entry.kind is _HARD_LINK)
            links += [(entry, target) for entry in earlier if (target := self._find_quietly(entry)) is not None]
            start = row + 1
            hidden = hidden_by(entries[row].path)
            if hidden is not None:
                directory = self._paths.find_directory(hidden[0], entries[row], not_followed=not_followed)
                if directory is not None:
                    self._hide(directory.names, hidden[1])
        for entry, target in links:
            if target.children is None and self._find_quietly(entry) is None:
                self._seen_targets[id(entry)] = target

    def _find_quietly(self, entry: Entry) -> Node | None:
        """Find a hard link's target before its turn comes; by then there may be no reason to fail."""
        try:
            return self._paths.find(entry.target, entry)
        except MergeError:
            return None

    def _hide(self, children: dict[bytes, Node], name: bytes) -> None:
        if not name:
            children.clear()
            self._paths.forget()
        elif children.pop(name, None) is not None:
            self._paths.forget()


class _WaitingLink(Node):
    """A hard link that holds its place in the tree until its target is there.

    Attributes:
        entry: The link.
        parent: The directory it is in.
        name: Its name there.
        displaced: What it took the place of, which comes back if the link is dropped.
        is_resolved: Whether `node` is what it will be.
        node: What the link leads to, None for nothing.
    """

    __slots__ = ("displaced", "entry", "is_resolved", "name", "node", "parent")

    def __init__(self, entry: Entry, parent: Node, name: bytes, displaced: Node | None) -> None:
        super().__init__(entry)
        self.entry = entry
        self.parent = parent
        self.name = name
        self.displaced = displaced
        self.is_resolved = False
        self.node: Node | None = None

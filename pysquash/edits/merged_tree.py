"""Merged tree: what steps see of the tree of all layers, and may do to it, before it is written.

In: the tree as the layers made it. Out: the same, with what the steps put into it.
Rules kept here: what is put goes through symlinked parents, inside the image; content that is put is watched and stored
as that of the layers is.
Not here: the steps (vm), the order of all (packing/pack).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing

from pysquash.content.capture import KeptContents, Store
from pysquash.content.digests import Verification
from pysquash.errors import MergeError, SourceError
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.files import Added, AddedFile, Attributes, added_entry, added_file, image_path
from pysquash.tree.entry import Kind
from pysquash.tree.follow import follow
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node

__all__ = ["MergedTree", "Step"]


class MergedTree:
    """A tree that is nearly done.

    Attributes:
        merge: How it was made.
        verification: Told of all content.
        options: Every knob there is.
        image_time: The image's own time, in seconds since 1970; None for what the options say.
    """

    def __init__(
        self,
        merge: Merge,
        store: Store,
        verification: Verification,
        options: WriterOptions,
        warn: Warn,
        kept: KeptContents | None,
    ) -> None:
        """Take what belongs to one image.

        Args:
            merge: How the tree is made.
            store: Stores a file's content.
            verification: Told of all content.
            options: Every knob there is.
            warn: Takes warnings.
            kept: Has the content of some files, or None.
        """
        self.merge = merge
        self.verification = verification
        self.options = options
        self.image_time: int | None = None
        self._warn = warn
        self._store = store
        self._kept = kept

    @property
    def root(self) -> Node:
        """The root directory."""
        return self.merge.root

    def find(self, path: bytes) -> Node | None:
        """Give what is at a path, symlinks followed to the end, as programs in the image will see it."""
        return follow(self.root, path, limit=self.options.limits.symlink_steps)

    def warn(self, kind: WarningKind, text: str, *, source: str = "", path: bytes | None = None) -> None:
        """Report a warning. With the option strict it is an error.

        Raises:
            SourceError: It is one.
        """
        if self.options.strict:
            raise SourceError(text, source=source, entry=path)
        self._warn(Notice(kind, text, source, path))

    def content(self, node: Node) -> bytes | None:
        """Give a file's content, if it was kept; None otherwise."""
        return None if self._kept is None else self._kept.content(node.data)

    def has_content(self, node: Node) -> bool:
        """Tell whether a file that is stored takes any room."""
        return bool(getattr(node.data, "size", 0))

    def put_default(self, added: Added) -> Node | None:
        """Put an entry where the tree has nothing of its name; a directory also where none is described.

        Returns:
            Its node, or None where there is something already.

        Raises:
            MergeError: Its path leads through a file.
        """
        entry = added.entry
        node = self.merge.put_default(entry)
        if node is None:
            there = self.merge.find(entry.path) if entry.kind is Kind.DIRECTORY else None
            if there is None or not there.implied:
                return None
            there.describe(entry)
            return there
        if entry.kind is Kind.FILE:
            self._store_content(added)
            node.data = entry.data
        return node

    def put_file(self, file: AddedFile) -> None:
        """Put a file, over what is there unless that is a directory.

        Raises:
            MergeError: It is a directory.
        """
        with closing(added_file(*file, self.options)) as added:
            there = self.merge.find(added.entry.path)
            if there is not None and there.children is not None:
                raise MergeError("is a directory, and a file was to be put there", path=added.entry.path)
            self._store_content(added)
            self.merge.begin_layer(source="", entries=[added.entry], duplicates="last")
            self.merge.put(added.entry)
            self.merge.end_layer()

    def make_directory(self, name: str | bytes, attributes: Attributes, defaults: Attributes) -> None:
        """Make a directory and those above it, as far as there are none.

        Args:
            name: Where; symlinks are followed to the end.
            attributes: What it gets, also where there is one.
            defaults: What it gets besides, where it is new.

        Raises:
            MergeError: A file is in the way.
            OptionError: An attribute is unknown or outside its range.
        """
        path = image_path(name, self.options)
        entry = added_entry(path, Kind.DIRECTORY, {**defaults, **attributes}, self.options)
        is_new = self.find(path) is None
        node = self.merge.make_directory(entry)
        for field in {**defaults, **attributes} if is_new else attributes:
            setattr(node, field, getattr(entry, field))
        if is_new or attributes:
            node.implied = False

    def _store_content(self, added: Added) -> None:
        entry = added.entry
        read, watched = self.verification.watch(entry.size, added.read, None)
        taken = None if self._kept is None else self._kept.taken(entry, read)
        entry.data = self._store(entry.size, read if taken is None else _reader(taken), None)
        self.verification.note(entry.data, watched)
        if self._kept is not None and taken is not None:
            self._kept.note(entry, entry.data, taken)


Step = Callable[[MergedTree], None]
"""Something done to a tree."""


def _reader(content: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(content).read

"""Pseudo steps: puts what definitions say into a tree.

In: definitions, and what of this machine is in the image. Out: a step.
Rules kept here: directories and files first, those above others before these, then links, changes and attributes last;
what is there already stands, and so does the first definition of a name; a missing parent directory is an error, unless
-pd says what it is; an attribute of nothing and a command that fails are errors.
Not here: what a definition looks like (pseudo).
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import BinaryIO

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import LimitError, MergeError, SourceError, printable
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.limits import Limits
from pysquash.sources.files import Added, image_path
from pysquash.squashfs_tools.excludes import Excludes
from pysquash.squashfs_tools.host_source import HostSelection, HostSource, Place
from pysquash.squashfs_tools.pseudo import Definition, parse_xattr
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.node import Node

__all__ = ["PseudoFiles"]

_KINDS = {
    "d": Kind.DIRECTORY,
    "b": Kind.BLOCK_DEVICE,
    "c": Kind.CHARACTER_DEVICE,
    "s": Kind.SYMLINK,
    "f": Kind.FILE,
    "R": Kind.FILE,
}
_IPC = {"s": Kind.SOCKET, "f": Kind.FIFO}
_PHASES = ("dbcsifR", "lh", "L", "m", "x")
_SYMLINK_MODE = 0o777


class PseudoFiles:
    """What definitions say, being put into a tree."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        *,
        default_directory: Definition | None,
        places: Sequence[Place],
        warn: Warn,
    ) -> None:
        """Take definitions.

        Args:
            definitions: In any order.
            default_directory: What directories are that are needed and nobody defines, or None.
            places: What of this machine is in the image.
            warn: Takes warnings.
        """
        counted = sorted(_first_of_each(definitions, warn), key=lambda one: one.path.count(b"/") + bool(one.path))
        self._definitions = [each for phase in _PHASES for each in counted if each.type in phase]
        self._default = default_directory
        self._places = places
        self._warn = warn
        self._owned: list[tuple[Node, int, int]] = []
        self._taken_nodes: dict[tuple[int, int], Node] = {}

    def put(self, tree: MergedTree, time: int, kept: Collection[bytes] = ()) -> None:
        """Put all of it into a tree.

        Args:
            tree: The merged tree.
            time: The time of what has none.
            kept: Names in the root that stay as they are, with all that is below them.

        Raises:
            InputError: A command fails, or something cannot be there.
        """
        for definition in self._definitions:
            if definition.path.partition(b"/")[0] in kept:
                raise _error(definition, "the image that is appended to has this name, and is not changed")
            self._put(tree, definition, time)

    def restore_owners(self) -> None:
        """Give what was put the owners of its definitions again."""
        for node, uid, gid in self._owned:
            node.uid, node.gid = uid, gid

    def _put(self, tree: MergedTree, definition: Definition, time: int) -> None:
        path, kind = image_path(definition.path, tree.options), definition.type
        try:
            there = tree.merge.find(path)
        except MergeError:
            raise _error(definition, "its path goes through a symlink") from None
        if there is None and not self._has_parent(tree, path, time):
            raise _error(definition, "its parent directory is missing or not a directory; define it, or give -pd")
        if kind == "x":
            if there is None:
                raise _error(definition, "an attribute of a file that is not in the image")
            name, value = parse_xattr(definition.text)
            there.xattrs = tuple({**dict(there.xattrs), os.fsencode(name): value}.items())
            return
        if kind == "m":
            if there is None or not path:
                self._ignore(
                    definition, "there is nothing of that name" if path else "the root is changed with -root-mode"
                )
                return
            there.mode = there.mode if there.kind is Kind.SYMLINK else definition.mode
            self._own(there, definition)
            there.mtime = there.mtime if definition.time is None else definition.time
            return
        if not path and kind == "d" and there is not None and there.implied:
            there.describe(self._entry(definition, time, tree.options.limits))
            self._own(there, definition)
            return
        if there is not None:
            self._ignore(definition, "there is something of that name; leave that out with -e or -ef")
            return
        if kind in "lhL":
            self._link(tree, definition)
            return
        entry = self._entry(definition, time, tree.options.limits)
        with closing(self._content(definition)) as content:
            entry.size = content.seek(0, io.SEEK_END)
            content.seek(0)
            node = tree.put_default(Added(entry, content))
        if node is not None:
            self._own(node, definition)

    def _own(self, node: Node, definition: Definition) -> None:
        node.uid, node.gid = definition.uid, definition.gid
        self._owned.append((node, definition.uid, definition.gid))

    def _entry(self, definition: Definition, time: int, limits: Limits) -> Entry:
        kind = _IPC[definition.text] if definition.type == "i" else _KINDS[definition.type]
        entry = Entry(definition.path, kind, definition.mode, definition.uid, definition.gid)
        entry.mtime = time if definition.time is None else definition.time
        entry.device = definition.device
        if kind is Kind.SYMLINK:
            entry.mode, entry.target = _SYMLINK_MODE, os.fsencode(definition.text)
            if len(entry.target) > limits.target_size:
                where = printable(definition.path)
                raise LimitError("symlink target size", len(entry.target), limits.target_size, where=where)
        return entry

    def _content(self, definition: Definition) -> BinaryIO:
        """Open a file's content: what its command prints, or what was behind the definitions."""
        if definition.type != "f":
            return io.BytesIO(definition.data)
        output: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - its taker closes it
        command = ["sh", "-c", definition.text]
        done = subprocess.run(  # noqa: S603
            command, executable="/bin/sh", stdout=output, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            output.close()
            raise _error(definition, f"the command {definition.text!r} ended with {done.returncode}")
        return output

    def _has_parent(self, tree: MergedTree, path: bytes, time: int) -> bool:
        """Tell whether there is a directory for a path; make it where -pd says what it is."""
        parent = path.rpartition(b"/")[0]
        there = tree.merge.find(parent)
        if there is not None:
            return there.children is not None
        if self._default is None or not self._has_parent(tree, parent, time):
            return False
        entry = self._entry(self._default, time, tree.options.limits)
        entry.path = parent
        node = tree.put_default(Added(entry))
        if node is not None:
            self._own(node, self._default)
        return True

    def _link(self, tree: MergedTree, definition: Definition) -> None:
        """Make another name of something in the image, or take what this machine has."""
        if definition.type == "L":
            target = tree.merge.find(_image_path(definition.text))
        else:
            target = self._in_image(tree, definition)
        if target is None and definition.type != "L":
            target = self._taken(tree, definition)
        if target is None or target.children is not None:
            raise _error(definition, f"{definition.text} is not there, or a directory")
        parent, _, name = definition.path.rpartition(b"/")
        directory = tree.merge.find(parent)
        if directory is not None:
            directory.names[name] = target

    def _in_image(self, tree: MergedTree, definition: Definition) -> Node | None:
        """Find what of this machine is in the image already."""
        host_path = _host_path(definition)
        for place in self._places:
            start = os.path.join(place.folder, place.name).rstrip(b"/")
            if place.name and (host_path == start or host_path.startswith(start + b"/")):
                node = tree.merge.find(place.path + host_path[len(start) :])
                if node is not None:
                    return node
        return None

    def _taken(self, tree: MergedTree, definition: Definition) -> Node | None:
        """Put what this machine has."""
        host_path = _host_path(definition)
        try:
            status = os.lstat(host_path)
        except OSError:
            return None
        known = self._taken_nodes.get((status.st_dev, status.st_ino))
        if known is not None:
            return known
        folder, name = os.path.split(host_path)
        source = HostSource(
            [Place(folder, name, definition.path)],
            root=None,
            selection=HostSelection(Excludes(), max_depth=0),
            options=tree.options,
            warn=self._warn,
        )
        with closing(source):
            for entry in source:
                entry.segments = None
                content = open(host_path, "rb") if entry.kind is Kind.FILE else None  # noqa: SIM115 - Added closes it
                with closing(Added(entry, content, is_ours=True)) as added:
                    node = tree.put_default(added)
                    if node is not None:
                        self._taken_nodes[status.st_dev, status.st_ino] = node
                    return node
        return None

    def _ignore(self, definition: Definition, why: str) -> None:
        self._warn(Notice(WarningKind.OPTION_UNUSED, f"pseudo file {printable(definition.path)}: is ignored: {why}"))


def _error(definition: Definition, text: str) -> SourceError:
    return SourceError(text, source="pseudo file", entry=definition.path)


def _first_of_each(definitions: Sequence[Definition], warn: Warn) -> list[Definition]:
    """Take the first definition of each name, and all attributes."""
    seen: set[bytes] = set()
    found = []
    for each in definitions:
        if each.type == "x":
            found.append(each)
        elif each.path in seen:
            text = f"pseudo file {printable(each.path)}: is ignored: it is defined already"
            warn(Notice(WarningKind.OPTION_UNUSED, text))
        else:
            seen.add(each.path)
            found.append(each)
    return found


def _host_path(definition: Definition) -> bytes:
    raw = os.fsencode(definition.text)
    if definition.type == "h":
        return os.path.realpath(raw)
    folder, name = os.path.split(raw)
    return os.path.join(os.path.realpath(folder or b"."), name)


def _image_path(text: str) -> bytes:
    return b"/".join(part for part in os.fsencode(text).split(b"/") if part not in (b"", b"."))

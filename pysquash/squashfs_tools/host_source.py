"""Host source: the files and directories that mksquashfs is called with, as one layer.

In: paths on this machine, and what they are called in the image. Out: a `Source`.
Rules kept here: names that are taken already get _1, _2 and so on; what is in several sources under one inode is one
file with hard links; a symlink is stored, and followed only where its path ends in a slash.
Not here: going through a directory (sources/directory), what is left out (excludes).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from pysquash.errors import OptionError, SourceError, printable
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.directory import DirectorySource, Folder, Selection
from pysquash.squashfs_tools.excludes import Excludes
from pysquash.squashfs_tools.priorities import Priorities
from pysquash.tree.entry import Entry, Kind

__all__ = ["HostSelection", "HostSource", "Place", "named_places", "stripped_places"]


class Place(NamedTuple):
    """Something on this machine and where it goes.

    Attributes:
        folder: The directory it is in; or it itself, where `name` is empty.
        name: What it is called there; b"" for a directory of which only itself is taken, and not what is in it.
        path: Where it goes in the image.
    """

    folder: bytes
    name: bytes
    path: bytes


class HostSelection(Selection):
    """What of the sources is taken."""

    def __init__(
        self,
        excludes: Excludes,
        *,
        max_depth: int | None = None,
        devices: Collection[int] = (),
        keeps_mounts: bool = True,
    ) -> None:
        """Take what is said on the command line.

        Args:
            excludes: What is left out.
            max_depth: How many directories down; None for all.
            devices: The file systems that are gone through; none for all.
            keeps_mounts: Whether another file system's root is an empty directory, or is left out as well.
        """
        self._excludes = excludes
        self._max_depth = max_depth
        self._devices = devices
        self._keeps_mounts = keeps_mounts

    def takes(self, path: bytes, status: os.stat_result) -> bool:
        """Tell whether something is taken."""
        if self._devices and status.st_dev not in self._devices:
            return self._keeps_mounts and stat.S_ISDIR(status.st_mode)
        return not self._excludes.leaves_out_inode(status) and not self._excludes.leaves_out(path)

    def descends(self, path: bytes, status: os.stat_result) -> bool:
        """Tell whether what is in a directory is looked at."""
        if self._devices and status.st_dev not in self._devices:
            return False
        return self._max_depth is None or path.count(b"/") + 1 < self._max_depth


class HostSource(DirectorySource):
    """Files and directories as a layer."""

    def __init__(
        self,
        places: Sequence[Place],
        *,
        root: bytes | None,
        priorities: Priorities | None = None,
        selection: Selection,
        own_files: OwnFiles | None = None,
        options: WriterOptions,
        warn: Warn,
    ) -> None:
        """Take places; they are opened when the entries are asked for.

        Args:
            places: What goes where.
            root: The directory that the image's root is like; None where it is like none.
            priorities: Which content comes first; None for the order of the places.
            selection: What of it is taken.
            own_files: What is being written, and so is left out.
            options: strict and limits are kept here.
            warn: Takes what is noteworthy.
        """
        super().__init__(b".", name="", options=options, warn=warn, selection=selection, own_files=own_files)
        self._places = places
        self._root = root
        self._paths_of: dict[tuple[int, int], bytes] = {}
        self._knows_all_names = len(places) < 2 or root is not None
        self._priorities = priorities
        self._put_off: list[tuple[int, Place]] | None = None if priorities is None else []

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, the root's first where there is one; files at the end where they are to be sorted."""
        if self._root is not None:
            yield from self._one(self._root, b"")
        for place in self._places:
            if not place.name:
                yield from self._one(place.folder, place.path)
                continue
            yield from self._named(place)
        put_off, self._put_off = self._put_off or [], None
        put_off.sort(key=lambda each: -each[0])
        for _priority, place in put_off:
            yield from self._named(place)

    def _is_further_name(self, entry: Entry, status: os.stat_result) -> bool:
        """Turn an entry into a hard link; where sources may overlap, an inode has more names than it knows of."""
        first = self._paths_of.setdefault((status.st_dev, status.st_ino), entry.path)
        if entry.kind is Kind.DIRECTORY or first == entry.path:
            return False
        entry.kind, entry.target = Kind.HARD_LINK, first
        return True

    def _named(self, place: Place) -> Iterator[Entry]:
        """Yield what has a name in a directory, and all that is in it."""
        parent, _, image_name = place.path.rpartition(b"/")
        folder = Folder.opened(parent, place.folder, [place.name])
        folder.renamed[place.name] = image_name
        self._folders.append(folder)
        yield from self._walk()

    def _visited(self, folder: Folder, name: bytes) -> Entry | None:
        if self._priorities is not None and self._put_off is not None:
            image_name = folder.renamed.get(name, name)
            path = folder.path + b"/" + image_name if folder.path else image_name
            status = os.stat(folder.name_for(name), dir_fd=folder.descriptor, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                self._put_off.append((self._priorities.of(path, status), Place(folder.host_path, name, path)))
                return None
            if stat.S_ISDIR(status.st_mode):
                self._priorities.note_directory(path, status)
        return super()._visited(folder, name)

    def _one(self, host_path: bytes, path: bytes) -> Iterator[Entry]:
        """Yield a directory without what is in it."""
        folder = Folder.opened(path, host_path, [])
        try:
            yield self._described(path, folder.status(), folder, None)
        finally:
            folder.close()


def named_places(
    sources: Sequence[str], *, keeps_directory: bool, taken: Collection[bytes] = (), warn: Warn
) -> tuple[list[Place], bytes | None]:
    """Tell where sources go: a single directory is the root, of all others each has its name in it.

    Args:
        sources: As they were given.
        keeps_directory: Whether a single directory is in the root as well.
        taken: Names that are in the root already.
        warn: Takes a warning for each name that becomes another one.

    Returns:
        The places, and the directory that the root is like, or None.

    Raises:
        SourceError: A source is not there, or has no name.
    """
    root: bytes | None = None
    found = [_located(source) for source in sources]
    if len(found) == 1 and not keeps_directory and found[0].is_directory:
        root = os.path.join(found[0].folder, found[0].name)
        with os.scandir(root) as names:
            found = [_Located(root, each, each, False) for each in sorted(os.fsencode(entry.name) for entry in names)]
    used = set(taken)
    places = []
    for folder, name, wanted, _ in found:
        image_name, number = wanted, 0
        if not name:
            raise SourceError("the root directory has no name; it can only be the only source", source="/")
        while image_name in used:
            number += 1
            image_name = wanted + b"_%d" % number
        if number:
            text = f"{printable(wanted)} is in the root already, and becomes {printable(image_name)}"
            warn(Notice(WarningKind.NAME_CHANGED, text))
        used.add(image_name)
        places.append(Place(folder, name, image_name))
    return places, root


def stripped_places(sources: Sequence[str]) -> tuple[list[Place], bytes | None]:
    """Tell where sources go whose leading directories are kept; "/", "." and ".." in front of them are not.

    Returns:
        The places, and the directory that the root is like: where all of them begin, or None.

    Raises:
        SourceError: A source is not there.
        OptionError: Nothing is left of a source.
    """
    places: list[Place] = []
    known: set[bytes] = set()
    roots: set[bytes] = set()
    for source in sources:
        raw = os.fsencode(source)
        try:
            os.lstat(raw)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", source=source) from None
        components = [part for part in raw.split(b"/") if part]
        start = b"/" if raw.startswith(b"/") else b"."
        while components and components[0] in (b".", b".."):
            start += b"/" + components.pop(0)
        roots.add(os.path.realpath(start))
        if not components or b"." in components or b".." in components:
            raise OptionError(f"nothing that could be a path in the image is left of the source {source!r}")
        for end in range(1, len(components)):
            path = b"/".join(components[:end])
            if path not in known:
                known.add(path)
                host = raw.rstrip(b"/").rsplit(b"/", len(components) - end)[0]
                places.append(Place(os.path.realpath(host), b"", path))
        path = b"/".join(components)
        if path not in known:
            known.add(path)
            folder, name = os.path.split(raw.rstrip(b"/"))
            places.append(Place(os.path.realpath(folder or b"."), name, path))
    return places, roots.pop() if len(roots) == 1 else None


class _Located(NamedTuple):
    """A source: its directory, its name there, what it is called in the image, whether it is a directory itself."""

    folder: bytes
    name: bytes
    image_name: bytes
    is_directory: bool


def _located(source: str) -> _Located:
    raw = os.fsencode(source)
    try:
        status = os.stat(raw) if raw.endswith(b"/") else os.lstat(raw)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", source=source) from None
    given = os.path.basename(raw.rstrip(b"/"))
    if stat.S_ISDIR(status.st_mode):
        folder, name = os.path.split(os.path.realpath(raw))
        # A symlink that is followed keeps its own name.
        return _Located(folder, name, name if given in (b"", b".", b"..") else given, True)
    return _Located(os.path.realpath(os.path.dirname(raw.rstrip(b"/")) or b"."), given, given, False)

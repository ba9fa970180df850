"""Tar source: a tar as `mksquashfs - -tar` and sqfstar read it.

In: standard input. Out: a `Source`.
Rules kept here: the first entry of a name stands; an entry for the root is passed over, with its attributes; what is
below something that is no directory, and a name that is a directory with something in it and something else, is the
end; a hard link to a directory is dropped; names of owners are looked up on this machine; an archive without its end
mark has been cut off.
Not here: what a tar's headers mean (sources/tar).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

from pysquash.compression.stream import Layer
from pysquash.errors import SourceError, printable
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource
from pysquash.squashfs_tools.excludes import Excludes
from pysquash.squashfs_tools.values import host_number
from pysquash.tree.entry import Entry, Kind

__all__ = ["CheckedTarSource", "HostOwners"]

# What a name is so far: no directory; one with nothing in it; one with something in it, described or not.
_OTHER, _EMPTY, _FULL, _IMPLIED = range(4)


class HostOwners:
    """Owners by their names on this machine, each looked up once."""

    def __init__(self) -> None:
        """Know none."""
        self._users: dict[bytes, int | None] = {b"": None}
        self._groups: dict[bytes, int | None] = {b"": None}

    def __call__(self, user: bytes, group: bytes, uid: int, gid: int) -> tuple[int, int]:
        """Give an entry's owner: by name where that is known here, else by number."""
        if user not in self._users:
            self._users[user] = host_number(os.fsdecode(user), "user")
        if group not in self._groups:
            self._groups[group] = host_number(os.fsdecode(group), "group")
        by_user, by_group = self._users[user], self._groups[group]
        return uid if by_user is None else by_user, gid if by_group is None else by_group


class CheckedTarSource(TarSource):
    """A tar that is one tree, entry by entry, before it is merged into one."""

    ignore_zeros_option = "-ignore-zeros"

    def __init__(
        self,
        layer: Layer,
        *,
        name: str,
        excludes: Excludes,
        looks_names_up: bool,
        options: WriterOptions,
        warn: Warn,
    ) -> None:
        """Open the tar.

        Args:
            layer: Where it comes from, plain or compressed.
            name: What messages call it.
            excludes: What is left out.
            looks_names_up: Whether owners' names count.
            options: As for `TarSource`.
            warn: Takes what is noteworthy and no error.
        """
        owner_of = HostOwners() if looks_names_up else None
        super().__init__(layer, name=name, options=options, warn=warn, owner_of=owner_of)
        self._excludes = excludes or None
        self._seen: dict[bytes, int] = {b"": _FULL}

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries that count.

        Raises:
            SourceError: The archive is malformed, or is no tree.
        """
        seen, excludes = self._seen, self._excludes
        for entry in super().__iter__():
            path = entry.path
            if not path:
                self._report(
                    entry,
                    WarningKind.ENTRY_SKIPPED,
                    "an entry for the root is skipped; see -root-mode, -root-uid and -root-gid",
                )
                continue
            if excludes is not None and excludes.leaves_out(path):
                continue
            parent = path.rpartition(b"/")[0]
            if seen.get(parent, _OTHER) < _FULL:
                self._note_parents(parent, entry)
            is_directory = entry.kind is Kind.DIRECTORY
            before = seen.get(path)
            if before is None:
                if entry.kind is Kind.HARD_LINK and seen.get(entry.target, _OTHER) != _OTHER:
                    self._report(
                        entry,
                        WarningKind.LINK_DROPPED,
                        f"a hard link to the directory {printable(entry.target)} is dropped",
                    )
                    continue
                seen[path] = _EMPTY if is_directory else _OTHER
            elif before >= _FULL and not is_directory:
                self._end(entry, "is something else, and was a directory with something in it")
            elif before == _IMPLIED:
                seen[path] = _FULL
            else:
                self._report(
                    entry, WarningKind.DUPLICATE_NAME, "more than one entry has this name; the first entry wins"
                )
                continue
            yield entry
        if not self.unpacked_size:  # whatever was to write it has failed
            raise SourceError("there is nothing, not even an empty archive", source=self.name)

    def _end_without_zeros(self, pending_start: int | None) -> None:
        """Take an end without its mark for what it may be: whatever writes the archive has failed."""
        super()._end_without_zeros(pending_start)
        if not self._options.ignore_zeros:
            raise SourceError("the archive is cut off: it has no end mark", source=self.name)

    def _note_parents(self, directory: bytes, entry: Entry) -> None:
        """Note that there is something in a directory, and that those above it are directories."""
        seen = self._seen
        while True:
            before = seen.get(directory)
            if before == _OTHER:
                self._end(entry, f"{printable(directory)} must be a directory, and is none in this archive")
            if before is not None:
                seen[directory] = max(before, _FULL)
                return
            seen[directory] = _IMPLIED
            directory = directory.rpartition(b"/")[0]

    def _end(self, entry: Entry, text: str) -> NoReturn:
        raise SourceError(text, source=self.name, entry=entry.path, offset=entry.offset)

    def _report(self, entry: Entry, kind: WarningKind, text: str) -> None:
        if self._options.strict:
            raise SourceError(text, source=self.name, entry=entry.path, offset=entry.offset)
        self._warn(Notice(kind, text, self.name, entry.path))

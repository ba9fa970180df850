"""Sources: single files that a caller puts into an image, over its layers or where these have nothing.

In: (name, content, attributes) as the caller gives them. Out: `Added` entries with their content, and `FilesSource`,
which makes a layer of them.
Rules kept here: a name is relative to the image's root whether or not it starts with "/", and never climbs out of it.
Not here: through which symlinks a name leads (tree/merge).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple, TypedDict, cast

from pysquash.errors import LimitError, OptionError, OptionTypeError, SourceError, printable
from pysquash.options.writer import WriterOptions
from pysquash.sources.path_limits import check_path_limits
from pysquash.tree.entry import Entry, Kind, Xattrs

__all__ = [
    "Added",
    "AddedFile",
    "AddedSymlink",
    "Attributes",
    "Content",
    "FilesSource",
    "added_entry",
    "added_file",
    "added_symlink",
    "image_path",
]

Content = bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO
"""A file's bytes, a path to them on the host, or a binary file that is read from where it stands to its end."""


class Attributes(TypedDict, total=False):
    """What an added entry may be given; what is left out has a default.

    Attributes:
        mode: Permission bits, 0 to 0o7777. Default: 0o644 for a file, 0o755 for a directory, those of the host's file
            for one that is given by its path.
        uid: Owner, 0 to 2^32-1. Default 0.
        gid: Group, 0 to 2^32-1. Default 0.
        mtime: Seconds since 1970, 0 to 2^32-1. Default: `WriterOptions.source_date_epoch`.
        xattrs: Extended attributes, full names and values. Default none.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Mapping[str, bytes]


AddedFile = tuple[str | bytes, Content, Attributes]
"""(name in the image, content, attributes)."""

AddedSymlink = tuple[str | bytes, str | bytes, Attributes]
"""(name in the image, what it says, attributes); the mode is 0o777 unless given."""


class Added(NamedTuple):
    """An entry that a caller adds.

    Attributes:
        entry: What the image gets.
        content: Where a file's bytes come from; None for all other kinds.
        is_ours: Whether we opened it, and so close it.
    """

    entry: Entry
    content: BinaryIO | None = None
    is_ours: bool = False

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes of the content.

        Raises:
            SourceError: The file has become shorter.
        """
        data = self.content.read(size) if self.content is not None else b""
        if len(data) != size:
            raise SourceError("the file became shorter while it was read", entry=self.entry.path)
        return data

    def close(self) -> None:
        """Close what we opened."""
        if self.is_ours and self.content is not None:
            self.content.close()


def image_path(name: str | bytes, options: WriterOptions) -> bytes:
    """Make a path inside the image of what a caller calls it: "etc/hosts" and "/etc/hosts" are the same.

    Args:
        name: Text is encoded as UTF-8, with surrogates for bytes that are not, as `os.fsencode` does.
        options: For the limits.

    Raises:
        SourceError: The name has a ".." or a NUL.
        LimitError: The name or a component of it is too long, or it has too many components.
    """
    raw = _raw(name, "a name in an image")
    components = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if b".." in components or b"\0" in raw:
        raise SourceError("a name in an image has no '..' and no NUL", entry=raw)
    path = b"/".join(components)
    longest = max(map(len, components), default=0)
    check_path_limits(path, longest, len(components), options.limits, source="")
    return path


def added_entry(path: bytes, kind: Kind, attributes: Attributes, options: WriterOptions, **fields: object) -> Entry:
    """Make an entry of a caller's attributes.

    Raises:
        OptionError: An attribute is unknown or outside its range.
        LimitError: An xattr's value is too large.
    """
    unknown = set(attributes) - set(Attributes.__annotations__)
    if unknown:
        raise OptionError(f"unknown attributes: {', '.join(sorted(unknown))}")
    entry = Entry(
        path,
        kind,
        _checked("mode", attributes.get("mode", 0o755 if kind is Kind.DIRECTORY else 0o644), 0o7777),
        _checked("uid", attributes.get("uid", 0), 0xFFFF_FFFF),
        _checked("gid", attributes.get("gid", 0), 0xFFFF_FFFF),
        _checked("mtime", attributes.get("mtime", options.source_date_epoch), 0xFFFF_FFFF),
        xattrs=_xattrs(attributes.get("xattrs", {}), options),
    )
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def added_file(name: str | bytes, content: Content, attributes: Attributes, options: WriterOptions) -> Added:
    """Make an entry of a file to be added; its content is open, and closing it is the taker's.

    Raises:
        SourceError: The name is empty or climbs.
        OptionError: The content or an attribute is of no use.
        OSError: The host's file cannot be read.
    """
    path = image_path(name, options)
    if not path:
        raise SourceError("a file needs a name", entry=b"")
    if isinstance(content, str):
        raise OptionError(f"the content of {name!r} is text: give bytes, or pathlib.Path for a file's path")
    file: BinaryIO
    if isinstance(content, bytes | bytearray | memoryview):
        file, size = io.BytesIO(content), len(memoryview(content).cast("B"))
    elif isinstance(content, os.PathLike):
        file = open(content, "rb")  # noqa: SIM115 - closed by Added.close
        status = os.fstat(file.fileno())
        size = status.st_size
        attributes = cast(Attributes, {"mode": status.st_mode & 0o7777, **attributes})
    else:
        if isinstance(content, io.TextIOBase) or not hasattr(content, "seek"):
            kind = "a file of text: open it with 'rb'" if hasattr(content, "read") else f"{content!r:.80}"
            raise OptionTypeError(f"the content of {name!r:.80} is bytes, pathlib.Path or a binary file, not {kind}")
        file = content
        start = file.tell()
        size = file.seek(0, io.SEEK_END) - start
        file.seek(start)
    return Added(added_entry(path, Kind.FILE, attributes, options, size=size), file, is_ours=file is not content)


def added_symlink(name: str | bytes, target: str | bytes, attributes: Attributes, options: WriterOptions) -> Added:
    """Make an entry of a symlink to be added.

    Raises:
        SourceError: The name is empty or climbs, or the target has a NUL.
        LimitError: The target is empty or too long.
        OptionError: An attribute is of no use.
    """
    path = image_path(name, options)
    raw = _raw(target, "a symlink's target")
    limit = options.limits.target_size
    if not path:
        raise SourceError("a symlink needs a name", entry=b"")
    if b"\0" in raw:
        raise SourceError("a symlink's target has no NUL", entry=path)
    if not 1 <= len(raw) <= limit:
        raise LimitError("symlink target size", len(raw), limit, where=printable(path))
    return Added(added_entry(path, Kind.SYMLINK, {"mode": 0o777, **attributes}, options, target=raw))


class FilesSource:
    """A layer of added files and symlinks; a `Source`."""

    name = "added files"
    total_size = None
    duplicates = None

    def __init__(
        self, files: Iterable[AddedFile], options: WriterOptions, *, symlinks: Iterable[AddedSymlink] = ()
    ) -> None:
        """Take the files and symlinks; the host's files are opened when their turn comes."""
        self._files = list(files)
        self._symlinks = list(symlinks)
        self._options = options
        self._current = Added(Entry(b"", Kind.DIRECTORY))
        self.consumed_size = 0

    @property
    def unpacked_size(self) -> int:
        """Bytes read so far."""
        return self.consumed_size

    def __iter__(self) -> Iterator[Entry]:
        """Yield one entry for each file, and for each symlink."""
        for name, content, attributes in self._files:
            self._current = added_file(name, content, attributes, self._options)
            try:
                yield self._current.entry
            finally:
                self._current.close()
        for name, target, attributes in self._symlinks:
            yield added_symlink(name, target, attributes, self._options).entry

    def read(self, size: int) -> bytes:
        """Give the next bytes of the entry yielded last."""
        self.consumed_size += size
        return self._current.read(size)

    def close(self) -> None:
        """Close the host's file that is open, if any."""
        self._current.close()


def _raw(text: object, what: str) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    if isinstance(text, os.PathLike):
        return os.fsencode(text)
    raise OptionTypeError(f"{what} is text or bytes, not {text!r:.80}")


def _checked(field: str, value: int, highest: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise OptionError(f"{field} must be 0 to {highest}, not {value!r}")
    return value


def _xattrs(xattrs: Mapping[str, bytes], options: WriterOptions) -> Xattrs:
    rows = []
    if not isinstance(xattrs, Mapping):
        raise OptionTypeError(f"xattrs are names and values, as {{'user.a': b'1'}}, not {xattrs!r:.80}")
    for name, value in xattrs.items():
        raw, limit = _raw(name, "an xattr's name"), options.limits.xattr_value_size
        if not isinstance(value, bytes | bytearray | memoryview):
            raise OptionTypeError(f"xattr {name!r}: the value is bytes, not {value!r:.80}")
        if not raw.startswith((b"user.", b"trusted.", b"security.")) or raw.endswith(b".") or len(raw) > 255:
            raise OptionError(f"xattr {name!r}: names are user., trusted. or security. and more, at most 255 bytes")
        if len(value) > limit:
            raise LimitError(f"the size of xattr {name}", len(value), limit)
        rows.append((raw, bytes(value)))
    return tuple(rows)

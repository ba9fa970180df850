"""Reader: paths in an image, which feel like `pathlib.Path`.

In: an image. Out: `ImagePath`, also a `Traversable` of importlib.resources.
Rules kept here: symlinks are followed inside the image, at most 40 for one path, and never out of it; a directory is
found in one place only, so walking ends.
Not here: what an inode or a listing says (inodes, directories), content (data, file).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Literal, overload

from pysquash.errors import (
    CorruptImageError,
    ImageError,
    PathIsDirectoryError,
    PathNotDirectoryError,
    PathNotFoundError,
    printable,
)
from pysquash.format.rules import Rule
from pysquash.format.words import device_number
from pysquash.reader.file import ContentFile
from pysquash.reader.filesystem import Filesystem
from pysquash.reader.glob import matching
from pysquash.reader.inodes import Inode
from pysquash.reader.status import Stat
from pysquash.tree.entry import Kind

__all__ = ["ImagePath", "Stat"]

_SYMLINK_STEPS = 40
"""As in Linux."""

_TARGET_LIMIT = 4095
"""Bytes of a target that can be followed, as in Linux."""

_DEPTH_LIMIT = 4096
"""Directories inside each other; a host's path ends at 4096 bytes."""

_PATH_LIMIT = 65536
"""Bytes of a path that is walked to, or that a symlink leads to: each name below has one of its own in memory."""

_COMPONENT_LIMIT = 2048
"""Components of all targets that are followed for one path: as many as the longest target has."""

_SHOWN_SIZE = 4096
_SECTOR_SIZE = 512
_LARGE_SIZE = 64 << 20

Segment = str | bytes | os.PathLike[str]
"""What a path is put together of. Text is UTF-8, with surrogate escapes for what is not."""

_FILE_TYPES = {
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.FILE: stat.S_IFREG,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}


class ImagePath:
    """A path in an image, which may or may not exist; made by `SquashfsImage` and by `/`.

    As with `pathlib`, `exists`, `is_dir`, `is_file` and all that opens or lists follow symlinks. `stat`, `xattrs` and
    `inode` tell of what has the name itself, a symlink too; `resolve` first to follow.

    Attributes:
        path: From the image's root, b"" for the root itself.
    """

    __slots__ = ("_filesystem", "_inode", "_ref", "path")

    def __init__(self, filesystem: Filesystem, path: bytes, ref: int | None, inode: Inode | None = None) -> None:
        """Take what the path leads to: the reference of its inode, or None for nothing."""
        self._filesystem = filesystem
        self._ref = ref
        self._inode = inode
        self.path = path

    # --- the path itself ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The last component; "" for the root."""
        return self.path.rpartition(b"/")[2].decode("utf-8", "surrogateescape")

    @property
    def parent(self) -> ImagePath:
        """The path without its last component; the root is its own parent."""
        return ImagePath.root_of(self._filesystem) / self.path.rpartition(b"/")[0]

    @classmethod
    def root_of(cls, filesystem: Filesystem) -> ImagePath:
        """Return the root directory of a file system."""
        inode = filesystem.root_inode
        return cls(filesystem, b"", inode.ref, inode)

    @property
    def filesystem(self) -> Filesystem:
        """The file system that the path is in."""
        return self._filesystem

    def __truediv__(self, name: Segment) -> ImagePath:
        """Go down by one or more names, through symlinks to directories; a leading "/" begins at the image's root."""
        raw = _raw(name)
        here = ImagePath.root_of(self._filesystem) if raw.startswith(b"/") else self
        for part in raw.split(b"/"):
            if part in (b"", b"."):
                continue
            folder = here._followed()
            if folder is not None and part == b".." and folder.inode.kind is Kind.DIRECTORY:
                here = folder.parent
                continue
            ref = None if folder is None else folder.find(part)
            here = ImagePath(self._filesystem, _joined(here.path, part), ref)
        return here

    def joinpath(self, *names: Segment) -> ImagePath:
        """Go down by all of these, one after the other."""
        here = self
        for name in names:
            here = here / name
        return here

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImagePath):
            return NotImplemented
        return self._filesystem is other._filesystem and self.path == other.path

    def __hash__(self) -> int:
        return hash((id(self._filesystem), self.path))

    def __repr__(self) -> str:
        return f"ImagePath({printable(self.path)!r})"

    def __str__(self) -> str:
        return printable(self.path)

    # --- what is there -----------------------------------------------------------------------------------------------

    @property
    def inode(self) -> Inode:
        """What the path leads to, a symlink's own.

        Raises:
            PathNotFoundError: Nothing.
        """
        if self._inode is None:
            if self._ref is None:
                raise PathNotFoundError(f"{printable(self.path)}: there is no such path in the image")
            self._inode = self._filesystem.read_inode(self._ref)
        return self._inode

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether the path leads to anything."""
        return (self._followed() if follow_symlinks else self._ref) is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether it is a directory, or a symlink to one."""
        return self._is(Kind.DIRECTORY, follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether it is a regular file, or a symlink to one."""
        return self._is(Kind.FILE, follow_symlinks=follow_symlinks)

    def is_symlink(self) -> bool:
        """Tell whether it is a symlink."""
        return self._is(Kind.SYMLINK, follow_symlinks=False)

    def readlink(self) -> bytes:
        """Give a symlink's target.

        Raises:
            ImageError: It is no symlink.
        """
        if self.inode.kind is not Kind.SYMLINK:
            raise ImageError(f"{printable(self.path)} is no symlink")
        return self.inode.target

    def stat(self, *, follow_symlinks: bool = False) -> Stat:
        """Give the inode's attributes.

        Args:
            follow_symlinks: Whether to tell of what a symlink leads to. Not by default, other than in `pathlib`,
                because what lists an image wants what is in the image.
        """
        inode, filesystem = (self.resolve() if follow_symlinks else self).inode, self._filesystem
        kind = inode.kind
        size = inode.listing_size + 3 if kind is Kind.DIRECTORY else inode.size
        return Stat(
            inode.mode & 0o7777 | _FILE_TYPES[kind],
            inode.number,
            inode.nlink,
            filesystem.id(inode.uid_index),
            filesystem.id(inode.gid_index),
            size,
            inode.mtime,
            device_number(*inode.device) if inode.device is not None else 0,
            -(-max(0, size - inode.sparse) // _SECTOR_SIZE) if kind is Kind.FILE else 0,
            filesystem.superblock.block_size,
        )

    def lstat(self) -> Stat:
        """Give the inode's attributes, a symlink's own."""
        return self.stat()

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        """The extended attributes by full name, a symlink's own."""
        return self._filesystem.xattrs(self.inode)

    # --- where it leads ----------------------------------------------------------------------------------------------

    def resolve(self) -> ImagePath:
        """Follow symlinks, all inside the image, until there is none.

        Raises:
            PathNotFoundError: A symlink leads to nothing, or there are more than 40 of them.
        """
        if b"/" not in self.path and self._ref is not None and self.inode.kind is not Kind.SYMLINK:
            return self
        left = self.path.split(b"/")[::-1]
        stack = [ImagePath.root_of(self._filesystem)]
        steps = component_count = 0
        while left:
            part = left.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                stack = stack[:-1] or stack  # the root is its own parent
                continue
            folder = stack[-1]
            ref = folder.find(part)
            here = ImagePath(self._filesystem, _joined(folder.path, part), ref)
            if ref is None:
                raise PathNotFoundError(f"{printable(self.path)}: leads to {here}, which does not exist")
            if here.inode.kind is Kind.SYMLINK:
                steps += 1
                target = here.inode.target
                if steps > _SYMLINK_STEPS or len(target) > _TARGET_LIMIT:
                    raise PathNotFoundError(
                        f"{printable(self.path)}: more than {_SYMLINK_STEPS} symlinks, or one of {len(target)} bytes"
                    )
                if target.startswith(b"/"):
                    del stack[1:]
                components = target.split(b"/")[::-1]
                component_count += len(components)
                if component_count > _COMPONENT_LIMIT:
                    text = f"more than {_COMPONENT_LIMIT} components in targets of symlinks"
                    raise PathNotFoundError(f"{printable(self.path)}: {text}")
                left += components
            elif left and here.inode.kind is not Kind.DIRECTORY:  # a "/" at a target's end asks for one, too
                raise PathNotFoundError(f"{printable(self.path)}: leads through {here}, which is no directory")
            elif len(here.path) > _PATH_LIMIT:
                raise PathNotFoundError(f"{printable(self.path)}: leads to a path of {len(here.path)} bytes")
            else:
                stack.append(here)
        return stack[-1]

    def find(self, name: bytes) -> int | None:
        """Look one name up: the reference of its inode; None where there is none, or this is no directory."""
        if self._ref is None or self.inode.kind is not Kind.DIRECTORY:
            return None
        found = self._filesystem.find(self.inode, name)
        return None if found is None else found.ref

    def iterdir(self) -> Iterator[ImagePath]:
        """Yield what is in a directory, in the order of the image, which is by name.

        Raises:
            PathNotFoundError: There is no such path.
            PathNotDirectoryError: It is no directory.
            CorruptImageError: The directory is damaged, or its names are not sorted and unique.
        """
        folder = self.resolve() if self.is_symlink() else self
        if folder.inode.kind is not Kind.DIRECTORY:
            raise PathNotDirectoryError(f"{printable(self.path)} is no directory")
        filesystem = self._filesystem
        prefix = self.path + b"/" if self.path else b""
        try:
            for name, _, _, ref in filesystem.names(folder.inode):
                yield ImagePath(filesystem, prefix + name, ref)
        except CorruptImageError as error:
            raise error.in_directory(self.path) from error

    def walk(self) -> Iterator[ImagePath]:
        """Yield this path and all below it, each directory before what is in it; symlinks are not followed.

        Raises:
            PathNotFoundError: There is no such path.
            CorruptImageError: A directory has two places, or there are more names than the image has room for, or
                they are too deep.
        """
        yield ImagePath(self._filesystem, self.path, self._ref, self.inode)
        if self.inode.kind is not Kind.DIRECTORY:
            return
        # A directory has one name. One that has two may be inside itself, or double the tree at each of its levels.
        seen = {self.inode.ref}
        waiting = [self.iterdir()]
        while waiting:
            here = next(waiting[-1], None)
            if here is None:
                waiting.pop()
                continue
            yield here
            inode = here.inode
            if inode.kind is not Kind.DIRECTORY:
                continue
            if inode.ref in seen:
                raise _corrupt(here, "is in two places", Rule.DIRECTORY_ONCE)
            if len(waiting) > _DEPTH_LIMIT:
                raise _corrupt(here, f"is inside more than {_DEPTH_LIMIT} others", Rule.DEPTH)
            if len(here.path) > _PATH_LIMIT:
                raise _corrupt(here, f"has a path of {len(here.path)} bytes", Rule.DEPTH)
            seen.add(inode.ref)
            waiting.append(here.iterdir())

    def walk_directories(self) -> Iterator[ImagePath]:
        """Yield this path, if it is a directory or a symlink to one, and all directories below; no other symlinks are
        followed.

        Raises:
            CorruptImageError: As for `walk`.
        """
        if self.is_dir():
            inode = (self.resolve() if self.is_symlink() else self).inode
            for below in ImagePath(self._filesystem, self.path, inode.ref, inode).walk():
                if below.is_dir(follow_symlinks=False):
                    yield below

    def glob(self, pattern: str) -> Iterator[ImagePath]:
        """Yield the paths below this one that match, as in `pathlib`: `*`, `?`, `[...]`, and `**` for directories."""
        return matching(self, pattern, stored_size=self._filesystem.listings.stored_size)

    def rglob(self, pattern: str) -> Iterator[ImagePath]:
        """Yield the paths at any depth below this one that match."""
        return matching(self, pattern, stored_size=self._filesystem.listings.stored_size, is_recursive=True)

    # --- content -----------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[bytes]:
        """Yield a file's content block by block.

        Raises:
            PathNotFoundError: There is no such path.
            PathIsDirectoryError: It is a directory.
            ImageError: It is no regular file.
        """
        return self._filesystem.blocks(self._file())

    def read_bytes(self) -> bytes:
        """Give a file's content.

        Raises:
            ImageError: As for `blocks`, or there is more than memory holds.
        """
        inode = self._file()
        if inode.size < _LARGE_SIZE:
            return b"".join(self._filesystem.blocks(inode))
        data = self._filesystem.data
        try:  # first the memory, then the bytes: a short image can hold a file of many terabytes, all holes
            content = bytearray(inode.size)
            for extent in data.extents(inode):
                if not extent.is_hole:
                    content[extent.position : extent.position + extent.size] = data.read_extent(inode, extent)
            return bytes(content)
        except (MemoryError, OverflowError):
            raise ImageError(f"{printable(self.path)}: there is no memory for {inode.size} bytes") from None

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        """Give a file's content as text, UTF-8 by default."""
        with self.open("r", encoding=encoding, errors=errors, newline=newline) as file:
            return file.read()

    @overload
    def open(
        self,
        mode: Literal["r", "rt", "tr"] = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...
    @overload
    def open(self, mode: Literal["rb", "br"], buffering: int = -1) -> BinaryIO: ...
    @overload
    def open(self, mode: str, *args: Any, **kwargs: Any) -> IO[Any]: ...
    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open a file for reading: as text, UTF-8 by default, or with "rb" as bytes. Either way at any position.

        Args:
            mode: "r" or "rb".
            buffering: 0 for a raw file, which only "rb" can be; -1 for the usual buffer, or the size of one.
            encoding: Of text.
            errors: As for `open`.
            newline: As for `open`.

        Raises:
            PathNotFoundError: There is no such path.
            PathIsDirectoryError: It is a directory.
            ImageError: It is no regular file.
            ValueError: The mode is for writing, or makes no sense.
        """
        is_binary = "b" in mode
        if sorted(mode) not in (["r"], ["r", "t"], ["b", "r"]) or (buffering == 0 and not is_binary):
            raise ValueError(f"mode {mode!r} with buffering {buffering}: images are opened with 'r' or 'rb'")
        if is_binary and (encoding or errors or newline):
            raise ValueError("a binary file has no encoding, errors or newlines")
        raw = ContentFile(self._filesystem.data, self._file(), str(self))
        if buffering == 0:
            return raw  # type: ignore[return-value]
        buffered = io.BufferedReader(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        return buffered if is_binary else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

    # -----------------------------------------------------------------------------------------------------------------

    def _followed(self) -> ImagePath | None:
        """Give what the path leads to, or None for nothing."""
        if self._ref is None or self.inode.kind is not Kind.SYMLINK:
            return None if self._ref is None else self
        try:
            return self.resolve()
        except PathNotFoundError:
            return None

    def _is(self, kind: Kind, *, follow_symlinks: bool) -> bool:
        here = self._followed() if follow_symlinks else self
        return here is not None and here.exists(follow_symlinks=False) and here.inode.kind is kind

    def _file(self) -> Inode:
        """Give the inode of a regular file, symlinks followed."""
        inode = (self.resolve() if self.is_symlink() else self).inode
        if inode.kind is Kind.DIRECTORY:
            raise PathIsDirectoryError(f"{printable(self.path)} is a directory")
        if inode.kind is not Kind.FILE:
            raise ImageError(f"{printable(self.path)} is no regular file")
        return inode


def _raw(name: Segment) -> bytes:
    """Give a path's bytes; a NUL is in no name, so such a path leads to nothing."""
    text = name if isinstance(name, str | bytes) else os.fspath(name)
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _corrupt(here: ImagePath, what: str, rule: Rule) -> CorruptImageError:
    path = str(here)
    path = path if len(path) <= _SHOWN_SIZE else f"{path[:_SHOWN_SIZE]}..."
    return CorruptImageError(f"the directory {path} {what}", section="directory table", rule=rule)


def _joined(parent: bytes, name: bytes) -> bytes:
    return parent + b"/" + name if parent else name

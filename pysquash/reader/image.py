"""Reader: an image as a tree of paths.

In: a path or a seekable binary file. Out: `SquashfsImage`, whose `ImagePath`s feel like `pathlib.Path`.
On disk: "Superblock".
Rules kept here: opening reads the superblock and the small tables only; symlinks are followed inside the image, at
most 40 for one path.
Not here: each table (metadata, tables, inodes, directories, xattrs, data).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from pysquash.compression.base import settings_for
from pysquash.errors import (
    CorruptImageError,
    ImageError,
    NotSquashfsError,
    PathNotFoundError,
    UnsupportedImageError,
    printable,
)
from pysquash.format.constants import MAGIC, NO_TABLE, NO_XATTRS, VERSION, CompressorId, SuperblockFlag
from pysquash.format.records import FRAGMENT_ENTRY, ID, SUPERBLOCK
from pysquash.format.words import device_number
from pysquash.reader.archive import to_tar
from pysquash.reader.data import DataReader
from pysquash.reader.directories import read_names
from pysquash.reader.inodes import Inode, read_inode
from pysquash.reader.input import Input, InputTarget
from pysquash.reader.metadata import MetadataReader
from pysquash.reader.tables import read_rows
from pysquash.reader.xattrs import XattrReader
from pysquash.tree.entry import Kind

__all__ = ["ImagePath", "SquashfsImage", "Stat"]

_SYMLINK_STEPS = 40
_DEPTH_LIMIT = 4096

_FILE_TYPES = {
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.FILE: stat.S_IFREG,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}


class Stat(NamedTuple):
    """What `os.stat_result` has, of an inode in an image. `st_rdev` is packed as Linux packs it."""

    st_mode: int
    st_ino: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: int
    st_rdev: int


class SquashfsImage:
    """An image, open for reading; a context manager.

    Attributes:
        superblock: As it stands in the image.
    """

    def __init__(self, target: InputTarget, *, offset: int = 0) -> None:
        """Open an image.

        Args:
            target: A path, or a seekable binary file, which stays open.
            offset: The byte in it at which the image starts.

        Raises:
            OSError: The file cannot be read.
            NotSquashfsError: It is no SquashFS image.
            UnsupportedImageError: It is of another version, or compressed with what is not here.
            CorruptImageError: A table is missing or damaged.
        """
        self._source = Input(target, offset)
        try:
            self._open()
        except BaseException:
            self._source.close()
            raise

    def _open(self) -> None:
        source = self._source
        if source.size < SUPERBLOCK.size:
            raise NotSquashfsError(f"a file of {source.size} bytes is too short for a superblock")
        superblock = self.superblock = SUPERBLOCK.unpack(source.read(0, SUPERBLOCK.size, section="superblock"))
        if superblock.magic != MAGIC:
            raise NotSquashfsError(f"the first four bytes are {superblock.magic:#010x}, not {MAGIC:#010x}")
        if (superblock.version_major, superblock.version_minor) != VERSION:
            raise UnsupportedImageError(f"version {superblock.version_major}.{superblock.version_minor}, not 4.0")
        if not 12 <= superblock.block_log <= 20 or superblock.block_size != 1 << superblock.block_log:
            raise CorruptImageError(
                f"{superblock.block_size} and its log2 {superblock.block_log}", section="superblock", field="block_size"
            )
        settings = settings_for(superblock.compressor, superblock.block_size)
        if settings is None:
            names = {number.value: number.name.lower() for number in CompressorId}
            name = names.get(superblock.compressor, f"number {superblock.compressor}")
            raise UnsupportedImageError(f"compressed with {name}, which cannot be read here")
        end = min(superblock.bytes_used, source.size)
        self._inodes = MetadataReader(
            source, settings, superblock.inode_table_start, superblock.directory_table_start, section="inode table"
        )
        self._listings = MetadataReader(
            source, settings, superblock.directory_table_start, end, section="directory table"
        )
        self._ids = self._rows(superblock.id_table_start, superblock.id_count * ID.size, "id table")
        fragments = self._rows(
            superblock.fragment_table_start, superblock.fragment_count * FRAGMENT_ENTRY.size, "fragment table"
        )
        self._data = DataReader(source, settings, superblock.block_size, fragments)
        has_xattrs = superblock.xattr_table_start != NO_TABLE
        self._xattrs = XattrReader(source, settings, superblock.xattr_table_start) if has_xattrs else None

    def _rows(self, list_start: int, size: int, section: str) -> bytes:
        if not size:
            return b""
        if size > self._source.size * 2048:  # metadata cannot be compressed further than that
            raise CorruptImageError(f"{size} bytes of rows", section=section, offset=list_start)
        settings = settings_for(self.superblock.compressor, self.superblock.block_size)
        if settings is None:
            raise UnsupportedImageError("compressed with what cannot be read here")
        return read_rows(self._source, settings, list_start, size, section=section)

    @property
    def compressor_name(self) -> str:
        """The compressor by its name."""
        return CompressorId(self.superblock.compressor).name.lower()

    @property
    def flag_names(self) -> list[str]:
        """The superblock's flags by their names."""
        return [
            flag.name.lower().replace("_", " ") for flag in SuperblockFlag if flag & self.superblock.flags and flag.name
        ]

    @property
    def root(self) -> ImagePath:
        """The root directory."""
        return ImagePath(self, b"", self.read_inode(self.superblock.root_ref))

    def __truediv__(self, name: str | bytes) -> ImagePath:
        """Give a path in the image: `image / "etc" / "passwd"`."""
        return self.root / name

    def to_tar(self, output: BinaryIO) -> list[str]:
        """Write the whole image as a pax tar.

        Args:
            output: Any binary file that can be written to, a pipe as well.

        Returns:
            What a tar cannot hold and was left out, a line each: sockets.
        """
        return to_tar(self.root, output)

    def close(self) -> None:
        """Close the file, if we opened it."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what paths are made of --------------------------------------------------------------------------------------

    def read_inode(self, ref: int) -> Inode:
        """Read the inode at a metadata reference."""
        return read_inode(self._inodes, ref, self.superblock.block_size, self._source.size)

    def names(self, inode: Inode) -> Iterator[tuple[bytes, int]]:
        """Yield a directory's names with the references of their inodes."""
        for name in read_names(self._listings, inode):
            yield name.name, name.ref

    def blocks(self, inode: Inode) -> Iterator[bytes]:
        """Yield a file's content block by block."""
        return self._data.blocks(inode)

    def id(self, index: int) -> int:
        """Give the user or group id of a row of the id table.

        Raises:
            CorruptImageError: There is no such row.
        """
        if (index + 1) * ID.size > len(self._ids):
            raise CorruptImageError(f"row {index} is not in the table", section="id table")
        return ID.unpack(self._ids, index * ID.size).value

    def xattrs(self, inode: Inode) -> dict[bytes, bytes]:
        """Give an inode's extended attributes."""
        if inode.xattr_index == NO_XATTRS or self._xattrs is None:
            return {}
        return self._xattrs.read(inode.xattr_index)


class ImagePath:
    """A path in an image, which may or may not exist; made by `SquashfsImage` and by `/`.

    Attributes:
        path: From the image's root, b"" for the root itself.
    """

    __slots__ = ("_image", "_inode", "path")

    def __init__(self, image: SquashfsImage, path: bytes, inode: Inode | None) -> None:
        """Take what the path leads to, or None for nothing."""
        self._image = image
        self._inode = inode
        self.path = path

    @property
    def name(self) -> str:
        """The last component."""
        return os.fsdecode(self.path.rpartition(b"/")[2])

    @property
    def inode(self) -> Inode:
        """What the path leads to, symlinks not followed.

        Raises:
            PathNotFoundError: Nothing.
        """
        if self._inode is None:
            raise PathNotFoundError(f"{printable(self.path)}: there is no such path in the image")
        return self._inode

    def __truediv__(self, name: str | bytes) -> ImagePath:
        """Go down by one or more names, through symlinks to directories."""
        raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
        here = self
        for part in raw.split(b"/"):
            if part in (b"", b"."):
                continue
            path = here.path + b"/" + part if here.path else part
            folder = here.resolve() if here.is_symlink() else here
            here = ImagePath(self._image, path, folder.child(part))
        return here

    joinpath = __truediv__

    def child(self, name: bytes) -> Inode | None:
        """Look one name up; None where there is none, or this is no directory."""
        if self._inode is None or self._inode.kind is not Kind.DIRECTORY:
            return None
        for found, ref in self._image.names(self._inode):
            if found == name:
                return self._image.read_inode(ref)
            if found > name:  # "sorted by unsigned bytes"
                return None
        return None

    def __repr__(self) -> str:
        return f"ImagePath({printable(self.path)!r})"

    def exists(self) -> bool:
        """Tell whether the path leads to anything, symlinks not followed."""
        return self._inode is not None

    def is_dir(self) -> bool:
        """Tell whether it is a directory, symlinks not followed."""
        return self._inode is not None and self._inode.kind is Kind.DIRECTORY

    def is_file(self) -> bool:
        """Tell whether it is a regular file, symlinks not followed."""
        return self._inode is not None and self._inode.kind is Kind.FILE

    def is_symlink(self) -> bool:
        """Tell whether it is a symlink."""
        return self._inode is not None and self._inode.kind is Kind.SYMLINK

    def iterdir(self) -> Iterator[ImagePath]:
        """Yield what is in a directory, in the order of the image.

        Raises:
            ImageError: It is no directory.
        """
        if self.inode.kind is not Kind.DIRECTORY:
            raise ImageError(f"{printable(self.path)} is no directory")
        for name, ref in self._image.names(self.inode):
            path = self.path + b"/" + name if self.path else name
            yield ImagePath(self._image, path, self._image.read_inode(ref))

    def walk(self) -> Iterator[ImagePath]:
        """Yield this path and all below it, each directory before what is in it.

        Raises:
            PathNotFoundError: There is no such path.
            CorruptImageError: A directory is inside itself.
        """
        first = ImagePath(self._image, self.path, self.inode)
        waiting: list[tuple[Iterator[ImagePath], int]] = [(iter([first]), -1)]
        above: set[int] = set()
        while waiting:
            rows, ref = waiting[-1]
            here = next(rows, None)
            if here is None:
                waiting.pop()
                above.discard(ref)
                continue
            yield here
            if here.is_dir():
                if here.inode.ref in above or len(waiting) > _DEPTH_LIMIT:
                    raise CorruptImageError(f"{printable(here.path)} is inside itself", section="directory table")
                above.add(here.inode.ref)
                waiting.append((here.iterdir(), here.inode.ref))

    def resolve(self) -> ImagePath:
        """Follow symlinks, all inside the image, until there is none.

        Raises:
            PathNotFoundError: A symlink leads to nothing.
            ImageError: There are more than 40 of them.
        """
        left = self.path.split(b"/")[::-1] if self.path else []
        stack = [self._image.root]
        steps = 0
        while left:
            part = left.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                stack = stack[:-1] or stack  # the root is its own parent
                continue
            folder = stack[-1]
            path = folder.path + b"/" + part if folder.path else part
            here = ImagePath(self._image, path, folder.child(part))
            if here.is_symlink():
                steps += 1
                if steps > _SYMLINK_STEPS:
                    raise ImageError(f"{printable(self.path)}: more than {_SYMLINK_STEPS} symlinks")
                if here.inode.target.startswith(b"/"):
                    del stack[1:]
                left += here.inode.target.split(b"/")[::-1]
                continue
            stack.append(here)
        if not stack[-1].exists():
            raise PathNotFoundError(
                f"{printable(self.path)}: leads to {printable(stack[-1].path)}, which does not exist"
            )
        return stack[-1]

    def readlink(self) -> bytes:
        """Give a symlink's target."""
        if not self.is_symlink():
            raise ImageError(f"{printable(self.path)} is no symlink")
        return self.inode.target

    def stat(self) -> Stat:
        """Give the inode's attributes, symlinks not followed."""
        inode, image = self.inode, self._image
        header = inode.header
        size = inode.listing_size + 3 if inode.kind is Kind.DIRECTORY else inode.size
        return Stat(
            header.mode & 0o7777 | _FILE_TYPES[inode.kind],
            header.number,
            inode.nlink,
            image.id(header.uid_index),
            image.id(header.gid_index),
            size,
            header.mtime,
            device_number(*inode.device) if inode.device is not None else 0,
        )

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        """The extended attributes, by full name."""
        return self._image.xattrs(self.inode)

    def blocks(self) -> Iterator[bytes]:
        """Yield a file's content block by block, symlinks followed."""
        target = self.resolve() if self.is_symlink() else self
        if target.inode.kind is not Kind.FILE:
            raise ImageError(f"{printable(self.path)} is no regular file")
        return self._image.blocks(target.inode)

    def read_bytes(self) -> bytes:
        """Give a file's content."""
        return b"".join(self.blocks())

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Give a file's content as text."""
        return self.read_bytes().decode(encoding, errors)

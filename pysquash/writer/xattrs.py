"""Writer: extended attributes, each set once and each long value once.

In: the attributes of one inode after the other. Out: rows of the xattr id table, and the stream of keys and values.
On disk: "Xattr table".
Rules kept here: a name is stored without its prefix, whose number is the key's type; a row's size counts the full
names, one byte more for each, and the values; a value that is stored already is given by reference.
Not here: which attributes of a source an image can have (sources).
"""

from __future__ import annotations

from collections.abc import Collection

from pysquash.errors import InputError, printable
from pysquash.format.constants import NO_XATTRS, XATTR_PREFIXES
from pysquash.format.records import XATTR_ENTRY, XATTR_ID, XATTR_REF, XATTR_TABLE, XATTR_VALUE
from pysquash.format.words import XATTR_OUT_OF_LINE
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Xattrs
from pysquash.tree.node import Node
from pysquash.writer.metadata import Compress, MetadataWriter
from pysquash.writer.output import Output
from pysquash.writer.tables import write_table

__all__ = ["XattrWriter", "keep_xattrs"]


class XattrWriter:
    """The xattr table being made."""

    def __init__(self, compress: Compress) -> None:
        """Start without any."""
        self._compress = compress
        self._stream = MetadataWriter(compress)
        self._rows: list[bytes] = []
        self._set_indices: dict[Xattrs, int] = {}
        self._value_refs: dict[bytes, int] = {}

    def index(self, xattrs: Xattrs) -> int:
        """Give the row for a set of attributes, and store the set if it is new.

        Args:
            xattrs: Full names and values, in any order; names unique, in one of XATTR_PREFIXES.

        Returns:
            Row of the xattr id table; NO_XATTRS for an empty set.

        Raises:
            InputError: A name is in no name space that the format has.
        """
        if not xattrs:
            return NO_XATTRS
        key = tuple(sorted(xattrs))  # sets are equal whatever their order
        known = self._set_indices.get(key)
        if known is not None:
            return known
        ref = self._stream.ref
        for name, value in key:
            self._write_xattr(name, value)
        size = sum(len(name) + 1 + len(value) for name, value in key)
        self._rows.append(XATTR_ID.pack(ref, len(key), size))
        index = self._set_indices[key] = len(self._rows) - 1
        return index

    def write(self, output: Output) -> int | None:
        """Write keys, values and the id table.

        Returns:
            Absolute byte of the id table's header, or None where no inode has attributes: then there is no table.
        """
        if not self._rows:
            return None
        self._stream.finish()
        start = output.position
        output.write(self._stream.stored)
        header = XATTR_TABLE.pack(start, len(self._rows), 0)
        return write_table(output, b"".join(self._rows), self._compress, header=header)

    def _write_xattr(self, name: bytes, value: bytes) -> None:
        space, dot, suffix = name.partition(b".")
        if space + dot not in XATTR_PREFIXES or not suffix:
            raise InputError(f"xattr {printable(name)}: SquashFS holds user., trusted. and security. attributes only")
        type_number = XATTR_PREFIXES.index(space + dot)
        value_ref = self._value_refs.get(value)
        if value_ref is not None:
            self._stream.write(XATTR_ENTRY.pack(type_number | XATTR_OUT_OF_LINE, len(suffix)) + suffix)
            self._stream.write(XATTR_VALUE.pack(XATTR_REF.size) + XATTR_REF.pack(value_ref))
            return
        self._stream.write(XATTR_ENTRY.pack(type_number, len(suffix)) + suffix)
        if len(value) > XATTR_REF.size:  # a shorter value takes no more room than a reference to it
            self._value_refs[value] = self._stream.ref
        self._stream.write(XATTR_VALUE.pack(len(value)) + value)


def keep_xattrs(root: Node, options: WriterOptions, always: Collection[bytes] = ()) -> None:
    """Take out of a tree, in place, the attributes that the options do not want.

    Args:
        root: The tree.
        options: Which are wanted.
        always: Names that are kept whatever the options say.
    """
    if options.xattrs and options.xattrs_include is None and options.xattrs_exclude is None:
        return
    for node in root.walk():
        if node.xattrs:
            node.xattrs = tuple(
                (name, value) for name, value in node.xattrs if name in always or options.wants_xattr(name)
            )

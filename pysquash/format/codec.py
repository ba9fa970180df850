"""Format: derives a fast packer from a construct layout.

In: a flat construct `Struct` of fixed-size integers, and the NamedTuple with the same field names. Out: a `Codec` with
one `struct.Struct`, about a hundred times faster than `Struct.build`. Anything it cannot translate exactly is refused
at import, so the layout stays the only declaration.
Not here: the layouts (records).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import construct

from pysquash.errors import CorruptImageError
from pysquash.format.rules import Rule

__all__ = ["Codec", "joined_pack", "joined_unpack"]

Record = TypeVar("Record", bound=NamedTuple)
Buffer = bytes | bytearray | memoryview


def _format_characters(layout: construct.Struct) -> dict[str, str]:
    """Translate each field of a layout into struct's character for it.

    Raises:
        TypeError: A field is not a little-endian fixed-size integer, or has no name.
    """
    characters = {}
    for field in layout.subcons:
        integer = field
        while isinstance(integer, construct.Renamed):  # one layer for the name, one for the text
            integer = integer.subcon
        if not field.name or not isinstance(integer, construct.FormatField) or integer.fmtstr[0] != "<":
            raise TypeError(f"cannot derive a packer for {field!r}")
        characters[field.name] = integer.fmtstr[1:]
    return characters


class Codec(Generic[Record]):
    """Packs and unpacks one kind of record.

    Attributes:
        layout: The construct declaration that this was derived from.
        record: The NamedTuple that `unpack` returns.
        size: Bytes of one packed record.
        pack: Takes every field in order, each within its integer's range, and returns `size` bytes.
    """

    __slots__ = ("_struct", "layout", "pack", "record", "section", "size")

    def __init__(self, layout: construct.Struct, record: type[Record], *, section: str) -> None:
        """Derive the codec.

        Args:
            layout: A flat Struct of little-endian integers.
            record: A NamedTuple with the same names in the same order.
            section: The part of the image that errors name.

        Raises:
            TypeError: The layout has a field that does not translate, or other names than the record.
        """
        characters = _format_characters(layout)
        if tuple(characters) != record._fields:
            raise TypeError(f"{record.__name__} has fields {record._fields}, its layout has {tuple(characters)}")
        self._struct = struct.Struct("<" + "".join(characters.values()))
        self.layout = layout
        self.record = record
        self.section = section
        self.size = self._struct.size
        self.pack: Callable[..., bytes] = self._struct.pack

    @property
    def format(self) -> str:
        """The struct module's format string."""
        return self._struct.format

    def unpack(self, buffer: Buffer, offset: int = 0) -> Record:
        """Read one record.

        Args:
            buffer: The uncompressed bytes.
            offset: Where in them the record starts.

        Raises:
            CorruptImageError: The buffer ends inside the record.
        """
        try:
            fields: tuple[Any, ...] = self._struct.unpack_from(buffer, offset)
        except struct.error:
            raise CorruptImageError(
                f"{self.record.__name__} needs {self.size} bytes at {offset}, there are {len(buffer)} in all",
                section=self.section,
                rule=Rule.RECORD,
            ) from None
        return self.record._make(fields)


def joined_pack(*codecs: Codec[Any]) -> Callable[..., bytes]:
    """Make one packer for records that follow each other: it takes the fields of all, in order.

    One call of struct instead of two and a concatenation, for an inode's header and body.
    """
    return struct.Struct("<" + "".join(codec.format[1:] for codec in codecs)).pack


def joined_unpack(*codecs: Codec[Any]) -> tuple[Callable[[Buffer, int], tuple[Any, ...]], int]:
    """Make one unpacker for records that follow each other, and tell their size together.

    The reverse of `joined_pack`. The caller sees to it that the buffer holds that many bytes.
    """
    joined = struct.Struct("<" + "".join(codec.format[1:] for codec in codecs))
    return joined.unpack_from, joined.size

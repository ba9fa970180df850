"""Format: packs and unpacks records.

In: a NamedTuple of integers, and its format for the struct module. Out: a `Codec` with one `struct.Struct`, about a
hundred times faster than construct's `Struct.build`.
Not here: the records (records); what their formats are derived from (layouts).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from pysquash.errors import CorruptImageError
from pysquash.format.packed_formats import FORMATS
from pysquash.format.rules import Rule

__all__ = ["Codec", "joined_pack", "joined_unpack"]

Record = TypeVar("Record", bound=NamedTuple)
Buffer = bytes | bytearray | memoryview


class Codec(Generic[Record]):
    """Packs and unpacks one kind of record.

    Attributes:
        record: The NamedTuple that `unpack` returns.
        section: The part of the image that errors name.
        size: Bytes of one packed record.
        pack: Takes every field in order, each within its integer's range, and returns `size` bytes. Outside hot paths,
            call it as `pack(*Record(field=value, ...))`.
    """

    __slots__ = ("_struct", "pack", "record", "section", "size")

    def __init__(self, record: type[Record], *, section: str) -> None:
        """Find the record's format. A record added since `make docs` has none yet, and cannot be packed."""
        self._struct = struct.Struct(FORMATS.get(record.__name__, "<"))
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

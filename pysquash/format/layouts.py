"""Format: construct's layout of each record.

In: the records, whose fields are annotated with construct's integers and a text. Out: a construct `Struct` of each,
which parses, builds and documents it, and the format that the struct module packs it with.
Imports construct, which takes longer than everything else that a command imports: only `pysquash info --structures`,
the docs and the tests import this module.
Not here: what packs images (codec); structures of variable size, which no flat layout describes.
"""

from __future__ import annotations

import typing
from typing import Any, NamedTuple

import construct

from pysquash.format import records

__all__ = ["LAYOUTS", "format_of", "layout_of"]


def layout_of(record: type[NamedTuple]) -> construct.Struct:
    """Derive the construct layout of a record from its fields' annotations.

    Raises:
        TypeError: A field is not annotated with an integer and a text.
    """
    fields: dict[str, Any] = typing.get_type_hints(record, {**vars(typing), **vars(construct)}, include_extras=True)
    subcons = []
    for name, hint in fields.items():
        metadata: tuple[Any, ...] = getattr(hint, "__metadata__", ())
        if len(metadata) != 2 or not isinstance(metadata[1], str):
            raise TypeError(f"{record.__name__}.{name} is not annotated with an integer and a text")
        integer, text = metadata
        subcons.append(name / integer * text)
    return construct.Struct(*subcons)


def format_of(layout: construct.Struct) -> str:
    """Translate a layout into a format of the struct module.

    Raises:
        TypeError: A field is not a little-endian integer of fixed size.
    """
    characters = "<"
    for field in layout.subcons:
        integer = field
        while isinstance(integer, construct.Renamed):  # one layer for the name, one for the text
            integer = integer.subcon
        if not isinstance(integer, construct.FormatField) or integer.fmtstr[0] != "<":
            raise TypeError(f"cannot pack {field!r}")
        characters += integer.fmtstr[1:]
    return characters


LAYOUTS: dict[str, construct.Struct] = {name: layout_of(codec.record) for name, codec in records.CODECS.items()}
"""Every record's layout by the name of its codec."""

"""Tar: the maps of sparse files, in all four forms that GNU tar has written.

In: old GNU header extensions, pax records of the forms 0.0 and 0.1, the text before the data of form 1.0. Out: a file's
real size and its stored segments, checked.
Source: GNU tar's manual, "Storing Sparse Files".
Rules kept here: segments ascend, do not overlap, lie within the real size, and add up to the stored bytes.
Not here: reading the segments (tar), holes in the image (writer/data).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pysquash.sources.tar_header import BLOCK_SIZE, MalformedError, Numbers
from pysquash.tree.entry import Segment

__all__ = ["SPARSE_KEYS", "checked_segments", "old_gnu_map", "pax_map", "text_map"]

SPARSE_KEYS = (b"GNU.sparse.major", b"GNU.sparse.size", b"GNU.sparse.map", b"GNU.sparse.numblocks")
"""At least one of these is in the pax header of a sparse file."""

_OLD_MAP_START, _OLD_MAP_COUNT, _OLD_EXTENDED, _OLD_REAL_SIZE = 386, 4, 482, 483
_MORE_MAP_COUNT, _MORE_EXTENDED = 21, 504
_FIELD_SIZE = 12
_NUMBER_DIGITS = 20


def old_gnu_map(header: bytes, more: Callable[[], bytes], numbers: Numbers, count_limit: int) -> tuple[int, list[int]]:
    """Read the map in an old GNU header (type S) and in the blocks behind it.

    Args:
        header: 512 bytes.
        more: Gives the next 512 bytes of the stream.
        numbers: Decodes number fields.
        count_limit: Segments allowed.

    Returns:
        The file's real size, and the map as start, length, start, length, ...
    """
    fields: list[int] = []
    block, start, count, flag = header, _OLD_MAP_START, _OLD_MAP_COUNT, header[_OLD_EXTENDED]
    while True:
        for row in range(count):
            at = start + 2 * _FIELD_SIZE * row
            if not block[at]:  # the map ends at the first empty row
                break
            fields.append(numbers[block[at : at + _FIELD_SIZE]])
            fields.append(numbers[block[at + _FIELD_SIZE : at + 2 * _FIELD_SIZE]])
        if not flag:
            break
        if len(fields) > 2 * count_limit:
            raise MalformedError(f"sparse map of more than {count_limit} segments")
        block, start, count = more(), 0, _MORE_MAP_COUNT
        flag = block[_MORE_EXTENDED]
    return numbers[header[_OLD_REAL_SIZE : _OLD_REAL_SIZE + _FIELD_SIZE]], fields


def pax_map(records: Mapping[bytes, bytes], count_limit: int) -> list[int] | None:
    """Read the map of form 0.1, which is also what form 0.0 was parsed into.

    Args:
        records: The pax records.
        count_limit: Segments allowed.

    Returns:
        start, length, start, length, ...; None where the map precedes the data, as in form 1.0.
    """
    major = records.get(b"GNU.sparse.major", b"0")
    if major == b"1":
        return None
    if major != b"0":
        raise MalformedError(f"sparse format {major[:20]!r} is unknown")
    text = records.get(b"GNU.sparse.map")
    if not text:
        return []
    count = text.count(b",") // 2 + 1
    if count > count_limit:
        raise MalformedError(f"sparse map of {count} segments, the limit is {count_limit}")
    return [_decimal(number) for number in text.split(b",")]


def text_map(more: Callable[[], bytes], count_limit: int) -> tuple[int, list[int]]:
    """Read the map of form 1.0: numbers, one on a line, how many pairs first, padded to a block.

    Args:
        more: Gives the next 512 bytes of the entry's data.
        count_limit: Segments allowed.

    Returns:
        The bytes that the map took of the data, and start, length, start, length, ...
    """
    text, taken_size = b"", 0
    fields: list[int] = []
    wanted = 1
    while len(fields) < wanted:
        line, newline, rest = text.partition(b"\n")
        if not newline:
            if len(text) > _NUMBER_DIGITS:
                raise MalformedError("sparse map has a line that is no number")
            text += more()
            taken_size += BLOCK_SIZE
            continue
        text = rest
        fields.append(_decimal(line))
        if len(fields) == 1:
            if fields[0] > count_limit:
                raise MalformedError(f"sparse map of {fields[0]} segments, the limit is {count_limit}")
            wanted = 1 + 2 * fields[0]
    return taken_size, fields[1:]


def checked_segments(fields: Sequence[int], real_size: int, stored_size: int) -> tuple[Segment, ...]:
    """Turn a map into segments.

    Args:
        fields: start, length, start, length, ...
        real_size: Bytes in the file, holes included.
        stored_size: Bytes of it in the archive.

    Raises:
        MalformedError: The segments overlap, are out of order or past the end, or do not add up.
    """
    if real_size < 0:
        raise MalformedError(f"the size of the sparse file is {real_size}")
    if len(fields) % 2:
        raise MalformedError("sparse map ends within a pair")
    segments: list[Segment] = []
    end = total = 0
    for start, length in zip(fields[::2], fields[1::2], strict=True):
        if start < end or length < 0 or start + length > real_size:
            raise MalformedError(f"sparse segment of {length} bytes at {start}: out of order or past {real_size}")
        end = start + length
        total += length
        if length and segments and segments[-1][0] + segments[-1][1] == start:
            segments[-1] = (segments[-1][0], segments[-1][1] + length)
        elif length:
            segments.append((start, length))
    if total != stored_size:
        raise MalformedError(f"sparse segments add up to {total} bytes, {stored_size} are stored")
    return tuple(segments)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _NUMBER_DIGITS:
        raise MalformedError(f"sparse map has {text[:20]!r} for a number")
    return int(text)

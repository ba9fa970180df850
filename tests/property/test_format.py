"""Every packer equals the construct layout that its format was derived from, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysquash.errors import CorruptImageError
from pysquash.format import words
from pysquash.format.codec import Codec, joined_pack
from pysquash.format.layouts import LAYOUTS, format_of, layout_of
from pysquash.format.packed_formats import FORMATS
from pysquash.format.records import CODECS, INODE_HEADER

if TYPE_CHECKING:
    from construct import Int32ub, Int32ul

RANGES = {"H": (0, 0xFFFF), "h": (-0x8000, 0x7FFF), "L": (0, 0xFFFF_FFFF), "Q": (0, 0xFFFF_FFFF_FFFF_FFFF)}


def fields(codec: Codec[Any]) -> st.SearchStrategy[tuple[int, ...]]:
    """Any values that a record's integers can hold; their ends often."""
    integers = (st.sampled_from(RANGES[c]) | st.integers(*RANGES[c]) for c in codec.format[1:])
    return st.tuples(*integers)


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_pack_equals_construct(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    values = data.draw(fields(codec))
    packed = codec.pack(*values)
    fields_of = dict(zip(codec.record._fields, values, strict=True))
    assert packed == LAYOUTS[name].build(fields_of)
    assert len(packed) == codec.size == LAYOUTS[name].sizeof()


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_unpack_equals_construct(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    before = data.draw(st.binary(max_size=3))
    raw = data.draw(st.binary(min_size=codec.size, max_size=codec.size))
    record = codec.unpack(before + raw, len(before))
    parsed = LAYOUTS[name].parse(raw)
    assert record._asdict() == {field: parsed[field] for field in codec.record._fields}
    assert codec.pack(*record) == raw


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_truncated_is_our_error(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    raw = data.draw(st.binary(max_size=codec.size - 1))
    with pytest.raises(CorruptImageError, match=codec.section):
        codec.unpack(raw)


@pytest.mark.parametrize("name", CODECS)
def test_every_field_says_what_it_is(name: str) -> None:
    for field in LAYOUTS[name].subcons:
        assert field.docs, f"{name}.{field.name} has no text"


@given(st.data())
def test_joined_packs_are_the_records_one_after_the_other(data: st.DataObject) -> None:
    header = data.draw(fields(INODE_HEADER))
    for codec in CODECS.values():
        body = data.draw(fields(codec))
        assert joined_pack(INODE_HEADER, codec)(*header, *body) == INODE_HEADER.pack(*header) + codec.pack(*body)


def test_the_formats_are_those_of_the_layouts() -> None:
    assert {CODECS[name].record.__name__: format_of(layout) for name, layout in LAYOUTS.items()} == FORMATS


class Declared(NamedTuple):
    good: Annotated[int, Int32ul, "a text"]


class BigEndian(NamedTuple):
    bad: Annotated[int, Int32ub, "a text"]


class WithoutText(NamedTuple):
    bad: Annotated[int, Int32ul]


class WithoutInteger(NamedTuple):
    bad: int


def test_a_layout_has_the_fields_of_its_record() -> None:
    layout = layout_of(Declared)
    assert [(field.name, field.docs) for field in layout.subcons] == [("good", "a text")]
    assert format_of(layout) == "<L"


@pytest.mark.parametrize("record", [WithoutText, WithoutInteger])
def test_a_field_without_integer_or_text_is_refused(record: type[NamedTuple]) -> None:
    with pytest.raises(TypeError, match=rf"{record.__name__}\.bad is not annotated"):
        layout_of(record)


def test_a_layout_that_does_not_translate_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot pack"):
        format_of(layout_of(BigEndian))
    with pytest.raises(TypeError, match="cannot pack"):
        format_of(construct.Struct("magic" / construct.Bytes(4)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 8191))
def test_metadata_refs(block_start: int, offset: int) -> None:
    assert words.split_metadata_ref(words.metadata_ref(block_start, offset)) == (block_start, offset)


@given(st.integers(1, 1 << 20), st.booleans())
def test_data_words(size: int, raw: bool) -> None:
    assert words.split_data_word(words.data_word(size, raw=raw)) == (size, raw)


@given(st.integers(1, 8192), st.booleans())
def test_metadata_words(size: int, raw: bool) -> None:
    assert words.split_metadata_word(words.metadata_word(size, raw=raw)) == (size, raw)


@given(st.integers(0, 4095), st.integers(0, 2**20 - 1))
def test_device_numbers(major: int, minor: int) -> None:
    number = words.device_number(major, minor)
    assert number <= 0xFFFF_FFFF
    assert words.split_device_number(number) == (major, minor)
    # "(major << 8) | (minor & 0xff) | ((minor & ~0xff) << 12)"
    assert number == major << 8 | minor & 0xFF | (minor & ~0xFF) << 12

"""An open file of an image does what a file in memory does, wherever it is read."""

from __future__ import annotations

import io
import random
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pysquash import SquashfsImage, SquashfsWriter, WriterOptions

BLOCK_SIZE = 4096
CHUNK_SIZE = 2048 * BLOCK_SIZE  # as many blocks as fill a metadata block: what the reader takes of a block list at once


def contents() -> dict[str, bytes]:
    data = random.Random(9).randbytes(5 * BLOCK_SIZE)
    block = data[:BLOCK_SIZE]
    return {
        "empty": b"",
        "tail": data[:100],
        "one block": block,
        "blocks and tail": data[: 3 * BLOCK_SIZE + 77],
        "no tail": data[: 2 * BLOCK_SIZE],
        "holes": block + bytes(2 * BLOCK_SIZE) + block[::-1] + bytes(BLOCK_SIZE) + data[:5],
        "hole at both ends": bytes(BLOCK_SIZE) + block + bytes(BLOCK_SIZE),
        "zeros": bytes(BLOCK_SIZE + 10),
        "long": data[:-1] + bytes(CHUNK_SIZE - 9 * BLOCK_SIZE) + data + bytes(CHUNK_SIZE) + data[:5000],
    }


CONTENTS = contents()


def image(*, fragments: bool) -> SquashfsImage:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(block_size=BLOCK_SIZE, workers=1, fragments=fragments)) as writer:
        for name, content in CONTENTS.items():
            writer.add_file(name, content)
    return SquashfsImage(file)


IMAGES = [image(fragments=True), image(fragments=False)]

sizes = st.integers(0, 40) | st.integers(0, 3 * BLOCK_SIZE) | st.sampled_from([-1, BLOCK_SIZE, CHUNK_SIZE])
# Places around the edges of blocks, and of what is read of a block list at once.
places = st.builds(
    lambda base, more: max(0, base + more),
    st.sampled_from([0, BLOCK_SIZE, 2 * BLOCK_SIZE, 5 * BLOCK_SIZE, CHUNK_SIZE, 2 * CHUNK_SIZE])
    | st.integers(0, 3 * CHUNK_SIZE),
    st.integers(-3, 3),
)
steps = st.lists(
    st.tuples(st.just("seek"), places)
    | st.tuples(st.just("seek on"), st.integers(-2 * BLOCK_SIZE, 2 * BLOCK_SIZE))
    | st.tuples(st.just("seek from the end"), st.integers(-3 * BLOCK_SIZE, 10))
    | st.tuples(st.sampled_from(["read", "readinto", "readline", "look"]), sizes),
    max_size=12,
)


def take(file: BinaryIO, what: str, number: int) -> object:
    """Do one step, and tell what came of it: a position, bytes, or an error."""
    try:
        match what:
            case "seek":
                return file.seek(number)
            case "seek on":
                return file.seek(max(-file.tell(), number), io.SEEK_CUR)
            case "seek from the end":
                # In memory, a position before the first byte is the first byte.
                end = file.seek(0, io.SEEK_END)
                return file.seek(max(-end, number), io.SEEK_END)
            case "read":
                return file.read(number)
            case "readinto":
                buffer = bytearray(b"\xaa" * abs(number))
                count = file.readinto(buffer)  # type: ignore[attr-defined]
                return count, bytes(buffer)
            case "readline":
                return file.readline(number)
            case _:
                return file.tell(), file.readable(), file.seekable(), file.writable()
    except ValueError:
        return ValueError


@pytest.mark.parametrize("name", CONTENTS)
@given(steps=steps, buffering=st.sampled_from([-1, 2, 100, BLOCK_SIZE, 100_000]), which=st.sampled_from([0, 1]))
@settings(max_examples=40)
def test_a_buffered_file_is_like_one_in_memory(
    name: str, steps: list[tuple[str, int]], buffering: int, which: int
) -> None:
    in_memory = io.BytesIO(CONTENTS[name])
    with (IMAGES[which] / name).open("rb", buffering) as file:
        for what, number in steps:
            wanted, found = take(in_memory, what, number), take(file, what, number)
            if what == "look":  # of a file in memory, one can say that it can be written to
                assert found == (in_memory.tell(), True, True, False)
            else:
                assert found == wanted, (what, number)
            assert file.tell() == in_memory.tell()


@pytest.mark.parametrize("name", CONTENTS)
@given(steps=steps, which=st.sampled_from([0, 1]))
@settings(max_examples=40)
def test_a_raw_file_gives_what_it_has_and_something_unless_at_the_end(
    name: str, steps: list[tuple[str, int]], which: int
) -> None:
    content = CONTENTS[name]
    with (IMAGES[which] / name).open("rb", buffering=0) as file:
        for what, number in steps:
            before = file.tell()
            if what == "readline":  # of a raw file, Python asks for one byte at a time: of a hole, that is millions
                number = abs(number) % 100  # noqa: PLW2901
            found = take(file, what, number)
            if what == "readline":
                assert found == io.BytesIO(content[before : before + number]).readline()
            elif what == "read":
                assert isinstance(found, bytes)
                wanted = content[before:] if number < 0 else content[before : before + number]
                assert wanted.startswith(found)
                assert found or not wanted
                assert number >= 0 or found == wanted
                assert file.tell() == before + len(found)


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("which", [0, 1])
def test_all_ways_to_read_all_of_it(name: str, which: int) -> None:
    path, content = IMAGES[which] / name, CONTENTS[name]
    assert path.read_bytes() == b"".join(path.blocks()) == content
    assert {len(block) for block in list(path.blocks())[:-1]} <= {BLOCK_SIZE}
    with path.open("rb", buffering=0) as file:
        assert file.read() == content
    # Backwards, each block before the one that was read last.
    with path.open("rb") as file:
        for position in range(len(content) // BLOCK_SIZE * BLOCK_SIZE, -1, -BLOCK_SIZE):
            file.seek(position)
            assert file.read(BLOCK_SIZE) == content[position : position + BLOCK_SIZE]

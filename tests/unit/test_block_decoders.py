"""lz4, lzo and lzma: right bytes, no more of them than allowed, and one kind of error for whatever is wrong."""

from __future__ import annotations

import contextlib
import io
import lzma
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import lz4.block
import pytest
from lzallright import LZOCompressor, LZOError

from pysquash import SquashfsImage, SquashfsWriter, UnsupportedImageError
from pysquash.compression import lzo
from pysquash.compression.base import BlockDecoder, CompressorSettings, block_decoder, raise_if_out_of_memory
from pysquash.format.constants import CompressorId

BLOCK_SIZE = 1 << 20
METADATA_SIZE = 8192
LZO_END = b"\x11\0\0"


def lzma_alone(plain: bytes, *, has_size: bool = False) -> bytes:
    """Compress as the LZMA utilities do; with the size in the header and an end marker all the same, or without."""
    stream = lzma.compress(plain, lzma.FORMAT_ALONE, preset=6)
    return stream[:5] + len(plain).to_bytes(8, "little") + stream[13:] if has_size else stream


def decoder_of(name: str, block_size: int = BLOCK_SIZE) -> BlockDecoder:
    return block_decoder(CompressorSettings(name, None, block_size))


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lambda plain: lz4.block.compress(plain, store_size=False),
    "lzo": lambda plain: LZOCompressor().compress(plain),
    "lzma": lzma_alone,
    "lzma with its size": lambda plain: lzma_alone(plain, has_size=True),
}
NAMES = list(ENCODERS)


def plain_samples() -> list[bytes]:
    rng = random.Random(7)
    text = b" ".join(b"%d" % rng.randrange(1000) for _ in range(30_000))
    return [b"x", rng.randbytes(4096), bytes(METADATA_SIZE), text[:METADATA_SIZE], text, bytes(BLOCK_SIZE)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", range(len(plain_samples())))
def test_what_others_compress_is_decompressed(name: str, row: int) -> None:
    plain = plain_samples()[row]
    decoder = decoder_of(name.split(maxsplit=1)[0])
    stored = ENCODERS[name](plain)
    assert decoder.decompress(stored, len(plain)) == plain
    assert decoder.decompress(stored, BLOCK_SIZE) == plain


@contextlib.contextmanager
def allocating_at_most(limit: int) -> Iterator[None]:
    """Fail where Python's allocators, which lzma's memory comes from as well, gave out more than this at a time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak} bytes were allocated"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size_limit", [1, 4096, METADATA_SIZE, 131072])
def test_a_block_larger_than_allowed_is_refused(name: str, size_limit: int) -> None:
    decoder = decoder_of(name.split(maxsplit=1)[0])
    for plain in (bytes(size_limit + 1), bytes(20 * BLOCK_SIZE), random.Random(2).randbytes(size_limit + 1)):
        stored = ENCODERS[name](plain)
        with allocating_at_most(17 * size_limit + (6 << 20)), pytest.raises(ValueError, match=".") as caught:
            decoder.decompress(stored, size_limit)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_cut_short_is_refused(name: str) -> None:
    decoder = decoder_of(name.split(maxsplit=1)[0])
    plain = plain_samples()[3]
    stored = ENCODERS[name](plain)
    for size in range(len(stored)):
        try:
            found = decoder.decompress(stored[:size], METADATA_SIZE)
        except ValueError as error:
            assert len(str(error)) < 200
        else:
            # A bare lz4 block has no end of its own, and an lzma stream that says its size may lack the end marker.
            assert (name == "lz4" and len(found) < len(plain)) or (name != "lzo" and found == plain), size


@pytest.mark.parametrize("name", ["lz4", "lzo", "lzma"])
def test_garbage_is_a_value_error_or_bytes_within_the_limit(name: str) -> None:
    decoder = decoder_of(name)
    rng = random.Random(11)
    valid = ENCODERS[name](plain_samples()[3])
    refused = 0
    for _ in range(3000):
        stored = rng.randbytes(rng.randrange(40))
        if rng.random() < 0.7:
            damaged = bytearray(valid)
            for _ in range(rng.randrange(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            stored = bytes(damaged)
        try:
            assert len(decoder.decompress(stored, METADATA_SIZE)) <= METADATA_SIZE
        except ValueError as error:
            refused += 1
            assert len(str(error)) < 200
    assert refused > 1000


def test_lzma_gets_no_more_memory_than_a_block_needs() -> None:
    # The header may ask for a dictionary of 4 GiB, and a small file claim terabytes.
    stored = bytearray(lzma_alone(b"few bytes"))
    stored[1:5] = (3 << 30).to_bytes(4, "little")
    with allocating_at_most(6 << 20):
        assert decoder_of("lzma").decompress(bytes(stored), METADATA_SIZE) == b"few bytes"
    stored[5:13] = (1 << 50).to_bytes(8, "little")
    with pytest.raises(ValueError, match="Corrupt|early"):
        decoder_of("lzma").decompress(bytes(stored), METADATA_SIZE)


def test_lzma_reaches_back_over_a_whole_block() -> None:
    half = random.Random(3).randbytes(BLOCK_SIZE // 2)
    stored = lzma_alone(half + half)
    assert len(stored) < BLOCK_SIZE * 3 // 4, "the second half is no copy of the first"
    assert decoder_of("lzma").decompress(stored, BLOCK_SIZE) == half + half


# --- lzo: its package has no limit, so we add up what a stream puts out ----------------------------------------------


def random_stream(rng: random.Random) -> tuple[bytes, bytes]:
    """Make a valid LZO1X stream of every instruction there is, and what it decompresses to."""
    plain = bytearray(rng.randbytes(rng.randrange(4, 239)))
    stored = bytearray([17 + len(plain)]) + plain
    literals = 4  # as the first byte's run counts

    def copy(length: int, distance: int) -> None:
        for _ in range(length):
            plain.append(plain[-distance])

    def long(length: int, mask: int) -> tuple[int, bytes]:
        if length <= mask:
            return length, b""
        zeros, last = divmod(length - mask - 1, 255)
        return 0, bytes(zeros) + bytes([last + 1])

    for _ in range(rng.randrange(1, 25)):
        choice = rng.randrange(6)
        trailing = rng.randrange(4)
        if choice == 0 and literals == 0:
            run = rng.choice([4, 18, 19, 300, 2000])
            short, more = long(run - 3, 15)
            data = rng.randbytes(run)
            stored += bytes([short]) + more + data
            plain += data
            literals = 4
            continue
        if choice == 1 and literals in (1, 2, 3):
            distance = rng.randrange(1, min(len(plain), 1024) + 1)
            stored += bytes([(distance - 1 & 3) << 2 | trailing, distance - 1 >> 2])
            copy(2, distance)
        elif choice == 2 and literals == 4 and len(plain) > 2049:
            distance = rng.randrange(2049, min(len(plain), 3072) + 1)
            stored += bytes([(distance - 2049 & 3) << 2 | trailing, distance - 2049 >> 2])
            copy(3, distance)
        elif choice == 3:
            length, distance = rng.randrange(3, 9), rng.randrange(1, min(len(plain), 2048) + 1)
            first = 64 | length - 3 << 5 if length < 5 else 128 | length - 5 << 5
            stored += bytes([first | (distance - 1 & 7) << 2 | trailing, distance - 1 >> 3])
            copy(length, distance)
        elif choice == 4 and len(plain) > 16384 + 1:
            distance = rng.randrange(16385, min(len(plain), 49151) + 1)
            length = rng.choice([3, 9, 10, 500])
            short, more = long(length - 2, 7)
            far = distance - 16384
            stored += (
                bytes([16 | far >> 14 << 3 | short]) + more + ((far & 0x3FFF) << 2 | trailing).to_bytes(2, "little")
            )
            copy(length, distance)
        else:
            distance = rng.randrange(1, min(len(plain), 16384) + 1)
            length = rng.choice([3, 33, 34, 289, 6000])
            short, more = long(length - 2, 31)
            stored += bytes([32 | short]) + more + (distance - 1 << 2 | trailing).to_bytes(2, "little")
            copy(length, distance)
        data = rng.randbytes(trailing)
        stored += data
        plain += data
        literals = trailing
    return bytes(stored) + LZO_END, bytes(plain)


@pytest.mark.parametrize("seed", range(200))
def test_lzo_sizes_are_those_of_the_package(seed: int) -> None:
    stored, plain = random_stream(random.Random(seed))
    assert LZOCompressor.decompress(stored) == plain, "the stream is not what it is to be"
    lzo._check_size(stored, len(plain))
    with pytest.raises(ValueError, match="more than"):
        lzo._check_size(stored, len(plain) - 1)
    for size in range(0, len(stored), 1 + len(stored) // 50):
        with pytest.raises(ValueError, match="early"):
            lzo._check_size(stored[:size], len(plain))


def test_lzo_sizes_of_random_streams_are_those_of_the_package() -> None:
    rng = random.Random(5)
    likely = [0, 0, 1, 2, 3, 17, 18, 20, 32, 33, 64, 128, 200, 255]
    accepted = 0
    for _ in range(30_000):
        stored = bytes(rng.choice([*likely, rng.randrange(256)]) for _ in range(rng.randrange(1, 30))) + LZO_END
        with contextlib.suppress(LZOError):
            plain = LZOCompressor.decompress(stored)
            accepted += 1
            assert lzo._plain_size(stored, 1 << 40) == len(plain), stored.hex()
    assert accepted > 100


def test_an_lzo_stream_that_asks_for_gigabytes_is_refused_in_no_time_and_room() -> None:
    # One literal, and a match whose length goes on over a thousand zero bytes and again, and again.
    match = b"\x20" + bytes(2000) + b"\x01" + b"\0\0"
    bomb = b"\x12x" + match * 60 + LZO_END
    assert len(bomb) < 131072
    with allocating_at_most(1 << 20), pytest.raises(ValueError, match="more than 131072"):
        decoder_of("lzo").decompress(bomb, 131072)


def test_bytes_behind_an_lzo_stream_are_refused_in_few_words() -> None:
    stored = LZOCompressor().compress(bytes(100_000)) + b"more"
    with pytest.raises(ValueError, match="InputNotConsumed") as caught:
        decoder_of("lzo").decompress(stored, 131072)
    assert len(str(caught.value)) < 100


# --- without the packages --------------------------------------------------------------------------------------------


def image_of(compressor: CompressorId) -> bytes:
    """Make an image that says it was compressed so. All of it is raw, so no decoder is needed to read it."""
    file = io.BytesIO()
    with SquashfsWriter(file) as writer:
        writer.add_file("f", b"content")
    raw = bytearray(file.getvalue())
    raw[20:22] = compressor.value.to_bytes(2, "little")
    return bytes(raw)


@pytest.mark.parametrize(
    ("compressor", "module", "match"),
    [
        (CompressorId.LZ4, "lz4", r"compressed with lz4: install pysquash\[lz4\], or lz4"),
        (CompressorId.LZO, "lzallright", r"compressed with lzo: install pysquash\[lzo\], or lzallright"),
        (CompressorId.LZMA, "lzma", r"compressed with lzma: this Python has none"),
    ],
)
def test_an_image_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, compressor: CompressorId, module: str, match: str
) -> None:
    raw = image_of(compressor)
    monkeypatch.delitem(sys.modules, f"pysquash.compression.{compressor.name.lower()}", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnsupportedImageError, match=match):
        SquashfsImage(io.BytesIO(raw))


def test_the_package_itself_needs_none_of_them() -> None:
    program = (
        "import sys; sys.modules.update(lz4=None, lzallright=None)\n"
        "import io, pysquash\n"
        "file = io.BytesIO()\n"
        "with pysquash.SquashfsWriter(file) as writer: writer.add_file('f', b'content')\n"
        "print(pysquash.SquashfsImage(file).root.joinpath('f').read_text())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "content\n"), done.stderr


def test_a_number_that_no_compressor_has() -> None:
    raw = bytearray(image_of(CompressorId.ZSTD))
    raw[20:22] = b"\x07\0"
    with pytest.raises(UnsupportedImageError, match="compressor number 7"):
        SquashfsImage(io.BytesIO(bytes(raw)))


@pytest.mark.parametrize(
    "text", ["decompression error: Allocation error : not enough memory", "Error -4 while decompressing data"]
)
def test_missing_memory_is_no_damage(text: str) -> None:
    with pytest.raises(MemoryError):
        raise_if_out_of_memory(ValueError(text))
    raise_if_out_of_memory(ValueError("Error -3 while decompressing data: memory of something else"))

"""The reader gives back what the writer was given, and on anything else raises our errors only."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pysquash import ImageError, NotSquashfsError, SquashfsImage, SquashfsWriter, WriterOptions

names = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name.strip(b".")
)
contents = (
    st.binary(max_size=300)
    | st.builds(
        lambda seed, size: random.Random(seed).randbytes(size),
        st.integers(0, 3),
        st.sampled_from([4095, 4096, 4097, 13000]),
    )
    | st.sampled_from([0, 1, 4096, 9000]).map(bytes)
)
attributes = st.fixed_dictionaries(
    {"mode": st.integers(0, 0o7777), "uid": st.integers(0, 2**32 - 1), "mtime": st.integers(0, 2**32 - 1)},
    optional={
        "xattrs": st.dictionaries(
            st.sampled_from(["user.a", "trusted.b", "security.c"]), st.binary(max_size=50), max_size=3
        )
    },
)


@given(
    files=st.dictionaries(names, st.tuples(contents, attributes), max_size=12),
    compressor=st.sampled_from(["zstd", "gzip", "xz", "none"]),
    fragments=st.booleans(),
)
def test_round_trip(files: dict[bytes, tuple[bytes, dict[str, Any]]], compressor: Any, fragments: bool) -> None:
    file = io.BytesIO(b"not the image")
    file.seek(7)
    options = WriterOptions(compressor=compressor, fragments=fragments, block_size=4096, workers=1)
    with SquashfsWriter(file, options) as writer:
        for name, (content, described) in files.items():
            writer.add_file(b"d/" + name, content, **described)
    with SquashfsImage(file, offset=7) as image:
        assert [path.path for path in image.root.walk()] == [b"", b"d"][: 1 + bool(files)] + sorted(
            b"d/" + n for n in files
        )
        for name, (content, described) in files.items():
            path = image / b"d" / name
            status = path.stat()
            assert path.read_bytes() == content
            assert (status.st_mode & 0o7777, status.st_uid) == (described["mode"], described["uid"])
            assert (status.st_mtime, status.st_size) == (described["mtime"], len(content))
            wanted = {key.encode(): value for key, value in described.get("xattrs", {}).items()}
            assert path.xattrs == wanted


def whole() -> bytes:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(block_size=4096, workers=1, exports=True)) as writer:
        content = random.Random(1).randbytes(9000)
        writer.add_file("a/b", content, xattrs={"user.x": b"v" * 100})
        writer.add_file("a/c", content[:4096] + bytes(4096) + b"tail", xattrs={"user.y": b"v" * 100})
        writer.add_symlink("a/s", "b")
        writer.add_device("n", "character", 1, 3)
        for row in range(300):
            writer.add_fifo(f"many/{row}")
    return file.getvalue()


WHOLE = whole()


def read_all(raw: bytes) -> int:
    count = 0
    with SquashfsImage(io.BytesIO(raw)) as image:
        for path in image.root.walk():
            path.stat()
            count += len(path.xattrs) + 1
            if path.is_file():
                count += sum(map(len, path.blocks()))
            if count > 100_000_000:
                break
    return count


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(WHOLE)))
@settings(max_examples=300)
@example([], len(WHOLE))
@example([], 95)
def test_only_our_errors(changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(WHOLE)
    for at, value in changes:
        raw[at] = value
    try:
        read_all(bytes(raw[:length]) if len(changes) < 2 else bytes(raw))
    except ImageError as error:
        assert str(error)


@given(st.integers(0, 95), st.integers(0, 255))
@settings(max_examples=300)
def test_only_our_errors_for_any_superblock(at: int, value: int) -> None:
    raw = bytearray(WHOLE)
    raw[at] = value
    try:
        read_all(bytes(raw))
    except ImageError as error:
        assert str(error)


def test_no_image() -> None:
    for raw in (b"", b"hsqs", bytes(4096)):
        with pytest.raises(NotSquashfsError):
            SquashfsImage(io.BytesIO(raw))


def test_paths() -> None:
    with SquashfsImage(io.BytesIO(WHOLE)) as image:
        assert (image / "a/s").readlink() == b"b"
        assert (image / "a" / "s").read_bytes() == (image / "a/b").read_bytes()
        assert not (image / "a/missing").exists()
        assert not (image / "n/below").exists()
        with pytest.raises(FileNotFoundError, match="missing"):
            (image / "missing").stat()
        assert {path.name for path in image.root.iterdir()} == {"a", "n", "many"}

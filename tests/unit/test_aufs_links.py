"""Layers that Docker's aufs driver wrote: hard links lead into `.wh..wh.plnk`, which is never in the image."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pysquash
from pysquash import SquashfsImage, WriterOptions
from tests.tarbuild import END, header, padded

DIRECTORY = header(b".wh..wh.plnk/", b"5")
BASE = header(b"usr/", b"5") + header(b"usr/a", size=4) + padded(b"base") + END


def target(name: str, content: bytes) -> bytes:
    return header(f".wh..wh.plnk/{name}".encode(), size=len(content)) + padded(content)


def link(name: str, to: str) -> bytes:
    return header(name.encode(), b"1", target=f".wh..wh.plnk/{to}".encode())


def packed(*layers: bytes, **options: object) -> SquashfsImage:
    output = io.BytesIO()
    writer_options = WriterOptions(verify=True, **options)  # type: ignore[arg-type]
    pysquash.tar2squashfs([io.BytesIO(layer) for layer in layers], output, options=writer_options)
    return SquashfsImage(output)


def names(image: SquashfsImage) -> list[str]:
    return sorted(str(path) for path in image.root.walk() if not path.is_dir())


@pytest.mark.parametrize("lower", [[], [BASE], [BASE, BASE]], ids=["base", "upper", "third"])
@pytest.mark.parametrize("content", [b"data", b"", b"x" * 300_000], ids=["short", "empty", "long"])
@pytest.mark.parametrize("sort_by", [None, "path"])
@given(order=st.permutations(range(4)))
def test_links_share_the_target_in_any_order(
    lower: list[bytes], content: bytes, sort_by: str | None, order: list[int]
) -> None:
    parts = [DIRECTORY, target("12.3", content), link("usr/a", "12.3"), link("usr/b", "12.3")]
    image = packed(*lower, b"".join(parts[row] for row in order) + END, sort_by=sort_by)
    assert names(image) == ["usr/a", "usr/b"]
    assert [(image / "usr" / name).read_bytes() for name in "ab"] == [content, content]
    assert (image / "usr/a").stat().st_ino == (image / "usr/b").stat().st_ino


def test_a_target_without_links_leaves_nothing_in_the_image() -> None:
    content = bytes(range(256)) * 40
    for layers in ([DIRECTORY + target("1.1", content) + END], [BASE, DIRECTORY + target("1.1", content) + END]):
        with packed(*layers) as image:
            assert image.superblock.bytes_used < 1000
            assert names(image) == (["usr/a"] if len(layers) == 2 else [])


def test_a_target_is_of_its_own_layer_only() -> None:
    with pytest.raises(pysquash.MergeError, match=r"\.wh\.\.wh\.plnk/1\.1"):
        packed(target("1.1", b"data") + END, link("a", "1.1") + END)


def test_a_target_may_be_a_link_itself_or_anything_but_a_directory() -> None:
    image = packed(
        header(b"a", size=4)
        + padded(b"data")
        + header(b".wh..wh.plnk/1.1", b"1", target=b"a")
        + header(b".wh..wh.plnk/2.1", b"2", target=b"t")
        + header(b".wh..wh.plnk/3.1/", b"5")
        + link("b", "1.1")
        + link("s", "2.1")
        + END
    )
    assert names(image) == ["a", "b", "s"]
    assert (image / "b").stat().st_ino == (image / "a").stat().st_ino
    assert (image / "s").readlink() == b"t"
    with pytest.raises(pysquash.MergeError):
        packed(header(b".wh..wh.plnk/3.1/", b"5") + link("d", "3.1") + END)


def test_an_upper_layer_that_hides_the_links_hides_the_content() -> None:
    layer = DIRECTORY + target("1.1", b"data" * 5000) + link("usr/a", "1.1") + END
    with packed(layer, header(b"usr/.wh..wh..opq") + END) as image:
        assert names(image) == []
    with packed(BASE, layer, header(b"usr/a", size=3) + padded(b"new") + END) as image:
        assert (image / "usr/a").read_bytes() == b"new"


def test_without_whiteouts_they_are_ordinary_files() -> None:
    image = packed(target("1.1", b"data") + link("a", "1.1") + END, whiteouts="keep")
    assert names(image) == [".wh..wh.plnk/1.1", "a"]


@pytest.mark.parametrize(("policy", "content"), [("first", b"one"), ("last", b"two!")])
def test_a_target_twice_is_a_duplicate_name(policy: str, content: bytes) -> None:
    layer = target("1.1", b"one") + target("1.1", b"two!") + link("a", "1.1") + END
    assert (packed(layer, duplicates=policy) / "a").read_bytes() == content
    for options in ({"duplicates": "error"}, {"duplicates": policy, "strict": True}):
        with pytest.raises(pysquash.MergeError, match="more than one entry has this name"):
            packed(layer, **options)

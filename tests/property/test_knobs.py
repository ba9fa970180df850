"""Any knobs together: what went in comes out, and for any number of workers it is the same image."""

from __future__ import annotations

import io
import random
import tarfile
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from pysquash import SquashfsImage, WriterOptions
from pysquash.options.writer import UNCOMPRESSED_PARTS

BLOCK_SIZE = 8192

compressions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"compressor": "gzip", "compressor_options": {"strategy": "filtered,fixed", "window-size": 9}},
        {"compressor": "xz", "compressor_options": {"bcj": "x86,arm"}},
        {"compressor": "lz4", "compressor_options": {"hc": True}},
        {"compressor": "lzo"},
        {"compressor": "lzma"},
        {"compressor": "none"},
    ]
)
FLAGS = ["fragments", "tail_ends", "find_duplicates", "find_holes", "hard_links", "xattrs", "padded", "exports"]
flags: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({name: st.booleans() for name in FLAGS})
others = st.fixed_dictionaries(
    {
        "uncompressed": st.sets(st.sampled_from(sorted(UNCOMPRESSED_PARTS))),
        "sort_by": st.sampled_from([None, "path", "size"]),
        "xattrs_exclude": st.sampled_from([None, "^user"]),
    }
)


def content_of(kind: str, size: int) -> bytes:
    if kind == "random":
        return random.Random(size).randbytes(size)
    return bytes(size) if kind == "zeros" else (b"text %d " % size * size)[:size]


contents = st.builds(
    content_of,
    st.sampled_from(["random", "zeros", "text"]),
    st.sampled_from([0, 1, 100, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE, 40 * BLOCK_SIZE + 5]),
)
trees = st.lists(st.tuples(contents, st.booleans()), max_size=8)


def archive(tree: list[tuple[bytes, bool]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for row, (content, has_link) in enumerate(tree):
            info = tarfile.TarInfo(f"{row % 3}/{row}")
            info.size = len(content)
            info.pax_headers = {"SCHILY.xattr.user.row": "value" * row, "SCHILY.xattr.trusted.x": "value"}
            tar.addfile(info, io.BytesIO(content))
            if has_link:
                link = tarfile.TarInfo(f"link-{row}")
                link.type, link.linkname = tarfile.LNKTYPE, info.name
                tar.addfile(link)
    return file.getvalue()


@given(trees, compressions, flags, others)
@settings(max_examples=100)
@example([(b"x" * 9000, True)] * 20, {}, dict.fromkeys(FLAGS, True), {"uncompressed": {"fragments"}})
def test_any_knobs_together(
    tree: list[tuple[bytes, bool]], compression: dict[str, Any], switches: dict[str, Any], rest: dict[str, Any]
) -> None:
    layer = archive(tree)
    images = []
    for workers in (1, 3):
        output = io.BytesIO()
        options = WriterOptions(block_size=BLOCK_SIZE, workers=workers, verify=True, **compression, **switches, **rest)
        pysquash.tar2squashfs([(layer,)], output, options=options)
        images.append(output.getvalue())
    assert images[0] == images[1]
    with SquashfsImage(io.BytesIO(images[0])) as image:
        for row, (content, has_link) in enumerate(tree):
            path = image / f"{row % 3}/{row}"
            assert path.read_bytes() == content
            kept = {b"trusted.x"} | ({b"user.row"} if options.xattrs_exclude is None else set())
            assert path.xattrs.keys() == (kept if options.xattrs else set())
            if has_link:
                link = image / f"link-{row}"
                assert link.read_bytes() == content
                assert (link.stat().st_ino == path.stat().st_ino) is options.hard_links

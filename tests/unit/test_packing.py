"""Packing: what is set aside, what of it is stored after all, and what is counted."""

from __future__ import annotations

import io

import pytest

import pysquash
from pysquash import LimitError, SquashfsImage, WriterOptions
from pysquash.content.spool import Spool
from pysquash.options.limits import Limits
from tests.tarbuild import END, header, padded


def tar(*names: str, content: bytes = b"content") -> io.BytesIO:
    """Make a layer: directories end in a slash, "new=old" is a hard link, all else is a file."""
    raw = b""
    for name in names:
        new, _, old = name.partition("=")
        if old:
            raw += header(new.encode(), b"1", target=old.encode())
        elif name.endswith("/"):
            raw += header(name.encode(), b"5")
        else:
            raw += header(name.encode(), size=len(content)) + padded(content)
    return io.BytesIO(raw + END)


def packed(*layers: io.BytesIO, **options: object) -> tuple[SquashfsImage, pysquash.Report]:
    output = io.BytesIO()
    report = pysquash.tar2squashfs(layers, output, options=WriterOptions(**options))  # type: ignore[arg-type]
    return SquashfsImage(output), report


def test_hidden_content_is_neither_compressed_nor_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    truncate = Spool.truncate

    def noted(spool: Spool, end: int) -> None:
        ends.append(end)
        truncate(spool, end)

    monkeypatch.setattr(Spool, "truncate", noted)
    image, report = packed(
        tar("d/", "d/a", content=b"base" * 1000),
        tar("d/", "d/a", "d/b", content=b"middle" * 1000),
        tar("d/", "d/a", "d/.wh.b", content=b"top"),
    )
    assert (image / "d/a").read_bytes() == b"top"
    assert [path.name for path in (image / "d").iterdir()] == ["a"]
    assert report.hidden_files == 3
    assert ends == [0]  # the middle layer's; the base's goes into the tree as it comes
    assert image.superblock.bytes_used < 1000


def test_hidden_content_that_a_hard_link_keeps_is_stored() -> None:
    for links, kept in ((["d/kept=d/a"], b"middle"), ([], None)):
        image, report = packed(
            tar("d/", "d/a", content=b"base"),
            tar("d/", "d/a", *links, content=b"middle"),
            tar("d/", "d/a", content=b"top"),
        )
        assert (image / "d/a").read_bytes() == b"top"
        assert (image / "d/kept").read_bytes() == kept if kept else not (image / "d/kept").exists()
        assert report.hidden_files == 2 - len(links)


def test_what_a_symlink_carries_elsewhere_is_stored() -> None:
    link = io.BytesIO(header(b"a", b"2", target=b"b") + header(b"b", b"5") + END)
    image, _ = packed(link, tar("a/c", content=b"in b"), tar("a/"), tar("a/c", content=b"in a"))
    assert (image / "b/c").read_bytes() == b"in b"
    assert (image / "a/c").read_bytes() == b"in a"


def test_the_report_counts() -> None:
    image, report = packed(tar("d/", "d/a", "d/b", "d/link=d/a"), tar("e"))
    assert report.entries["directory"] == 1
    assert (report.entries["file"], report.entries["hard_link"]) == (3, 1)
    assert (report.duplicate_files, report.duplicate_bytes) == (2, 14)
    assert report.bytes_in == report.bytes_unpacked == len(tar("d/", "d/a", "d/b", "d/link=d/a", "e").getvalue()) + 1024
    assert image.superblock.inode_count == 5
    assert set(report.seconds) == {"read", "write"}


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(entry_count=3), "the number of entries is 4, the limit is 3"),
        (Limits(total_size=20), "uncompressed size is 21, the limit is 20"),
        (Limits(layer_count=1), "the number of layers is 2, the limit is 1"),
        (Limits(layer_size=2000), "the layer's uncompressed size is"),
    ],
)
def test_limits(limits: Limits, match: str) -> None:
    with pytest.raises(LimitError, match=match):
        packed(tar("a", "b", "c"), tar("d"), limits=limits)


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[str, int, int | None]] = []
    layers = [tar("a"), tar("b")]
    size = sum(len(layer.getvalue()) for layer in layers)
    pysquash.tar2squashfs(layers, io.BytesIO(), progress=lambda *step: told.append(step))
    assert ("read", size, size) in told
    assert told[-1] == ("write", 3, 3)

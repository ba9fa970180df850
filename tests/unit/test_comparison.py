"""diff: each thing that can differ is named, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from pysquash import SquashfsWriter, WriterOptions, diff


def image(change: Callable[[SquashfsWriter], None] | None = None, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(workers=1, **options)) as writer:  # type: ignore[arg-type]
        if change is not None:
            change(writer)
        for name, content in (("a", b"a" * 10_000), ("b", b"b")):
            if change is None or f"without {name}" not in (change.__doc__ or ""):
                writer.add_file(name, content, mtime=5)
        if change is None or "without link" not in (change.__doc__ or ""):
            writer.add_hard_link("link", "b")
        writer.add_symlink("s", "target")
        writer.add_device("n", "character", 1, 3)
    return file


def test_the_same_tree_by_other_means_is_the_same() -> None:
    assert diff(image(), image(compressor="gzip", block_size=4096, fragments=False, exports=True)) == []


def changed_mode(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 10_000, mtime=5, mode=0o600, uid=1, gid=2)


def changed_time(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 10_000, mtime=6, xattrs={"user.x": b"y"})


def changed_content(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 9_999 + b"b", mtime=5)


def changed_size(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a", mtime=5)


def changed_kind(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_fifo("a", mtime=5, mode=0o644)


def broken_link(writer: SquashfsWriter) -> None:
    """without link."""
    writer.add_file("link", b"b", mtime=5)


def more(writer: SquashfsWriter) -> None:
    """Keep all."""
    writer.add_file("more", b"")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed_mode, [(b"a", "mode"), (b"a", "uid"), (b"a", "gid")]),
        (changed_time, [(b"a", "mtime"), (b"a", "xattrs")]),
        (changed_content, [(b"a", "content")]),
        (changed_size, [(b"a", "size")]),
        (changed_kind, [(b"a", "kind"), (b"a", "size")]),
        (broken_link, [(b"b", "links"), (b"link", "links")]),
        (more, [(b"more", "only in the second")]),
    ],
)
def test_what_differs_is_named(change: Callable[[SquashfsWriter], None], found: list[tuple[bytes, str]]) -> None:
    differences = diff(image(), image(change))
    assert [(difference.path, difference.what) for difference in differences] == found
    assert all(str(difference) for difference in differences)
    back = diff(image(change), image())
    assert [difference.path for difference in back] == [path for path, _ in found]

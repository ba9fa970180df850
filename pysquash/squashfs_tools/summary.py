"""Summary: what is said about an image once it is there, and what is in it.

In: a report, a tree. Out: lines.
Not here: printing (console).
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import printable
from pysquash.options.writer import WriterOptions
from pysquash.report import Report
from pysquash.tree.entry import Kind

__all__ = ["content_lines", "summary_lines"]

_KINDS = (
    ("file", "files"),
    ("directory", "directories"),
    ("symlink", "symbolic links"),
    ("hard_link", "hard links"),
    ("block_device", "block devices"),
    ("character_device", "character devices"),
    ("fifo", "fifos"),
    ("socket", "sockets"),
)


def summary_lines(report: Report, options: WriterOptions) -> Iterator[str]:
    """Say what an image came to."""
    raw = ", ".join(sorted(options.uncompressed))
    yield (
        f"Squashfs 4.0 image, {options.compressor} compressed{f' (not {raw})' if raw else ''}, data block size "
        + str(options.block_size)
    )
    flags = [
        "exportable" if options.exports else "not exportable",
        "with fragments" if options.fragments else "without fragments",
        "duplicates removed" if options.find_duplicates else "duplicates kept",
    ]
    yield f"\t{', '.join(flags)}"
    size = report.bytes_out
    yield f"Filesystem size {size / 1024:.2f} Kbytes ({size / 1048576:.2f} Mbytes)"
    if report.bytes_unpacked:
        yield f"\t{100 * size / report.bytes_unpacked:.2f}% of {report.bytes_unpacked} bytes of input"
    yield f"Duplicate files {report.duplicate_files} ({report.duplicate_bytes} bytes)"
    for kind, words in _KINDS:
        yield f"Number of {words} {report.entries.get(kind, 0) + (kind == 'directory')}"


def content_lines(tree: MergedTree) -> Iterator[str]:
    """Say what is in an image, a line for each name."""
    waiting = [(b"", tree.root)]
    while waiting:
        path, directory = waiting.pop()
        below = []
        for name, node in sorted(directory.names.items()):
            place = path + b"/" + name
            text = f"{node.kind.name.lower().replace('_', ' ')} {printable(place)}"
            if node.kind is Kind.FILE:
                text += f", uncompressed size {getattr(node.data, 'size', 0)} bytes"
            elif node.kind is Kind.SYMLINK:
                text += f" -> {printable(node.target)}"
            yield text
            if node.children is not None:
                below.append((place, node))
        waiting += reversed(below)

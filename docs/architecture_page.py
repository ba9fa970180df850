"""Make the table in docs/architecture.md out of the layers below. Run with `make docs`; a test holds them equal.

The same table is the rule for imports, which tests/unit/test_architecture.py holds: a module imports from its own
package and from layers with a lower number.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["LAYERS", "Part", "page"]

_PAGE = Path(__file__).with_name("architecture.md")
_START, _END = "<!-- layers -->\n", "<!-- end of layers -->\n"


class Part(NamedTuple):
    """A package or a module.

    Attributes:
        name: Its dotted name inside pysquash; the most specific one counts.
        text: What it knows.
    """

    name: str
    text: str


LAYERS: tuple[tuple[Part, ...], ...] = (
    (Part("errors", "every exception, and what each one carries"),),
    (
        Part("format", "the bytes on the disk: `records` declares each structure once, `rules` says what must hold"),
        Part("options", "all that can be chosen, checked once: `writer`, `limits`, `compressor`"),
        Part("notices", "the kinds of warnings, and how many of one kind become one line"),
        Part("host", "the system: `atomic` outputs, `threads`, and `output_guard`, which never reads what is written"),
        Part("program", "a process of ours: `guard` (signals, errors, exit codes) and `tuning`"),
    ),
    (
        Part("tree", "`entry` is what a source yields, `node` what the image holds, `merge` makes one of the other"),
        Part("compression", "codecs of blocks, and streams of layers; the only importer of zstandard and its like"),
        Part("report", "what a build did, in numbers"),
    ),
    (
        Part("writer", "one module for each part of an image: `data`, `fragments`, `inodes`, `directories` and so on"),
        Part("reader", "the same parts, read back; `filesystem` knows no paths, `path` is what callers hold"),
    ),
    (Part("extract", "an image as files of the host"),),
    (Part("reader.image", "`SquashfsImage`: a file system with its paths, as tar and as files"),),
    (
        Part("sources", "whatever holds a layer: `tar`, `directory`, `squashfs`, `oci/`; `transport` parses strings"),
        Part("fsck", "every rule of the format, and how two images differ"),
    ),
    (Part("content", "bytes of files on their way: `spool`, `data_order`, `capture`, `digests`, `readback`"),),
    (Part("edits", "what callers add to the merged tree, take out of it, or change in it"),),
    (Part("vm", "what a virtual machine needs of its root file system ([vm.md](vm.md))"),),
    (
        Part(
            "packing",
            "how layers become an image: `resolve_sources`, `layer_reader`, `pack`; `layer_images` makes one each"
            " ([layers.md](layers.md)), `squashfs_writer` takes one entry at a time",
        ),
    ),
    (Part("api", "the functions that most programs need"),),
    (Part("aio", "the same for asyncio"), Part("__init__", "the public names")),
    (
        Part("cli", "the command `pysquash`; only commands print, and read the environment and the clock"),
        Part("squashfs_tools", "`pymksquashfs` and `pysqfstar`, option for option ([compat.md](compat.md))"),
    ),
    (
        Part("__main__", "`python -m pysquash`"),
        Part("mksquashfs", "`python -m pysquash.mksquashfs`"),
        Part("sqfstar", "`python -m pysquash.sqfstar`"),
    ),
)
"""Lowest first."""


def page() -> str:
    """Return the page's text, with the table as it is to be."""
    package = Path(__file__).parents[1] / "pysquash"
    rows = ["| layer | part | what it knows |\n", "|---|---|---|\n"]
    for number in range(len(LAYERS), 0, -1):
        for part in LAYERS[number - 1]:
            path = part.name.replace(".", "/")
            where = f"`{path}/`" if (package / path).is_dir() else f"`{path}.py`"
            rows.append(f"| {number} | {where} | {part.text} |\n")
    before, _, rest = _PAGE.read_text().partition(_START)
    _, _, after = rest.partition(_END)
    return "".join([before, _START, *rows, _END, after])


if __name__ == "__main__":
    _PAGE.write_text(page())

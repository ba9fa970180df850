"""Make docs/compat.md out of the option table and of the rows that are compared with mksquashfs.

Run with `make docs`; a test holds them equal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the rows are with the tests, which are not installed

from pysquash.squashfs_tools.compressor_table import COMPRESSORS
from pysquash.squashfs_tools.option_table import OPTIONS, SECTIONS, Option
from tests.compat.mksquashfs_rows import ROWS, Row

__all__ = ["page"]

_INTRODUCTION = """\
# In the place of mksquashfs and sqfstar

`pymksquashfs` and `pysqfstar` (also `python -m pysquash.mksquashfs` and `python -m pysquash.sqfstar`) take the command
lines of mksquashfs and sqfstar 4.5 to 4.7. Whoever calls these changes one word:

```console
$ mksquashfs   - root.squashfs -tar -comp zstd -Xcompression-level 3 < root.tar
$ pymksquashfs - root.squashfs -tar -comp zstd -Xcompression-level 3 < root.tar
```

or puts a link to ours in front on `PATH`. The exit code is 0 or 1; after signal N it is
128 + N, where mksquashfs has 1. Errors and warnings are a line each on standard error, and what they say is worded
differently. `-version` says 4.7, for scripts that look at it.

What is better everywhere: the image appears whole or not at all, also when something is appended to one; the same
input gives the same bytes; a compressed tar is decompressed.

This page is made by `make docs`: the options of the table that the parser is made of, and the comparison of the rows
that `tests/compat/test_mksquashfs_differential.py` runs through both programs, with squashfs-tools 4.5.1. It compares
all names with their attributes, extended attributes, content and links as unsquashfs reads them, the superblock with
its flags, the compressor's options, where holes and fragments are, and how much content is stored.

## Known differences

mksquashfs accepts the following; here it is an error:

- a source that cannot be read, which mksquashfs leaves out;
- an empty standard input with -tar (4.7 makes an empty image), and a tar without its end-of-archive
  marker (4.7);
- in a tar: names with `..` components (a leading `../` is stripped by mksquashfs), names longer than 255 bytes
  (truncated), empty symlink targets and those longer than 4095 bytes, device numbers out of range, extended attributes
  whose LIBARCHIVE value is not base64;
- archives past the limits on size, number of entries, depth and compression ratio that all commands share;
- the pattern `... ./a`, unknown character classes in shell patterns, and invalid regular expressions for extended
  attributes before anything is read;
- a pseudo file whose command fails;
- appending to a block device, and an image written to a pipe;
- `-stream`, `-fix`, `-zip`, `-dereference`, `-deref`, `-deref-path`, `-recover`, actions (with `-log`),
  and of compressors: lz4's `-Xacceleration` and `-Xcompression-level` (4.7.6), and lzo1x_999 at another level than 8.

mksquashfs refuses the following; here it is accepted: compressed tars, names with `.` components, a small `-mem`, an
`-xattrs-add` of an attribute that a file has already (the value is replaced), and numbers out of range for options
without effect.

Other differences: the export table is off with -tar, as the help of all versions says (4.6 and later write it);
-one-file-system leaves an empty directory where something is mounted, as 4.6 does and 4.5.1 does not; times of a tar
before 1970 or after 2106 are clamped to these; the flag for an image without extended attributes is set wherever there
are none; appending reads and writes the old image again, so that it takes as long as a new image, and only the
compressor options given on the command line count then; several -p and -pf are read all -p first.
"""


def page() -> str:
    """Give the page's text."""
    return "\n".join([_INTRODUCTION, *_options(), "", *_compressors(), "", *_rows()]).rstrip("\n") + "\n"


def _options() -> Iterator[str]:
    yield "## The options"
    yield ""
    yield "m is mksquashfs, s is sqfstar."
    for section, options in groupby(OPTIONS, key=lambda option: option.section):
        yield from [
            "",
            f"### {SECTIONS[section]}",
            "",
            "| option | of | since | what it does | here |",
            "|---|---|---|---|---|",
        ]
        yield from map(_option, options)


def _option(option: Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.names)
    value = f" {option.value}" if option.value else ""
    here = option.effect + (f": {option.note}" if option.note else "")
    return f"| {names}{_cell(value)} | {option.tools} | {option.since} | {_cell(option.help)} | {_cell(here)} |"


def _compressors() -> Iterator[str]:
    yield from ["### Each compressor's own", "", "| compressor | option | what it does |", "|---|---|---|"]
    for name, options in COMPRESSORS.items():
        for option in options:
            value = f" {option.value}" if option.value else ""
            yield f"| {name} | `{option.name}`{value} | {_cell(option.help)} |"


def _rows() -> Iterator[str]:
    yield from ["## What was compared", ""]
    compared = [row for row in ROWS if row.since == "4.5"]
    counts = [
        f"{sum(row.verdict == verdict for row in compared)} {words}"
        for verdict, words in (
            ("same", "are the same"),
            ("better", "are better here"),
            ("not done", "are not done here"),
        )
    ]
    yield f"Of {len(compared)} command lines that 4.5.1 knows, {counts[0]}, {counts[1]} and {counts[2]}."
    yield "The others are of later versions, and are held to what their documentation says where these are not there."
    yield from ["", "| what | sources | options | outcome |", "|---|---|---|---|"]
    for row in ROWS:
        yield f"| {_cell(row.what)} | {_cell(_given(row))} | `{_cell(row.options) or ' '}` | {_cell(_outcome(row))} |"


def _given(row: Row) -> str:
    given = row.given if row.tool == "mksquashfs" else f"{row.given} ({row.tool})"
    before = "" if row.first is None else ", onto an image" + (f" with `{row.first}`" if row.first else "")
    if row.first in ("junk", "empty"):
        before = ", onto a file that is empty" if row.first == "empty" else ", onto a file that is no image"
    return given + before + ("" if row.epoch is None else f", SOURCE_DATE_EPOCH={row.epoch}")


def _outcome(row: Row) -> str:
    if row.verdict != "same":
        return f"{row.verdict}: {row.why}"
    if row.since != "4.5":
        return f"as documented in {row.since}{': refused' if row.code else ''}"
    return "same: refused" if row.code else "same"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).with_name("compat.md").write_text(page())

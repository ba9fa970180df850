"""Time pysquash beside the C tools, at packing and at reading, and write benchmarks/RESULTS.md.

Usage: python -m benchmarks [--runs N] [--only CORPUS]... [packing] [reading]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.corpora import CORPORA
from benchmarks.packing import PACKED, packing
from benchmarks.reading import EXTRACTED, LISTED, reading
from benchmarks.report import Row, introduction, section

RESULTS = Path(__file__).parent / "RESULTS.md"

PARTS: dict[str, tuple[Callable[[list[str], int], Iterator[Row]], list[str], list[str]]] = {
    "packing": (
        packing,
        PACKED,
        ["A tar becomes an image: zstd level 3, blocks of 128 KiB."],
    ),
    "reading": (
        reading,
        list(dict.fromkeys(LISTED + EXTRACTED)),
        [
            "Images that pysquash made of the corpora as above. Lists go to /dev/null. What is extracted goes into a",
            "new directory, as root: in memory (tmpfs), where the tool's own part counts most, and on disk, where the",
            "file system's part is larger.",
        ],
    ),
}


def main() -> None:
    """Compare, and write the results of what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(CORPORA))
    parser.add_argument("parts", nargs="*", metavar="PART", help=" or ".join(PARTS))
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    lines = introduction(arguments.runs)
    for title in arguments.parts or PARTS:
        measure, names, text = PARTS[title]
        rows = []
        for row in measure([name for name in names if name in (arguments.only or names)], arguments.runs):
            print(row, file=sys.stderr)
            rows.append(row)
        lines += section(title.capitalize(), text, rows)
    RESULTS.write_text("\n".join(lines) + "\n")
    print(f"written: {RESULTS}")


main()

"""Time pysquash beside the C tools, hold it against its goals, and write benchmarks/RESULTS.md.

Usage: python -m benchmarks [--runs N] [--only CORPUS]... [--results FOLDER] [PART]...
Parts that are not asked for stay in the results as they are.
"""

from __future__ import annotations

import argparse
import compileall
from collections.abc import Callable, Iterator
from pathlib import Path

import pysquash
from benchmarks.corpora import CORPORA
from benchmarks.executor import COMPRESSED, executor
from benchmarks.growth import GROWN, growth
from benchmarks.memory import WEIGHED, memory
from benchmarks.packing import MANY, PACKED, many_files, packing
from benchmarks.profile import PROFILED, profile
from benchmarks.reading import READ, reading
from benchmarks.report import Section, report
from benchmarks.startup import startup

Part = Callable[[list[str], int, Path], Iterator[Section]]
"""Takes the corpora, how many runs count, and where plots go."""

PARTS: dict[str, tuple[Part, list[str]]] = {
    "packing": (packing, PACKED),
    "many": (many_files, list(MANY)),
    "memory": (memory, WEIGHED),
    "startup": (startup, []),
    "reading": (reading, READ),
    "growth": (growth, GROWN),
    "profile": (profile, PROFILED),
    "executor": (executor, COMPRESSED),
}


def main() -> None:
    """Compare, and write the results of what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(CORPORA), help="leave all other corpora out")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent, help="where RESULTS.md and plots go")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" or ".join(PARTS))
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.runs < 1:
        parser.error("at least one run has to count")
    # As pip does with a package that it installs; a checkout may be without, where the environment is against it.
    compileall.compile_dir(Path(pysquash.__file__).parent, quiet=1)
    path: Path = arguments.results / "RESULTS.md"
    for name in arguments.parts or PARTS:
        measure, corpora = PARTS[name]
        chosen = [each for each in corpora if each in (arguments.only or corpora)]
        sections = list(measure(chosen, arguments.runs, arguments.results))
        # Written after each part: a later one that fails takes no hours with it.
        before = path.read_text() if path.exists() else ""
        path.write_text(report({name: sections}, arguments.runs, before, list(PARTS)))
    print(f"written: {path}")


if __name__ == "__main__":
    main()

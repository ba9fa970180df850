"""The shape of the package: which parts may know which, and what only one part may do."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

import pysquash

ROOT = Path(pysquash.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# What each part may import of the package. A part may always import itself.
ALLOWED = {
    "errors": set(),
    "options": {"errors", "compressor_options", "frozen_mapping"},
    "compressor_options": {"errors", "frozen_mapping"},
    "frozen_mapping": set(),
    "sort_file": {"errors"},
    "notices": {"errors"},
    "report": {"notices"},
    "tuning": set(),
    "atomic": set(),
    "threads": set(),
    "guard": {"errors"},
    "arguments": {"errors", "options"},
    "own_files": {"errors"},
    "format": {"errors"},
    "compression": {"errors", "compressor_options", "options", "format", "threads"},
    "tree": {"notices", "errors", "options"},
    "sources": {
        "atomic",
        "notices",
        "errors",
        "options",
        "own_files",
        "compression",
        "format",
        "reader",
        "threads",
        "tree",
    },  # reader: squashfs only
    "writer": {"atomic", "errors", "options", "own_files", "compression", "format", "threads", "tree"},
    "reader": {"errors", "options", "compression", "format", "threads", "tree"},
    "spool": {"tree"},
    "sorting": {"options", "spool", "tree", "verification"},
    "verification": {"errors", "options", "readback", "tree", "writer"},
    "readback": {"errors", "format", "fsck", "options", "reader", "tree", "writer"},
    "entry_limits": {"errors", "options", "tree"},
    "invalid_owners": {"errors", "notices", "options", "tree", "writer"},
    "reading": {"entry_limits", "errors", "options", "report", "sources", "spool", "tree", "verification"},
    "merged_tree": {"notices", "errors", "options", "reading", "sources", "tree", "verification"},
    "packing": {
        "notices",
        "errors",
        "invalid_owners",
        "merged_tree",
        "options",
        "reading",
        "report",
        "sorting",
        "spool",
        "tree",
        "verification",
        "writer",
    },
    "layering": {
        "atomic",
        "entry_limits",
        "notices",
        "errors",
        "invalid_owners",
        "options",
        "own_files",
        "packing",
        "reader",
        "report",
        "sources",
        "tree",
        "verification",
        "writer",
    },
    "squashfs_writer": {
        "notices",
        "arguments",
        "errors",
        "options",
        "own_files",
        "report",
        "sorting",
        "sources",
        "spool",
        "tree",
        "verification",
        "writer",
    },
    "vm": {"notices", "errors", "merged_tree", "sources", "tree", "writer"},
    "additions": {"merged_tree", "sources"},
    "overrides": {"errors", "merged_tree", "tree"},
    "parts": {"notices", "errors", "options", "reading", "sources", "spool", "tree", "verification"},
    "opening": {"notices", "errors", "options", "own_files", "parts", "reading", "report", "sources", "vm"},
    "api": {
        "notices",
        "layering",
        "additions",
        "arguments",
        "compression",
        "errors",
        "opening",
        "options",
        "own_files",
        "overrides",
        "packing",
        "parts",
        "report",
        "sources",
        "tree",
        "vm",
        "writer",
    },
    "aio": {"", "compression", "options", "report", "sources", "threads", "writer"},
    "fsck": {"errors", "compression", "format", "reader", "tree"},
    "comparison": {"errors", "reader", "tree"},
    "cli": {
        "notices",
        "",
        "additions",
        "api",
        "layering",
        "comparison",
        "errors",
        "fsck",
        "guard",
        "options",
        "own_files",
        "overrides",
        "parts",
        "reader",
        "report",
        "sort_file",
        "sources",
        "tree",
        "tuning",
        "vm",
        "writer",
    },
    "squashfs_tools": {
        "notices",
        "",
        "sort_file",
        "compression",
        "errors",
        "format",
        "merged_tree",
        "options",
        "overrides",
        "own_files",
        "packing",
        "reader",
        "reading",
        "report",
        "sources",
        "tree",
        "tuning",
        "writer",
    },
    "mksquashfs": {"guard", "squashfs_tools"},
    "sqfstar": {"guard", "squashfs_tools"},
    "__main__": {"cli"},
    "__init__": {
        "notices",
        "api",
        "comparison",
        "errors",
        "format",
        "fsck",
        "options",
        "overrides",
        "parts",
        "reader",
        "report",
        "sources",
        "squashfs_writer",
        "vm",
    },
}
ONLY_IN = {
    "construct": {"format"},
    "zstandard": {"compression"},
    "isal": {"compression"},
    "bz2": {"compression"},
    "lz4": {"compression"},
    "lzallright": {"compression"},
    "lzo": {"compression"},
    "lzma": {"compression"},
    "zlib": {"compression", "sources"},  # sources: Adler-32 sums a tar header
    "click": {"cli"},
    "rich": {"cli"},
    "httpx": {"sources"},  # sources/oci: registries, and only when one is asked
    "truststore": {"sources"},
    "subprocess": {"sources", "squashfs_tools"},  # sources/oci: programs that keep logins; squashfs_tools: pseudo files
    # packing: how long it took, for the report; sources/oci: how slow a registry is
    "time": {"cli", "packing", "sources", "squashfs_tools"},
    "struct": {"format", "sources"},  # sources: a tar header is no SquashFS structure
}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_to_its_place(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == "pysquash":
            target = rest.partition(".")[0]
            assert target == part or target in ALLOWED[part], f"{part} imports {name}"
        elif first in ONLY_IN:
            assert part in ONLY_IN[first], f"{part} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_is_one_concept(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= 500


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints_and_reads_the_environment(path: Path) -> None:
    if part_of(path) in ("cli", "guard") or path == ROOT / "squashfs_tools" / "console.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "getenv", "stdout", "stderr")


@pytest.mark.parametrize("name", ["format", "rules", "compat"])
def test_a_page_is_what_the_declarations_say(name: str) -> None:
    folder = ROOT.parent / "docs"
    made = runpy.run_path(str(folder / f"{name}_page.py"))["page"]()
    assert (folder / f"{name}.md").read_text() == made, "run: make docs"


def test_the_packed_formats_are_what_the_records_say() -> None:
    made = runpy.run_path(str(ROOT.parent / "docs" / "packed_formats.py"))
    assert made["MODULE"].read_text() == made["module_text"](), "run: make docs"


def test_no_part_is_a_drawer_for_the_rest() -> None:
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", sorted(ROOT.parent.glob("tests/**/test_*.py")), ids=lambda path: path.name)
def test_only_the_profiles_have_deadlines_and_health_checks(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "settings":
            assert not {word.arg for word in call.keywords} & {"deadline", "suppress_health_check"}

"""The shape of the package: which parts may know which, and what only one part may do."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

import pysquash

ROOT = Path(pysquash.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

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


LAYERS = runpy.run_path(str(ROOT.parent / "docs" / "architecture_page.py"))["LAYERS"]
NUMBERS = {part.name: number for number, layer in enumerate(LAYERS, 1) for part in layer}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in MODULES}


def part_of(path: Path) -> str:
    """The part of the table that a module belongs to: the most specific one."""
    name = module_name(path)
    while name not in NUMBERS:
        name, dot, _ = name.rpartition(".")
        assert dot, f"{path} is in no layer of docs/architecture_page.py"
    return name


def own_imports(path: Path) -> set[str]:
    """The modules of the package that a module imports, for types as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {own_name(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = own_name(f"{node.module}.{alias.name}")
                found.add(module if module in NAMES else own_name(node.module))
    return found & NAMES.keys() - {module_name(path)}


def own_name(name: str) -> str:
    """The name of one of our modules inside the package; "" for all others."""
    first, _, rest = name.partition(".")
    return (rest or "__init__") if first == "pysquash" else ""


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
def test_no_import_goes_up(path: Path) -> None:
    part = part_of(path)
    for name in own_imports(path):
        target = part_of(NAMES[name])
        assert target == part or NUMBERS[target] < NUMBERS[part], f"{part} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_some_packages_are_imported_in_one_place_only(path: Path) -> None:
    part = part_of(path).partition(".")[0]
    for name in imports(path):
        first = name.partition(".")[0]
        assert part in ONLY_IN.get(first, {part}), f"{part} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name: own_imports(path) - {name.rpartition(".")[0]} for name, path in NAMES.items()}
    while left:
        free = {name for name, targets in left.items() if not targets & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: targets for name, targets in left.items() if name not in free}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_a_docstring_refers_to_exist(path: Path) -> None:
    _, _, text = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("Not here:")
    package = path.parent.relative_to(ROOT)
    for names in re.findall(r"\(([a-z_/*]+(?:, [a-z_/*]+)*)\)", text):
        for name in names.split(", "):
            base = name.removesuffix("/*")
            places = [ROOT / package / base, ROOT / base]
            assert any(place.is_dir() or place.with_suffix(".py").is_file() for place in places), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_is_one_concept(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= 500


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints_and_reads_the_environment(path: Path) -> None:
    if part_of(path) in ("cli", "program") or path == ROOT / "squashfs_tools" / "console.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "getenv", "stdout", "stderr")


@pytest.mark.parametrize("name", ["architecture", "format", "rules", "compat"])
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

"""What a caller adds lands where tools on the host would put it into the extracted layers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pysquash
from tests.property.layers import Item, Layers, ModelError, apply_layers, layers, write_tar
from tests.snapshot import Tree, extract, need_root, need_tool, reader_tree, run, walk

PATHS = st.lists(st.sampled_from(["a", "b", "c", "lib", "new"]), min_size=1, max_size=4).map("/".join)
SLOW = settings(max_examples=60, derandomize=True)


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    need_root()
    need_tool("tar", "tar")


def compared(
    drawn: Layers, folder: Path, on_the_host: Callable[[Path], bool], **additions: object
) -> tuple[Tree, Tree]:
    """Do the same to the layers' image and to what GNU tar extracts of them, and give both."""
    try:
        apply_layers(drawn, duplicates="last")
    except ModelError:
        assume(False)
    sources = [str(folder / f"{row}.tar") for row in range(len(drawn))]
    extracted = folder / "extracted"
    extracted.mkdir()
    for layer, source in zip(drawn, sources, strict=True):
        write_tar(layer, Path(source))
        assume(extract(Path(source), extracted))
    assume(on_the_host(extracted))
    options = pysquash.WriterOptions(duplicates="last", verify=True)
    pysquash.build(sources, folder / "image", options=options, **additions)  # type: ignore[arg-type]
    return reader_tree(folder / "image"), walk(extracted)


def kinds(tree: Tree) -> dict[bytes, tuple[str, str, tuple[bytes, ...]]]:
    return {path: (seen.kind, seen.content, seen.links) for path, seen in tree.items()}


@SLOW
@given(drawn=layers(inside=True, whiteouts=False), path=PATHS)
def test_a_file_lands_where_tar_extracts_it(drawn: Layers, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("file")
    added = Item("file", path, 999)

    def extract_it(root: Path) -> bool:
        write_tar([added], folder / "added.tar")
        # tar replaces no directory that has something in it, and a layer does: docs/merging.md.
        return not (root / path).is_dir() and extract(folder / "added.tar", root)

    image, host = compared(drawn, folder, extract_it, files=[(path, added.content, {})])
    assert kinds(image) == kinds(host)


@SLOW
@given(drawn=layers(inside=True, whiteouts=False), path=PATHS)
def test_a_default_file_lands_where_the_shell_makes_it(
    drawn: Layers, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("default")
    added = Item("file", path, 999)

    def make_it(root: Path) -> bool:
        place = root / path
        done = run(["mkdir", "-p", place.parent])
        if done.returncode == 0 and not os.path.lexists(place):
            place.write_bytes(added.content)
        return done.returncode == 0

    image, host = compared(drawn, folder, make_it, default_files=[(path, added.content, {})])
    assert kinds(image) == kinds(host)


@SLOW
@given(drawn=layers(inside=True, whiteouts=False), path=PATHS)
def test_a_directory_is_what_mkdir_makes(drawn: Layers, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mkdir")

    def make_it(root: Path) -> bool:
        return subprocess.run(["mkdir", "-p", root / path], capture_output=True, check=False).returncode == 0

    image, host = compared(drawn, folder, make_it, directories=[(path, {})])
    assert kinds(image) == kinds(host)

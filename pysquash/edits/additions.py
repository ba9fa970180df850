"""Additions: what a caller puts into a tree besides its layers, once these are merged.

In: names with their content and attributes. Out: steps that put them.
Rules kept here: a default file replaces nothing; a directory that is there keeps what it is not given.
Not here: files and symlinks that go over all layers (sources/files), where a name leads (merged_tree).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TypeVar

from pysquash.edits.merged_tree import MergedTree, Step
from pysquash.sources.files import AddedFile, Attributes, added_file

__all__ = ["AddedDirectory", "make_directories", "owned", "put_default_files"]

AddedDirectory = tuple[str | bytes, Attributes]
"""(name in the image, attributes)."""

_Content = TypeVar("_Content")


def put_default_files(files: Sequence[AddedFile]) -> Step:
    """Make the step that puts files where the tree has nothing."""

    def step(tree: MergedTree) -> None:
        for name, content, attributes in files:
            with closing(added_file(name, content, attributes, tree.options)) as added:
                tree.put_default(added)

    return step


def make_directories(directories: Sequence[AddedDirectory], owner: Attributes) -> Step:
    """Make the step that makes directories.

    Args:
        directories: Which.
        owner: Whose they are if they are new, and nothing else is said.
    """

    def step(tree: MergedTree) -> None:
        for name, attributes in directories:
            tree.make_directory(name, attributes, owner)

    return step


def owned(
    additions: Iterable[tuple[str | bytes, _Content, Attributes]], owner: Attributes
) -> list[tuple[str | bytes, _Content, Attributes]]:
    """Give additions an owner, where they have none."""
    return [(name, content, {**owner, **attributes}) for name, content, attributes in additions]

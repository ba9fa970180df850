"""What comes of an image: built from every form, read back by us and by the kernel; or refused, with nothing left."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import Report, SquashfsImage, WriterOptions
from tests.noticing import texts
from tests.oci.builder import Image, Layer, layout, new_archive, old_archive, skopeo_directory, to_directory, to_tar
from tests.snapshot import Tree, assert_same, kernel_tree, reader_tree

__all__ = ["Built", "build", "merged", "refusal", "refusals", "sources"]

CAN_MOUNT = hasattr(os, "geteuid") and os.geteuid() == 0


@dataclass(frozen=True)
class Built:
    """An image that was built.

    Attributes:
        path: Where it is.
        report: What the build said.
        tree: What is in it.
        names: Every path but the root's, and in a word what it is: a file's content, "-> target", "directory".
    """

    path: Path
    report: Report
    tree: Tree
    names: Mapping[str, str]

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(texts(self.report.warnings))


def sources(image: Image, folder: Path) -> dict[str, str]:
    """Write an image in every form, and give the source string of each."""
    folder = folder / f"forms-{len(os.listdir(folder))}"
    folder.mkdir()
    return {
        "layout": f"oci:{to_directory(layout(image), folder / 'layout')}",
        "layout in a tar": f"oci-archive:{to_tar(layout(image), folder / 'layout.tar', 'gzip')}",
        "old archive": f"docker-archive:{to_tar(old_archive(image), folder / 'old.tar')}",
        "directory": f"dir:{to_directory(skopeo_directory(image), folder / 'directory')}",
        "new archive": f"docker-archive:{to_tar(new_archive(image), folder / 'new.tar')}",
    }


def merged(folder: Path, *layers: bytes | Layer, **options: Any) -> Built:
    """Build an image of some layers in every form, see that all come to the same bytes, and read them back."""
    found: dict[str, Built] = {}
    for form, source in sources(Image(layers), folder).items():
        found[form] = build(source, folder, **options)
    first = found["layout"]
    for form, other in found.items():
        assert other.path.read_bytes() == first.path.read_bytes(), f"{form} gives another image"
        assert len(other.warnings) == len(first.warnings), f"{form} gives other warnings"
    if CAN_MOUNT:
        assert_same(kernel_tree(first.path, folder), first.tree)
    return first


def build(source: str, folder: Path, *, platform: str | None = None, **options: Any) -> Built:
    """Build an image of one source, and read it back."""
    path = folder / f"{len(os.listdir(folder))}.squashfs"
    report = pysquash.build([source], path, platform=platform, options=WriterOptions(**options))
    return Built(path, report, reader_tree(path), dict(_names(path)))


def _names(path: Path) -> Iterator[tuple[str, str]]:
    with SquashfsImage(path) as image:
        for each in image.root.walk():
            name = each.path.decode()
            if not name:
                continue
            if each.is_symlink():
                yield name, f"-> {os.fsdecode(each.readlink())}"
            elif each.is_file():
                yield name, each.read_bytes().decode()
            else:
                yield name, "directory" if each.is_dir() else "other"


def refusal(source: str, folder: Path, *, platform: str | None = None, **options: Any) -> str:
    """Give the one line that an image is refused with. Nothing is left of the try: no file, descriptor or thread."""
    output = folder / "refused" / "image.squashfs"
    output.parent.mkdir(exist_ok=True)
    before = _descriptors()
    with pytest.raises((pysquash.InputError, OSError)) as caught:
        pysquash.build([source], output, platform=platform, options=WriterOptions(**options))
    assert os.listdir(output.parent) == [], "a file is left"
    assert _descriptors() == before, "a descriptor is left open"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pysquash")], "a thread is left"
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600 + len(source)
    assert text.isprintable()
    return text


def refusals(image: Image, folder: Path, **options: Any) -> set[str]:
    """Give what an image is refused with in all forms, with SOURCE for what the forms are called."""
    found = set()
    for source in sources(image, folder).values():
        text = refusal(source, folder, **options)
        assert source in text, text
        found.add(text.replace(source, "SOURCE"))
    return found


def _descriptors() -> dict[str, str]:
    """What is open, by its number."""
    found = {}
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the listing itself
            continue
    return found

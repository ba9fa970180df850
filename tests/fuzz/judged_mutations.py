"""Compares `pysquash check` and the reader with the kernel and unsquashfs, on images of which one or two bytes changed.

    python -m tests.fuzz.judged_mutations --count 3000 --seed 1 --keep build/mutations

Run as root on Linux, with squashfs-tools. All metadata of the images is stored uncompressed, so a changed byte is a
changed field. Each mutation has a seed of its own, and the same seed makes the same image. It is an error if

- check finds no error, and the kernel or unsquashfs refuses the image or they show different trees;
- check says that one refuses or misreads the image, and that one shows the tree of the original image;
- the kernel and unsquashfs show the same tree, and the reader fails or shows another one.

Mutations are left out that make files too large to read, or that Linux never ends to unmount. The exit code is 1 if
there was an error.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pysquash import Finding, ImageError, NotSquashfsError, SquashfsImage, check
from pysquash.format.constants import DATA_START, NO_FRAGMENT
from pysquash.format.records import SUPERBLOCK
from pysquash.format.rules import KERNEL, UNSQUASHFS, Rule
from pysquash.tree.entry import Kind
from tests.corrupt.judges import TIMED_OUT, extracted_tree, good_tree, mounted_tree
from tests.fuzz.seeds import foreign_images, own_image
from tests.snapshot import Tree, reader_tree

__all__ = ["Mutation", "disagreements", "images", "mutation"]

_SIZE_LIMIT = 4 << 20
_UNSEEN = {Rule.ENTRY_KIND, Rule.ENTRY_NUMBER, Rule.DATA_SIZE, Rule.FRAGMENT_SIZE}
"""Rules whose breaking need not show in a tree: the kind that a listing says; an inode that Linux takes for another
which it read before; data that unsquashfs writes after the end of a buffer."""

_BORDERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF)


class Mutation(NamedTuple):
    """A changed image.

    Attributes:
        image: Its bytes.
        text: What was changed, for messages.
    """

    image: bytes
    text: str


def images() -> list[bytes]:
    """Make the images that are changed."""
    made = [own_image(), own_image(exports=False, many=400), own_image(many=0)]
    made += [image for image in foreign_images() if SUPERBLOCK.unpack(image).flags & 1]  # uncompressed inodes
    return made


def mutation(originals: list[bytes], seed: int) -> tuple[bytes, Mutation]:
    """Change one or two bytes of metadata.

    Returns:
        The original, and what became of it.
    """
    rng = random.Random(seed)
    original = originals[seed % len(originals)]
    image, changes = bytearray(original), []
    superblock = SUPERBLOCK.unpack(original)
    for _ in range(rng.choice((1, 1, 2))):
        if rng.randrange(8):
            at = rng.randrange(superblock.inode_table_start, superblock.bytes_used)
        else:
            at = rng.randrange(DATA_START)
        new = rng.choice((image[at] ^ 1 << rng.randrange(8), image[at] + rng.choice((-1, 1)), rng.choice(_BORDERS)))
        changes.append(f"byte {at}: {image[at]:#x} -> {new & 0xFF:#x}")
        image[at] = new & 0xFF
    return original, Mutation(bytes(image), f"seed {seed}, {', '.join(changes)}")


def disagreements(path: Path, folder: Path, good: Tree) -> Iterator[str]:
    """Yield how check and the reader disagree with the kernel and unsquashfs on an image.

    Args:
        path: The image.
        folder: Where to mount and extract.
        good: The tree of the original image.
    """
    try:
        findings = check(path)
    except NotSquashfsError:
        findings = []
        is_image = False
    else:
        is_image = True
    if _is_unfit(path):
        return
    shown = {KERNEL: mounted_tree(path, folder), UNSQUASHFS: extracted_tree(path, folder)}
    if any(isinstance(tree, str) and TIMED_OUT in tree for tree in shown.values()):
        return
    read = _read(path)
    if not is_image:
        for judge, tree in shown.items():
            if not isinstance(tree, str):
                yield f"{judge} reads what is no image to check"
        return
    rules = {finding.rule for finding in findings}
    claimed = {judge for finding in findings for judge in finding.refused_by}
    for judge, tree in shown.items():
        if judge in claimed:
            reasons = [finding for finding in findings if judge in finding.refused_by]
            if tree == good and not all(_is_unseen(finding, good) for finding in reasons):
                if judge == KERNEL and mounted_tree(path, folder, is_backwards=True) != good:
                    continue
                yield f"{judge} reads what check says it refuses: {_listed(findings, judge)}"
        elif isinstance(tree, str) and Rule.VERSION not in rules:  # its fields are not those of another version
            yield f"{judge} refuses ({tree[-200:]}) what check says it reads: {_listed(findings)}"
    by_kernel, by_unsquashfs = shown[KERNEL], shown[UNSQUASHFS]
    if isinstance(by_kernel, str) or isinstance(by_unsquashfs, str):
        return
    if _without_symlink_modes(by_kernel) != _without_symlink_modes(by_unsquashfs):
        if not claimed:
            yield f"kernel and unsquashfs show different trees: {_difference(by_kernel, by_unsquashfs)}"
    elif isinstance(read, str):
        yield f"the reader refuses what both read: {read}"
    elif read is not None and read != by_kernel and not claimed:
        yield f"the reader shows another tree: {_difference(read, by_kernel)}"


def _is_unseen(finding: Finding, good: Tree) -> bool:
    """Tell whether a tree need not show what a finding is about.

    Of an inode of several names, Linux reads the one that it is asked for first.
    """
    names = good[finding.path].links if finding.path in good else ()
    return finding.rule in _UNSEEN or len(names) > 1


def _is_unfit(path: Path) -> bool:
    """Tell whether a file is larger than what is read, or would keep Linux busy for ever.

    A fragment_offset of 2^31 or more is negative to Linux 6.18, and unmounting the image then never ends.
    """
    try:
        with SquashfsImage(path) as image:
            files = [here.inode for here in image.root.walk() if here.inode.kind is Kind.FILE]
    except ImageError:
        return _has_negative_offset(path)
    is_negative = any(each.fragment_index != NO_FRAGMENT and each.fragment_offset >= 1 << 31 for each in files)
    return is_negative or sum(each.size for each in files) > _SIZE_LIMIT


def _has_negative_offset(path: Path) -> bool:
    """Tell the same of an image that cannot be walked, as far as a check finds its files."""
    try:
        findings = check(path)
    except NotSquashfsError:
        return False
    return any(finding.rule is Rule.FRAGMENT_RANGE for finding in findings)


def _read(path: Path) -> Tree | str | None:
    """Read an image through the reader; a text says why that failed, None that a number of links is wrong."""
    try:
        return reader_tree(path)
    except ImageError as error:
        return str(error)
    except AssertionError:
        return None


def _listed(findings: list[Finding], judge: str = "") -> str:
    return "; ".join(str(finding) for finding in findings if not judge or judge in finding.refused_by) or "no findings"


def _without_symlink_modes(tree: Tree) -> Tree:
    """Leave out the modes of symlinks, which no program can set."""
    return {path: replace(seen, mode=0) if seen.kind == "symlink" else seen for path, seen in tree.items()}


def _difference(first: Tree, second: Tree) -> str:
    for path in sorted(first.keys() | second.keys()):
        if first.get(path) != second.get(path):
            return f"{path!r}: {first.get(path)} and {second.get(path)}"[:600]
    return ""


def _main() -> int:
    parser = argparse.ArgumentParser(description="Compare check and the reader with the kernel and unsquashfs.")
    parser.add_argument("--count", type=int, default=1000, help="number of mutations (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first mutation (default: 0)")
    parser.add_argument("--keep", type=Path, help="directory for the images of disagreements")
    options = parser.parse_args()
    originals = images()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pysquash-") as temporary:
        folder = Path(temporary)
        trees: dict[bytes, Tree] = {}
        for seed in range(options.seed, options.seed + options.count):
            original, changed = mutation(originals, seed)
            if original not in trees:
                path = folder / f"original-{seed}"
                path.write_bytes(original)
                trees[original] = good_tree(path, folder)
            path = folder / f"image-{seed}"  # a name of its own: the last loop device may not be free yet
            path.write_bytes(changed.image)
            for text in disagreements(path, folder, trees[original]):
                failed += 1
                print(f"{changed.text}: {text}", flush=True)  # noqa: T201
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{seed}.squashfs").write_bytes(changed.image)
            path.unlink()
    print(f"{options.count} mutations, {failed} disagreements", flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_main())

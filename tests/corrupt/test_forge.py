"""The forge gives a good image back as it was, and cases that are what they say."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import pytest

from pysquash import SquashfsWriter
from pysquash.format.constants import CompressorId
from tests.corrupt.cases import CASES, Case, lzo, with_gzip, xz, zstd
from tests.corrupt.forge import Encoder, Forge, image_of
from tests.corrupt.judges import kernel, unsquashfs
from tests.snapshot import assert_same, kernel_tree, need_root, unsquashfs_tree

IDS = [each.id for each in CASES]
BASES = sorted({make() for make in {each.base for each in CASES}})


def _build(writer: SquashfsWriter) -> None:
    """Something of every kind, and tables of more than one block."""
    writer.add_file("a/file", b"content" * 2000, xattrs={"user.a": b"1", "trusted.b": b"a value that is stored once"})
    writer.add_file("a/tail", b"tail", uid=5, xattrs={"user.c": b"a value that is stored once"})
    writer.add_file("a/holes", b"x" + bytes(20_000) + b"y", mtime=9)
    writer.add_file("empty file", b"")
    writer.add_hard_link("link", "a/holes")
    writer.add_symlink("symlink", "target")
    writer.add_symlink("symlink with xattrs", "target", xattrs={"trusted.d": b"2"})
    writer.add_device("block", "block", 8, 1)
    writer.add_device("character", "character", 4095, 0xFFFFF, xattrs={"trusted.d": b"2"})
    writer.add_socket("socket", xattrs={"trusted.d": b"3"})
    writer.add_directory("directory", xattrs={"user.e": b"4"})
    writer.add_directory("zz")
    for number in range(1100):
        writer.add_fifo(f"many/{number:040}", uid=number, gid=2 * number)


@pytest.mark.parametrize("exports", [False, True])
@pytest.mark.parametrize("fragments", [False, True])
def test_an_image_that_nobody_patched_comes_back_byte_for_byte(exports: bool, fragments: bool) -> None:
    image = image_of(_build, exports=exports, fragments=fragments)
    assert Forge(image).assemble() == image


@pytest.mark.parametrize("base", BASES, ids=range(len(BASES)))
def test_a_base_comes_back_byte_for_byte(base: bytes) -> None:
    assert Forge(base).assemble() == base


def test_assembling_twice_gives_the_same() -> None:
    forge = Forge(image_of(_build))
    with_gzip(forge)
    assert forge.assemble() == forge.assemble()


@pytest.mark.parametrize(
    ("number", "compress"),
    [
        (CompressorId.GZIP, zlib.compress),
        (CompressorId.ZSTD, zstd),
        (CompressorId.XZ, lambda content: xz(content, dictionary=4096)),
        (CompressorId.LZO, lzo),
    ],
    ids=["gzip", "zstd", "xz", "lzo"],
)
def test_both_judges_take_what_is_compressed(number: CompressorId, compress: Encoder, tmp_path: Path) -> None:
    need_root()
    image, good = tmp_path / "image", tmp_path / "good"
    forge = Forge(image_of(_build))
    good.write_bytes(forge.assemble())
    forge.set_compressor(number, compress)
    image.write_bytes(forge.assemble())
    assert image.stat().st_size < good.stat().st_size
    assert kernel(image, tmp_path, good) == "takes"
    assert unsquashfs(image, tmp_path, good) == "takes"


def test_ids_are_unique() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_case_is_deterministic_small_and_broken(case: Case) -> None:
    image = case.image()
    assert image == case.image()
    assert image != case.good()
    assert len(image) < 300_000


def test_kernel_and_unsquashfs_take_what_the_cases_are_made_of() -> None:
    """Read right here and not through the judges, which start a process for each tree in case it never ends."""
    need_root()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = folder / "good"
        for image in sorted({case.good() for case in CASES}):
            good.write_bytes(image)
            assert_same(kernel_tree(good, folder), unsquashfs_tree(good, folder))


def test_the_judges_tell_what_is_wrong(tmp_path: Path) -> None:
    need_root()
    cases = {case.id: case for case in CASES}
    wanted = {
        "inode-mode-file": ("refuses", "takes"),
        "name-order-swapped": ("refuses", "refuses"),
        "data-range-inodes": ("misreads", "misreads"),
        "inode-count-above": ("takes", "takes"),
    }
    for number, (name, verdicts) in enumerate(wanted.items()):
        image, good = tmp_path / f"image-{number}", tmp_path / f"good-{number}"
        image.write_bytes(cases[name].image())
        good.write_bytes(cases[name].good())
        assert (kernel(image, tmp_path, good), unsquashfs(image, tmp_path, good)) == verdicts, name

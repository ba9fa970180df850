"""An image whose names lead elsewhere is refused by all that reads names, whatever else would come of it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from pysquash import CorruptImageError, SquashfsImage, SquashfsWriter, check
from tests.corrupt.forge import Forge, image_of

_ADDERS: dict[str, Callable[[SquashfsWriter, str], object]] = {
    "symlink": lambda writer, name: writer.add_symlink(name, "/tmp"),
    "directory": lambda writer, name: writer.add_file(f"{name}/gotcha", b"boo"),
    "file": lambda writer, name: writer.add_file(name, name.encode()),
    "fifo": lambda writer, name: writer.add_fifo(name),
    "hard link": lambda writer, name: writer.add_hard_link(name, "other"),
}

COMMANDS = {
    "extract": ("pysquash", "extract", "{image}", "-d", "{out}"),
    "tar": ("pysquash", "tar", "{image}"),
    "ls": ("pysquash", "ls", "{image}"),
    "diff": ("pysquash", "diff", "{image}", "{good}"),
    "diff to": ("pysquash", "diff", "{good}", "{image}"),
    "build": ("pysquash", "build", "sqfs:{image}", "-o", "{out}"),
    "build --layers": ("pysquash", "build", "sqfs:{image}", "--layers", "{out}"),
    "build --part": ("pysquash", "build", "--part", "sqfs:{image}", "top", "-o", "{out}"),
    "build over it": ("pysquash", "build", "sqfs:{image}", "sqfs:{good}", "-o", "{out}"),
    "append": ("pymksquashfs", "{good}", "{image}", "-quiet", "-no-progress"),
}


def image_with(*kinds: str) -> bytes:
    """Make an image with a directory "top", and in it "a", "b" and so on, one of each kind."""

    def build(writer: SquashfsWriter) -> None:
        writer.add_file("other", b"other")
        for name, kind in zip("abcdef", kinds, strict=False):
            _ADDERS[kind](writer, f"top/{name}")

    return image_of(build)


def renamed(image: bytes, name: bytes, new: bytes) -> bytes:
    forge = Forge(image)
    forge.entry(b"top/" + name, name=new)
    return forge.assemble()


def twice(first: str, second: str) -> bytes:
    return renamed(image_with(first, second), b"b", b"a")


def apart(first: str, second: str) -> bytes:
    """Make an image in which another name is between the two."""
    return renamed(image_with(first, "file", second), b"c", b"a")


def unsorted() -> bytes:
    return renamed(image_with("file", "file"), b"b", b"A")


def assert_refused(image: bytes, rule: str, words: str) -> None:
    findings = check(io.BytesIO(image))
    assert rule in [str(finding.rule) for finding in findings], findings
    with SquashfsImage(io.BytesIO(image)) as opened:
        readers: list[Callable[[], object]] = [
            lambda: list(opened.root.walk()),
            lambda: opened.to_tar(io.BytesIO()),
        ]
        for read in readers:
            with pytest.raises(CorruptImageError, match="name") as caught:
                read()
            assert caught.value.rule == rule
            assert words in str(caught.value)


@pytest.mark.parametrize(("first", "second"), list(product(_ADDERS, _ADDERS)))
def test_duplicate_names_are_refused(first: str, second: str) -> None:
    assert_refused(twice(first, second), "name-unique", "duplicate name 'a' in top")
    assert_refused(apart(first, second), "name-order", "unsorted names: 'a' after 'b' in top")


@pytest.mark.parametrize("kind", _ADDERS)
@pytest.mark.parametrize("name", [b".", b"..", b"x/y", b"/x", b"x/", b"x\0y", b"\0"])
def test_names_that_lead_elsewhere_are_refused(kind: str, name: bytes) -> None:
    assert_refused(renamed(image_with(kind), b"a", name), "name-characters", "the name '")


def test_names_that_share_a_beginning_are_not_duplicates() -> None:
    image = renamed(renamed(image_with("file", "symlink"), b"b", b"aa"), b"a", b"a-")
    with SquashfsImage(io.BytesIO(image)) as opened:
        assert [here.path for here in opened.root.walk()] == [b"", b"other", b"top", b"top/a-", b"top/aa"]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "symlink and directory": lambda: twice("symlink", "directory"),
    "file and file": lambda: twice("file", "file"),
    "apart": lambda: apart("symlink", "directory"),
    "unsorted": unsorted,
    "up": lambda: renamed(image_with("directory"), b"a", b".."),
    "slash": lambda: renamed(image_with("directory"), b"a", b"../x"),
    "nul": lambda: renamed(image_with("file"), b"a", b"x\0y"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_every_program_refuses_them(tmp_path: Path, command: str, hostile: str) -> None:
    image, good, out = tmp_path / "image", tmp_path / "good", tmp_path / "out"
    image.write_bytes(HOSTILE[hostile]())
    good.write_bytes(image_with("file", "directory"))
    before = image.read_bytes()
    line = [part.format(image=image, good=good, out=out) for part in COMMANDS[command]]
    program = Path(sys.executable).with_name(line[0])
    done = subprocess.run([program, *line[1:]], capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    complaint = done.stderr.decode()
    assert done.returncode == 1, complaint
    assert "name" in complaint
    assert "Traceback" not in complaint
    assert not out.is_file()
    assert image.read_bytes() == before
    for stray in ("x", "gotcha"):
        assert not list(tmp_path.parent.glob(stray))


def test_a_name_goes_on_where_the_listing_has_ended(tmp_path: Path) -> None:
    """Linux and unsquashfs read the last name to its end."""
    image = image_with("file", "file")
    forge = Forge(image)
    forge.assemble()
    listing = forge.find_listing(b"top")
    forge.find(b"top/b").name = b"b" * 100
    size = len(listing.pack())
    forge.inode(b"top", listing_size=size + 3 - 99)
    cut = forge.assemble()
    findings = check(io.BytesIO(cut))
    assert [(str(finding.rule), finding.severity) for finding in findings] == [("listing-end", "note")]
    with SquashfsImage(io.BytesIO(cut)) as opened:
        assert [here.path for here in opened.root.walk()] == [b"", b"other", b"top", b"top/a", b"top/" + b"b" * 100]
        assert (opened.root / "top" / ("b" * 100)).read_bytes() == b"top/b"


def test_an_index_of_an_empty_directory_is_not_read() -> None:
    forge = Forge(image_of(lambda writer: writer.add_directory("d", xattrs={"user.a": b"1"})))
    forge.inode(b"d", index_count=1)
    with SquashfsImage(io.BytesIO(forge.assemble())) as opened:
        assert not (opened.root / "d" / "missing").exists()
        assert list((opened.root / "d").iterdir()) == []


def test_a_listing_that_ends_after_the_table_overlaps_those_it_covers() -> None:
    forge = Forge(image_with("directory", "directory"))
    forge.inode(b"top/a", listing_size=60000)
    rules = {str(finding.rule) for finding in check(io.BytesIO(forge.assemble()))}
    assert {"listing", "listing-overlap"} <= rules


@pytest.mark.parametrize(("first", "second"), [("symlink", "directory"), ("file", "file"), ("fifo", "symlink")])
def test_a_duplicate_name_is_refused_when_it_is_looked_up(first: str, second: str) -> None:
    with SquashfsImage(io.BytesIO(twice(first, second))) as opened:
        for _ in range(2):
            with pytest.raises(CorruptImageError, match="duplicate name 'a'"):
                (opened / "top" / "a").exists()

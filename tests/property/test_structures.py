"""What is written, what is read and what is printed field by field, against inodes that are declared a second time."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pysquash import SquashfsImage, SquashfsWriter, WriterOptions
from pysquash.cli.info import info
from pysquash.errors import CorruptImageError, OptionError, PathNotFoundError
from pysquash.format.constants import NO_XATTRS
from pysquash.format.records import CODECS
from pysquash.format.words import device_number
from pysquash.fsck.structures import PARTS, Structure, read_structures
from pysquash.reader.inodes import Inode
from pysquash.tree.entry import Kind
from tests.corrupt.forge import Forge
from tests.fuzz.seeds import own_image
from tests.property.declared_inodes import BASIC_TYPES, EXTENDED_TYPES, inode_table, superblock_of
from tests.property.test_reader import attributes, contents, names

KINDS = ["directory", "file", "symlink", "block", "character", "fifo", "socket"]
"""In the order of their basic types."""
nodes = st.dictionaries(
    names.filter(lambda name: not name.startswith(b".wh.")),
    st.tuples(st.sampled_from(KINDS), contents, attributes, st.integers(0, 4095), st.integers(0, 2**20 - 1)),
    max_size=12,
)


def written(tree: dict[bytes, tuple[str, bytes, dict[str, Any], int, int]], **options: Any) -> bytes:
    output = io.BytesIO()
    with SquashfsWriter(output, WriterOptions(block_size=4096, workers=1, **options)) as writer:
        for name, (kind, content, described, major, minor) in tree.items():
            if kind == "file":
                writer.add_file(name, content, **described)
            elif kind == "directory":
                writer.add_directory(name, **described)
            elif kind == "symlink":
                writer.add_symlink(name, b"to " + content[:300].replace(b"\0", b"-"), **described)
            elif kind in ("block", "character"):
                writer.add_device(name, kind, major, minor, **described)
            elif kind == "fifo":
                writer.add_fifo(name, **described)
            else:
                writer.add_socket(name, **described)
    return output.getvalue()


def many_names(count: int) -> bytes:
    """Make an image with a directory of several metadata blocks, which has an index."""
    output = io.BytesIO()
    with SquashfsWriter(output, WriterOptions(compressor="none", block_size=4096, workers=1)) as writer:
        for number in range(count):
            writer.add_file(b"d/%0100d" % number, b"")
    return output.getvalue()


def declared(inode: Any) -> dict[str, Any]:
    """What an inode says, by the second declaration, in the words of the reader's `Inode`."""
    body = inode.body
    said = {
        "type": inode.type,
        "mode": inode.mode,
        "uid_index": inode.uid,
        "gid_index": inode.gid,
        "mtime": inode.time,
        "number": inode.number,
        "nlink": getattr(body, "links", 1),
        "xattr_index": getattr(body, "xattrs", NO_XATTRS),
        "stored_size": inode.end - inode.position,
    }
    kind = (inode.type - 1) % 7 + 1
    if kind == Kind.DIRECTORY:
        said |= {"listing_size": body.size - 3, "listing_block_start": body.block, "listing_offset": body.offset}
        said |= {"parent_number": body.parent, "index_count": getattr(body, "rows", 0)}
        said["stored_size"] -= sum(12 + len(row.name) for row in getattr(body, "index", ()))
    elif kind == Kind.FILE:
        said |= {"size": body.size, "blocks_start": body.start, "block_count": len(body.blocks)}
        said |= {"fragment_index": body.fragment, "fragment_offset": body.tail, "sparse": getattr(body, "sparse", 0)}
    elif kind == Kind.SYMLINK:
        said |= {"size": body.size, "target": body.target}
    elif kind in (Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE):
        said |= {"device": body.device}
    return said


def read(inode: Inode, fields: dict[str, Any]) -> dict[str, Any]:
    values = {name: getattr(inode, name) for name in fields}
    if inode.device is not None:
        values["device"] = device_number(*inode.device)
    return values


def compare(raw: bytes) -> list[Any]:
    """Compare the reader, and what is printed field by field, with the second declaration of every inode."""
    inodes, starts = inode_table(raw)
    with SquashfsImage(io.BytesIO(raw)) as image:
        printed = list(read_structures(image, "inodes"))
        assert [one.title.split(":")[0] for one in printed if "list" not in one.title and "index" not in one.title] == [
            f"inode {inode.number}" for inode in inodes
        ]
        stored = iter(printed)
        for inode in inodes:
            block, offset = divmod(inode.position, 8192)
            fields = declared(inode)
            assert read(image.read_inode(starts[block] << 16 | offset), fields) == fields
            head = next(stored)
            by_name = {field.name: field.value for field in head.fields}
            assert head.place.startswith(f"metadata reference {starts[block] << 16 | offset:#x} ")
            assert (by_name["type"], by_name["mode"], by_name["number"]) == (inode.type, inode.mode, inode.number)
            assert by_name.get("xattr_index", NO_XATTRS) == getattr(inode.body, "xattrs", NO_XATTRS)
            assert by_name.get("target") == getattr(inode.body, "target", None)
            words = list[int | bytes]()
            while len(words) < len(getattr(inode.body, "blocks", ())):
                words += [field.value for field in next(stored).fields]
            assert words == list(getattr(inode.body, "blocks", ()))
            for row in getattr(inode.body, "index", ()):
                values = [field.value for field in next(stored).fields]
                assert values == [row.position, row.block, row.last, row.name]
        assert next(stored, None) is None
    return inodes


@given(tree=nodes, compressor=st.sampled_from(["gzip", "none"]), fragments=st.booleans(), exports=st.booleans())
def test_inodes_are_what_their_second_declaration_says(
    tree: dict[bytes, tuple[str, bytes, dict[str, Any], int, int]], compressor: str, fragments: bool, exports: bool
) -> None:
    raw = written(tree, compressor=compressor, fragments=fragments, exports=exports)
    by_number = {inode.number: inode for inode in compare(raw)}
    with SquashfsImage(io.BytesIO(raw)) as image:
        assert image.superblock[1:] == tuple(superblock_of(raw).values())[2:]
        for name, (kind, content, described, _, _) in tree.items():
            inode = by_number[(image / name).inode.number]
            is_extended = bool(described.get("xattrs"))
            types = {BASIC_TYPES[KINDS.index(kind)], EXTENDED_TYPES[KINDS.index(kind)]}
            if kind != "file" or is_extended:  # a file with holes is extended as well
                types = {(EXTENDED_TYPES if is_extended else BASIC_TYPES)[KINDS.index(kind)]}
            assert inode.type in types
            assert (inode.mode, inode.time) == (described["mode"], described["mtime"])
            if kind == "file":
                assert inode.body.size == len(content)


def test_an_index_is_what_its_second_declaration_says() -> None:
    inodes = compare(many_names(2000))
    assert max(len(getattr(inode.body, "index", ())) for inode in inodes) > 2


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is missing: install squashfs-tools")
    folder = tmp_path_factory.mktemp("structures")
    source, image = folder / "source", folder / "image.squashfs"
    (source / "d").mkdir(parents=True)
    for number in range(300):
        (source / "d" / f"{number:0100}").write_bytes(b"%d" % number)
    (source / "long").write_bytes(bytes(range(256)) * 100)
    (source / "again").hardlink_to(source / "long")
    (source / "link").symlink_to("long")
    subprocess.run(["mksquashfs", source, image, "-comp", "gzip", "-b", "4096", "-quiet"], check=True)
    return image


def test_inodes_of_mksquashfs_are_read_as_declared(foreign: Path) -> None:
    inodes = compare(foreign.read_bytes())
    assert {inode.type for inode in inodes} >= {2, 3, 8, 9}


def printed(image: Path, *arguments: str) -> str:
    done = CliRunner().invoke(info, ["--structures", str(image), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_structures_are_printed_with_their_texts(foreign: Path) -> None:
    whole = printed(foreign)
    assert whole == "".join(printed(foreign, part) for part in PARTS)
    assert "magic                  1936814952" in whole
    assert "log2 of block_size, 12 to 20" in whole
    assert whole.count("basic symlink") == 1
    with SquashfsImage(foreign) as image:
        number = (image / "d").inode.number
        assert whole.count("\n  number ") == image.superblock.inode_count
    assert printed(foreign, "d") == printed(foreign, "/d") == printed(foreign, str(number))
    assert printed(foreign, "/d").count(": entry (") == 300
    assert printed(foreign, "/d").count(": directory index (") > 2


def test_what_is_not_there_is_our_error() -> None:
    with SquashfsImage(io.BytesIO(own_image())) as image:
        with pytest.raises(PathNotFoundError):
            list(read_structures(image, "/nothing"))
        for number in ("0", "99999"):
            with pytest.raises(OptionError, match=f"inode {number} not found"):
                list(read_structures(image, number))


@pytest.mark.parametrize("exports", [False, True])
def test_each_inode_is_found_by_its_number(exports: bool) -> None:
    with SquashfsImage(io.BytesIO(own_image(exports=exports))) as image:
        heads = [one for one in read_structures(image, "inodes") if "metadata reference" in one.place]
        for head in heads:
            number = head.title.removeprefix("inode ").split(":")[0]
            assert next(read_structures(image, number)) == head


def test_every_structure_of_the_format_is_printed() -> None:
    """But the compressor options of others, and what is not printed as a structure of its own."""
    titles: set[str] = set()
    for raw in (own_image(), many_names(2000)):
        with SquashfsImage(io.BytesIO(raw)) as image:
            structures: list[Structure] = list(read_structures(image))
            titles |= {one.title.rpartition(": ")[2].rstrip("0123456789 ") for one in structures}
    missing = {name.lower().replace("_", " ") for name in CODECS if name.startswith(("BASIC", "EXTENDED"))} - titles
    assert not {name for name in missing if name.partition(" ")[2] not in ("device", "ipc")}
    assert titles >= {"fragment table", "export table", "id table", "xattr id table", "xattr set", "block list"}
    assert titles >= {"header", "entry", "directory index"}


def test_a_table_that_repeats_a_block_is_refused() -> None:
    """Or eight bytes of a location list would be 8 KiB of rows."""
    output = io.BytesIO()
    with SquashfsWriter(output, WriterOptions(compressor="none", block_size=4096, workers=1, exports=True)) as writer:
        for number in range(3000):
            writer.add_file(b"%d" % number, b"")
    forge = Forge(output.getvalue())
    with SquashfsImage(io.BytesIO(output.getvalue())) as image:
        assert image.exports is not None
        first = image.exports.location(0)
    forge.parts["exports"].locations = {1: first}
    with (
        SquashfsImage(io.BytesIO(forge.assemble())) as image,
        pytest.raises(CorruptImageError, match="block 1 starts at"),
    ):
        list(read_structures(image, "exports"))

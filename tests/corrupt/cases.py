"""One image, at least, for each rule of `pysquash.check` that breaks that rule and as far as possible no other.

A case starts from a good image, `prepare`s it (which keeps it good: another compressor, more rows), and breaks it. What
breaking one rule breaks as well is put right, unless the one cannot be without the other; then the text says so.
"""

from __future__ import annotations

import gzip
import lzma
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import lz4.block
import lzallright
import zstandard

from pysquash import SquashfsWriter
from pysquash.format import records
from pysquash.format.constants import HEADER_ENTRY_COUNT, METADATA_SIZE, CompressorId, InodeType, SuperblockFlag
from pysquash.format.words import DATA_RAW, XATTR_OUT_OF_LINE, data_word, metadata_ref, metadata_word
from pysquash.options.limits import Limits
from tests.corrupt.forge import (
    BLOCK_SIZE,
    AttributeSet,
    Chunk,
    Encoder,
    Forge,
    IndexRow,
    Inode,
    Record,
    Run,
    image_of,
    metadata_block,
)
from tests.snapshot import Seen, Tree

__all__ = ["BY_CHANCE", "CASES", "TOLERATED", "UNSTEADY", "Case"]

Prepare = Callable[[Forge], None]
Break = Callable[[Forge], bytes | None]


@dataclass(frozen=True)
class Case:
    """A broken image, and the good one that it was made of.

    Attributes:
        rule: The rule that it breaks.
        name: What tells it from the other cases of that rule.
        text: What is broken, and what breaks with it where that cannot be helped.
        base: Makes the good image.
        prepare: Changes that keep it good.
        breaks: The change that does not. May return the image's bytes itself.
        compares: Whether a reader that takes the image should show the good image's tree.
        expects: Makes the tree that a reader should show of the good image's.
    """

    rule: str
    name: str
    text: str
    base: Callable[[], bytes]
    prepare: Prepare
    breaks: Break
    compares: bool
    expects: Callable[[Tree], Tree]

    @property
    def id(self) -> str:
        return f"{self.rule}-{self.name}"

    def good(self) -> bytes:
        """Make the image that is as it should be."""
        forge = Forge(self.base())
        self.prepare(forge)
        return forge.assemble()

    def image(self) -> bytes:
        """Make the broken image."""
        forge = Forge(self.base())
        self.prepare(forge)
        image = self.breaks(forge)
        return forge.assemble() if image is None else image


CASES: list[Case] = []

TOLERATED = frozenset({"basic-file-holes", "sparse-size", "sparse-zero"})
"""Cases that other programs make of good input, so that a check may let them pass: mksquashfs 4.5 and tar2sqfs 1.2."""

UNSTEADY = frozenset({"data-size-over", "fragment-size-over"})
"""Cases for which unsquashfs 4.5.1 writes behind the end of a buffer: now it crashes, now it takes the image."""

BY_CHANCE = frozenset({"listing-end-entry-cut", "version-before"})
"""Cases whose verdicts depend on what happens to be stored behind the place, or in fields of another version."""


def _nothing(_: Forge) -> None:
    pass


def _same(tree: Tree) -> Tree:
    return tree


def case(
    rule: str,
    name: str,
    text: str,
    base: Callable[[], bytes],
    *,
    prepare: Prepare = _nothing,
    compares: bool = True,
    expects: Callable[[Tree], Tree] = _same,
) -> Callable[[Break], Break]:
    """Add the function below to the cases, as what breaks the rule."""

    def added(breaks: Break) -> Break:
        CASES.append(Case(rule, name, text, base, prepare, breaks, compares, expects))
        return breaks

    return added


# --- content and trees -----------------------------------------------------------------------------------------------


def noise(size: int, seed: int = 0) -> bytes:
    """Make bytes that no compressor makes shorter."""
    return random.Random(seed).randbytes(size)


def words(size: int, seed: int = 0) -> bytes:
    """Make bytes that every compressor makes shorter."""
    return (noise(64, seed) * (size // 64 + 1))[:size]


def tree_of(build: Callable[[SquashfsWriter], None], **options: Any) -> Callable[[], bytes]:
    return lambda: image_of(build, **options)


def _build_bare(writer: SquashfsWriter) -> None:
    writer.add_directory("d", mtime=1)
    writer.add_fifo("p", mode=0o600, uid=7, gid=8, mtime=2)
    writer.add_symlink("s", "target", mtime=3)


def _build_shared_two(writer: SquashfsWriter) -> None:
    value = words(100)
    writer.add_file("f", b"content", xattrs={"user.a": value})
    writer.add_file("g", b"other", xattrs={"user.a": value, "user.b": b"two"})


def _build_empty_extended(writer: SquashfsWriter) -> None:
    writer.add_directory("empty", xattrs={"user.a": b"1"})
    writer.add_file("f", b"content")


def _build_root(writer: SquashfsWriter) -> None:
    writer.add_directory("", mode=0o700)


def _build_files(writer: SquashfsWriter) -> None:
    writer.add_file("blocks", words(2 * BLOCK_SIZE, 1), mode=0o600)
    writer.add_file("other", words(BLOCK_SIZE, 2))
    writer.add_file("tail", words(100, 3))


def _build_data(writer: SquashfsWriter) -> None:
    writer.add_file("last", words(BLOCK_SIZE + 1000, 1))
    writer.add_file("one", words(BLOCK_SIZE, 2))


def _build_big(writer: SquashfsWriter) -> None:
    writer.add_file("f", words(40_000))
    writer.add_symlink("s", words(1000).hex())


def _build_short(writer: SquashfsWriter) -> None:
    writer.add_file("short", noise(100))


def _build_xattrs(writer: SquashfsWriter) -> None:
    writer.add_file("f", b"content", xattrs={"user.a": b"one", "user.b": b"two"})
    writer.add_file("g", b"other", xattrs={"trusted.c": b"a value too long to be repeated"})
    writer.add_file("h", b"third", xattrs={"security.d": b"a value too long to be repeated"})
    writer.add_file("i", b"fourth")


def _build_links(writer: SquashfsWriter) -> None:
    writer.add_file("a", b"linked")
    writer.add_hard_link("b", "a")
    writer.add_directory("d/e")
    writer.add_symlink("s", "target")


def _build_holes(writer: SquashfsWriter) -> None:
    writer.add_file("empty", bytes(2 * BLOCK_SIZE))
    writer.add_file("holes", words(BLOCK_SIZE, 1) + bytes(2 * BLOCK_SIZE) + words(BLOCK_SIZE, 2))
    writer.add_file("xattrs", words(2 * BLOCK_SIZE, 3), xattrs={"user.a": b"one"})


def _build_directories(writer: SquashfsWriter) -> None:
    writer.add_fifo("a/x")
    writer.add_fifo("b/y")
    writer.add_directory("empty")
    writer.add_fifo("p")
    writer.add_fifo("q")
    writer.add_file("z", b"content", xattrs={"user.a": b"one"})


def _build_targets(writer: SquashfsWriter) -> None:
    for name in "abc":
        writer.add_symlink(name, name * 2500)


def _fifos(count: int, name_size: int, *files: str) -> Callable[[SquashfsWriter], None]:
    def build(writer: SquashfsWriter) -> None:
        for number in range(count):
            writer.add_fifo(f"many/{number:0{name_size}}")
        for file in files:
            writer.add_file(file, words(100))

    return build


BARE = tree_of(_build_bare)
BARE_NO_EXPORTS = tree_of(_build_bare, exports=False)
ROOT = tree_of(_build_root)
FILES = tree_of(_build_files)
FILES_NO_EXPORTS = tree_of(_build_files, exports=False)
DATA = tree_of(_build_data, fragments=False)
BIG_BLOCKS = tree_of(_build_big, block_size=16384, fragments=False)
SHORT = tree_of(_build_short, fragments=False)
XATTRS = tree_of(_build_xattrs)
SHARED_TWO = tree_of(_build_shared_two)
LINKS = tree_of(_build_links)
LINKS_NO_EXPORTS = tree_of(_build_links, exports=False)
HOLES = tree_of(_build_holes)
DIRECTORIES = tree_of(_build_directories)
DIRECTORIES_NO_EXPORTS = tree_of(_build_directories, exports=False)
TARGETS = tree_of(_build_targets)
TARGETS_NO_EXPORTS = tree_of(_build_targets, exports=False)
MANY = tree_of(_fifos(2200, 4, "tail"), exports=False)
MORE = tree_of(_fifos(1500, 4), exports=False)
MORE_EXPORTS = tree_of(_fifos(1500, 4))
INDEXED = tree_of(_fifos(600, 60))
FULL_HEADER = tree_of(_fifos(HEADER_ENTRY_COUNT + 1, 4))


# --- compressors -----------------------------------------------------------------------------------------------------


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(content)


def zstd_streamed(content: bytes) -> bytes:
    """Compress as a stream whose size nobody knows in advance; the window is that of the level."""
    stream = zstandard.ZstdCompressor(level=3).compressobj()
    return stream.compress(content) + stream.flush()


def xz(content: bytes, check: int = lzma.CHECK_CRC32, dictionary: int = 8192) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary}]
    return lzma.compress(content, format=lzma.FORMAT_XZ, check=check, filters=filters)


def lz4_block(content: bytes) -> bytes:
    return bytes(lz4.block.compress(content, store_size=False))


def lzo(content: bytes) -> bytes:
    return bytes(lzallright.LZOCompressor().compress(content))


def with_gzip(forge: Forge) -> None:
    forge.set_compressor(CompressorId.GZIP, zlib.compress)


def with_zstd(forge: Forge) -> None:
    forge.set_compressor(CompressorId.ZSTD, zstd)


def with_xz(forge: Forge) -> None:
    forge.set_compressor(CompressorId.XZ, xz)


def with_xz_options(forge: Forge) -> None:
    # The smallest dictionary there is, because Linux goes by the options: a stream may not have more than they say.
    forge.set_compressor(
        CompressorId.XZ, lambda content: xz(content, dictionary=4096), records.XZ_OPTIONS.pack(16384, 0)
    )


def with_lz4(forge: Forge) -> None:
    forge.set_compressor(CompressorId.LZ4, lz4_block, records.LZ4_OPTIONS.pack(1, 0))


def with_lzo(forge: Forge) -> None:
    forge.set_compressor(CompressorId.LZO, lzo)


def raw_deflate(content: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()


def stored_zlib(content: bytes) -> bytes:
    """Make a zlib stream that is longer than what it holds."""
    return zlib.compress(content, 0)


# --- what keeps an image good ----------------------------------------------------------------------------------------


def with_full_inode_block(forge: Forge) -> None:
    """Make targets longer or shorter until the inode table is one whole block."""
    missing = METADATA_SIZE - sum(len(inode.pack()) for inode in forge.inodes)
    inode = forge.find_inode(b"a")
    inode.target = (inode.target + b"a" * max(0, missing))[: len(inode.target) + missing]


def with_full_listing_block(forge: Forge) -> None:
    """Fill the directory table's last block with bytes that belong to no listing.

    So a reader that does not know where the table ends, because the next one is broken, sees no short block in it.
    """
    forge.listings[-1].pad = bytes(-sum(len(listing.pack()) for listing in forge.listings) % METADATA_SIZE)


def add_fragment(forge: Forge, content: bytes) -> tuple[Record, Chunk]:
    """Add a fragment block that no file uses."""
    chunk = Chunk(content)
    forge.chunks.append(chunk)
    row = Record(records.FRAGMENT_ENTRY, records.FragmentEntry(0, 0, 0))
    forge.fragments.append((row, chunk))
    return row, chunk


# --- superblock ------------------------------------------------------------------------------------------------------


@case("version", "minor", "version 4.1", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(version_minor=1)


@case("version", "before", "version 3.0", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(version_major=3)


@case("version", "after", "version 5.0", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(version_major=5)


@case("compressor", "none", "compressor 0; nothing in the image is compressed", FILES)
def _(forge: Forge) -> None:
    forge.superblock.set(compressor=0)


@case("compressor", "unknown", "compressor 7; nothing in the image is compressed", FILES)
def _(forge: Forge) -> None:
    forge.superblock.set(compressor=7)


@case("compressor", "lzma", "compressor 2, lzma, which Linux has not; the blocks are right", FILES)
def _(forge: Forge) -> None:
    forge.set_compressor(CompressorId.LZMA, lzma_alone)


def lzma_alone(content: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": BLOCK_SIZE}]
    packed = lzma.compress(content, format=lzma.FORMAT_ALONE, filters=filters)
    return packed[:5] + len(content).to_bytes(8, "little") + packed[13:]  # the size is known, and its field says so


@case("block-size", "log", "block_size is 4096, block_log 13", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(block_log=13)


@case("block-size", "small", "block_size is 2048", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(block_size=2048, block_log=11)


@case("block-size", "large", "block_size is 2 MiB", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(block_size=2 << 20, block_log=21)


@case("block-size", "no-power", "block_size is 6144", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(block_size=6144)


@case("bytes-used", "cut", "the file ends at byte 4096, in the data; all tables are cut off", FILES)
def _(forge: Forge) -> bytes:
    return forge.assemble()[:4096]


@case("check-flag", "set", "flag 0x4, which unsquashfs takes for a byte more in front of each metadata block", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(flags=forge.superblock["flags"] | 4)


@case("padding", "none", "the file ends with bytes_used", BARE)
def _(forge: Forge) -> None:
    forge.pads = False


@case("padding", "sectors", "the file ends at the next multiple of 512", BARE)
def _(forge: Forge) -> bytes:
    image = forge.assemble()
    return image[: -(-forge.layout["end"] // 512) * 512]


@case("table-order", "swapped", "the directory table is in front of the inode table", BARE)
def _(forge: Forge) -> None:
    forge.order = ["listings", "inodes", *forge.order[2:]]


@case(
    "table-order",
    "directories-last",
    "the directory table is between the id table's block and its list",
    TARGETS_NO_EXPORTS,
    prepare=with_full_inode_block,
)
def _(forge: Forge) -> None:
    image, layout = forge.assemble(), forge.layout
    forge.parts["ids"].before_list = image[layout["listings"] : layout["ids"]]
    forge.order.remove("listings")
    forge.assemble()
    forge.superblock.set(directory_table_start=forge.layout["ids.list"] - len(forge.parts["ids"].before_list))


@case("id-count", "zero", "id_count is 0 and there is no id table; so no inode's owners can be found", BARE_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.ids = []


@case("id-count-plausible", "three", "three ids for one inode", ROOT)
def _(forge: Forge) -> None:
    forge.add_ids(3)


@case("fragment-count", "five", "five fragment blocks for four inodes", FILES)
def _(forge: Forge) -> None:
    for number in range(4):
        add_fragment(forge, words(50, 10 + number))


@case("inode-count", "above", "inode_count is one more than there are inodes", BARE_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.superblock.set(inode_count=len(forge.inodes) + 1)


@case("inode-count", "above-number", "inode_count is the highest number, but one number is left out", BARE_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.superblock.set(inode_count=len(forge.inodes) + 1)
    forge.inode(b"s", number=len(forge.inodes) + 1)


@case(
    "inode-count", "below", "inode_count is one less than there are inodes; so one number is above it", BARE_NO_EXPORTS
)
def _(forge: Forge) -> None:
    forge.superblock.set(inode_count=len(forge.inodes) - 1)
    forge.inode(b"", parent_number=len(forge.inodes) + 1)  # no inode's


@case("root", "fifo", "root_ref leads to a fifo; so nothing else can be found", BARE)
def _(forge: Forge) -> None:
    forge.assemble()
    forge.superblock.set(root_ref=forge.inode_ref(b"p"))


# --- compressor options ----------------------------------------------------------------------------------------------


@case("compressor-options", "no-block", "the flag is set, at byte 96 is the inode table", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(flags=forge.superblock["flags"] | SuperblockFlag.COMPRESSOR_OPTIONS)


@case("compressor-options", "no-flag", "options are at byte 96, the flag is not set", BARE)
def _(forge: Forge) -> None:
    forge.options = metadata_block(records.GZIP_OPTIONS.pack(9, 15, 0))


@case("compressor-options", "size", "the options block of gzip has 4 bytes", BARE)
def _(forge: Forge) -> None:
    forge.set_compressor(CompressorId.GZIP, zlib.compress, records.ZSTD_OPTIONS.pack(9))


@case("compressor-options", "not-raw", "the options block's header lacks the bit for uncompressed", BARE)
def _(forge: Forge) -> None:
    forge.set_compressor(CompressorId.GZIP, zlib.compress, records.GZIP_OPTIONS.pack(9, 15, 0))
    word = metadata_word(records.GZIP_OPTIONS.size, raw=False)
    forge.options = records.METADATA_HEADER.pack(word) + forge.options[2:]


@case("lz4-options", "none", "an lz4 image without options", FILES, prepare=with_lz4)
def _(forge: Forge) -> None:
    forge.options = b""
    forge.superblock.set(flags=forge.superblock["flags"] & ~SuperblockFlag.COMPRESSOR_OPTIONS)


@case("lz4-options", "version", "the options say version 2", FILES, prepare=with_lz4)
def _(forge: Forge) -> None:
    forge.options = metadata_block(records.LZ4_OPTIONS.pack(2, 0))


def _xz_dictionary(name: str, text: str, size: int) -> None:
    @case("xz-dictionary-options", name, text, BIG_BLOCKS, prepare=with_xz_options)
    def _(forge: Forge) -> None:
        forge.options = metadata_block(records.XZ_OPTIONS.pack(size, 0))


_xz_dictionary("no-power", "the dictionary is 12000 bytes", 12000)
_xz_dictionary("above", "the dictionary is 32768 bytes, a block 16384", 32768)
_xz_dictionary("below", "the dictionary is 4096 bytes", 4096)
_xz_dictionary("zero", "the dictionary is 0 bytes", 0)


# --- tables found by location lists ----------------------------------------------------------------------------------


@case("xattr-table-end", "gap", "eight bytes between the xattr id table's list and bytes_used", XATTRS)
def _(forge: Forge) -> None:
    forge.parts["xattr_ids"].after = bytes(8)


@case("xattr-id-count", "zero", "an xattr table without rows", BARE)
def _(forge: Forge) -> None:
    forge.has_xattr_table = True


@case("xattr-table-start", "no-keys", "the keys start where the first xattr id block does; its only set is empty", BARE)
def _(forge: Forge) -> None:
    forge.attribute_sets.append(AttributeSet(Record(records.XATTR_ID, records.XattrId(0, 0, 0)), []))


@case("id-table-end", "end", "eight bytes between the id table's list and bytes_used", BARE)
def _(forge: Forge) -> None:
    forge.parts["ids"].after = bytes(8)


@case("id-table-end", "xattrs", "eight bytes between the id table's list and the xattr keys", XATTRS)
def _(forge: Forge) -> None:
    forge.parts["ids"].after = bytes(8)


@case("export-table-end", "gap", "eight bytes between the export table's list and the first id block", BARE)
def _(forge: Forge) -> None:
    forge.parts["exports"].after = bytes(8)


@case("fragment-table-end", "gap-exports", "eight bytes between the fragment table's list and the export table", FILES)
def _(forge: Forge) -> None:
    forge.parts["fragments"].after = bytes(8)


@case(
    "fragment-table-end", "gap-ids", "eight bytes between the fragment table's list and the id table", FILES_NO_EXPORTS
)
def _(forge: Forge) -> None:
    forge.parts["fragments"].after = bytes(8)


@case("fragment-table-end", "overlap", "the fragment table's list is two rows of the id table", FILES_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.assemble()
    # Two u32 ids read as one u64 location.
    forge.ids += [forge.layout["fragments"], 0]
    list_start = forge.layout["ids"] + records.METADATA_HEADER.size + records.ID.size * (len(forge.ids) - 2)
    forge.superblock.set(fragment_table_start=list_start)


def with_three_id_blocks(forge: Forge) -> None:
    forge.add_ids(4200)


def with_three_fragment_blocks(forge: Forge) -> None:
    with_full_listing_block(forge)
    for number in range(1100):
        add_fragment(forge, noise(2, number))


@case(
    "location-order",
    "ids-swapped",
    "the id table's third block is in front of its second",
    MANY,
    prepare=with_three_id_blocks,
)
def _(forge: Forge) -> None:
    forge.parts["ids"].order = [0, 2, 1]


@case("location-order", "ids-apart", "8195 bytes from one id block to the next", MANY, prepare=with_three_id_blocks)
def _(forge: Forge) -> None:
    forge.parts["ids"].before[1] = bytes(1)


@case("location-order", "ids-far", "the id table's only block is 8195 bytes before its list", BARE)
def _(forge: Forge) -> None:
    block_size = records.METADATA_HEADER.size + records.ID.size * len(forge.ids)
    forge.parts["ids"].before_list = bytes(METADATA_SIZE + 3 - block_size)


@case("location-order", "exports-far", "the export table's only block is 8195 bytes before its list", FILES)
def _(forge: Forge) -> None:
    block_size = records.METADATA_HEADER.size + records.EXPORT_REF.size * len(forge.inodes)
    forge.parts["exports"].before_list = bytes(METADATA_SIZE + 3 - block_size)


@case(
    "location-order",
    "fragments-far",
    "the fragment table's only block is 8195 bytes before its list",
    FILES,
    prepare=with_full_listing_block,
)
def _(forge: Forge) -> None:
    block_size = records.METADATA_HEADER.size + records.FRAGMENT_ENTRY.size
    forge.parts["fragments"].before_list = bytes(METADATA_SIZE + 3 - block_size)


@case(
    "location-order",
    "fragments-behind",
    "the fragment table's block is behind its list",
    FILES_NO_EXPORTS,
    prepare=with_full_listing_block,
)
def _(forge: Forge) -> None:
    image, layout = forge.assemble(), forge.layout
    forge.parts["ids"].before_list = image[layout["fragments"] : layout["fragments.list"]]
    forge.assemble()
    block_start = forge.layout["ids.list"] - len(forge.parts["ids"].before_list)
    forge.parts["fragments"].locations[0] = block_start


@case(
    "location-order",
    "fragments-swapped",
    "the fragment table's third block is in front of its second",
    MANY,
    prepare=with_three_fragment_blocks,
)
def _(forge: Forge) -> None:
    forge.parts["fragments"].order = [0, 2, 1]


@case("location-order", "xattrs-far", "the xattr id table's only block is 8195 bytes before its list", XATTRS)
def _(forge: Forge) -> None:
    # Between them is the table's header.
    block_size = records.METADATA_HEADER.size + records.XATTR_ID.size * len(forge.attribute_sets)
    forge.parts["xattr_ids"].before_list = bytes(METADATA_SIZE + 3 - block_size)


def with_late_id(forge: Forge) -> None:
    forge.add_ids(3000)
    forge.inode(b"many/0000", uid_index=2900)


@case(
    "table-block-size",
    "ids",
    "the id table's first block holds 4096 bytes, its second 7904",
    MORE,
    prepare=with_late_id,
)
def _(forge: Forge) -> None:
    forge.parts["ids"].sizes = [4096]


@case("table-block-size", "exports", "the export table's first block holds 4096 bytes", MORE_EXPORTS)
def _(forge: Forge) -> None:
    forge.parts["exports"].sizes = [4096]


@case("export-ref", "swapped", "two rows of the export table are swapped", BARE)
def _(forge: Forge) -> None:
    forge.assemble()
    one, two = (forge.inode_ref(path) for path in (b"d", b"s"))
    numbers = [forge.find_inode(path).header["number"] for path in (b"d", b"s")]
    forge.export_rows = {numbers[0] - 1: two, numbers[1] - 1: one}


@case("export-ref", "nowhere", "a row of the export table is no inode's reference", BARE)
def _(forge: Forge) -> None:
    forge.export_rows[0] = metadata_ref(0, 1)


@case("unused", "fragment-row", "the unused word of a fragment row is 1", FILES)
def _(forge: Forge) -> None:
    forge.fragments[0][0].set(unused=1)


@case("unused", "flags", "flags that nobody knows are set", BARE)
def _(forge: Forge) -> None:
    forge.superblock.set(flags=forge.superblock["flags"] | 0x9000)


@case("unused", "root-ref", "bits 48 and 63 of root_ref are set", BARE)
def _(forge: Forge) -> None:
    forge.assemble()
    forge.superblock.set(root_ref=forge.superblock["root_ref"] | 1 << 48 | 1 << 63)


@case("unused", "set-ref", "bit 50 of the reference of a set of attributes is set", XATTRS)
def _(forge: Forge) -> None:
    forge.assemble()
    row = forge.attribute_sets[0].row
    row.set(ref=row["ref"] | 1 << 50)


@case("unused", "xattr-header", "the unused word of the xattr table's header is 1", XATTRS)
def _(forge: Forge) -> None:
    forge.xattr_header.set(unused=1)


# --- metadata blocks -------------------------------------------------------------------------------------------------


@case(
    "metadata-size",
    "zero",
    "a block of 0 bytes behind the full block of the inode table",
    TARGETS,
    prepare=with_full_inode_block,
)
def _(forge: Forge) -> None:
    forge.parts["inodes"].sizes = [METADATA_SIZE, 0]


def with_long_targets(forge: Forge) -> None:
    for name in (b"a", b"b", b"c"):
        forge.find_inode(name).target = name * 3000


@case(
    "metadata-size",
    "over",
    "the inode table is one raw block of more than 8192 bytes",
    TARGETS,
    prepare=with_long_targets,
)
def _(forge: Forge) -> None:
    forge.parts["inodes"].sizes = [sum(len(inode.pack()) for inode in forge.inodes)]


@case("metadata-end", "inodes-byte", "a stray byte behind the inode table", FILES)
def _(forge: Forge) -> None:
    forge.parts["inodes"].before_list = b"\0"


@case("metadata-end", "listings-byte", "a stray byte behind the directory table", FILES)
def _(forge: Forge) -> None:
    forge.parts["listings"].before_list = b"\0"


@case("metadata-end", "xattrs-byte", "a stray byte behind the xattr keys and values", XATTRS)
def _(forge: Forge) -> None:
    forge.parts["xattrs"].before_list = b"\0"


_CUT_BLOCK = records.METADATA_HEADER.pack(metadata_word(100, raw=True)) + bytes(8)


@case(
    "metadata-end",
    "inodes-cut-block",
    "behind a full inode block one that says 100 bytes and has 8",
    TARGETS,
    prepare=with_full_inode_block,
)
def _(forge: Forge) -> None:
    forge.parts["inodes"].before_list = _CUT_BLOCK


@case("metadata-end", "inodes-over", "the inode table's last block reaches into the directory table", FILES)
def _(forge: Forge) -> None:
    size = sum(len(inode.pack()) for inode in forge.inodes)
    forge.parts["inodes"].words[0] = metadata_word(size + 10, raw=True)


@case("metadata-end", "inodes-far", "the inode table's only block says that it reaches past the image", FILES)
def _(forge: Forge) -> None:
    forge.parts["inodes"].words[0] = metadata_word(3800, raw=True)


@case("metadata-end", "listings-over", "the directory table's last block reaches into the fragment table", FILES)
def _(forge: Forge) -> None:
    size = sum(len(listing.pack()) for listing in forge.listings)
    forge.parts["listings"].words[0] = metadata_word(size + 10, raw=True)


@case("metadata-full", "inodes", "the inode table's first block ends in front of the last inode", FILES)
def _(forge: Forge) -> None:
    # Not inside a run: its header names one block for all its inodes.
    forge.parts["inodes"].sizes = [sum(len(inode.pack()) for inode in forge.inodes[:-1])]


@case("metadata-full", "listings", "the directory table's first block has 20 bytes", FILES)
def _(forge: Forge) -> None:
    forge.parts["listings"].sizes = [20]


@case("metadata-full", "xattrs", "the first block of xattr keys and values has 5 bytes", XATTRS)
def _(forge: Forge) -> None:
    forge.parts["xattrs"].sizes = [5]


@case(
    "stored-size",
    "listings",
    "the directory table's compressed block is longer than what it holds",
    FILES,
    prepare=with_gzip,
)
def _(forge: Forge) -> None:
    forge.parts["listings"].encoders[0] = stored_zlib


@case("stored-size", "data", "a file's last, compressed block is longer than what it holds", SHORT, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.chunks[0].encode = stored_zlib


def _incompressible_by_a_hair(size: int) -> bytes:
    """Find content whose zlib stream is exactly as long."""
    for repeated in range(size):
        content = noise(size - repeated) + bytes(repeated)
        if len(zlib.compress(content)) == size:
            return content
    raise AssertionError


def with_even_block(forge: Forge) -> None:
    with_gzip(forge)
    forge.chunks[0].content = _incompressible_by_a_hair(len(forge.chunks[0].content))


@case(
    "stored-size",
    "same",
    "a compressed block is exactly as long as what it holds",
    DATA,
    prepare=with_even_block,
)
def _(forge: Forge) -> None:
    forge.chunks[0].encode = zlib.compress


def _undecodable(name: str, text: str, encode: Encoder, prepare: Prepare = with_gzip) -> None:
    @case("decompression", f"data-{name}", f"a data block is {text}", DATA, prepare=prepare)
    def _(forge: Forge) -> None:
        forge.chunks[0].encode = encode

    @case("decompression", f"xattrs-{name}", f"the block of xattr keys is {text}", XATTRS, prepare=prepare)
    def _(forge: Forge) -> None:
        forge.parts["xattrs"].encoders[0] = encode


_undecodable("garbage", "noise", lambda _: noise(60))
_undecodable("raw-deflate", "raw deflate without the zlib wrapper", raw_deflate)
_undecodable("gzip", "in gzip's framing", lambda content: gzip.compress(content, mtime=0))
_undecodable("cut", "a zlib stream without its last 10 bytes", lambda content: zlib.compress(content)[:-10])
_undecodable(
    "checksum",
    "a zlib stream with a wrong checksum",
    lambda content: zlib.compress(content)[:-1] + bytes([zlib.compress(content)[-1] ^ 1]),
)
_undecodable("zstd", "no zstd frame", lambda _: noise(60), with_zstd)
_undecodable("xz", "no xz stream", lambda _: noise(60), with_xz)
_undecodable("lz4", "an lz4 block that is cut short", lambda content: lz4_block(content)[:-10], with_lz4)
_undecodable("lzo", "an lzo block that is cut short", lambda content: lzo(content)[:-10], with_lzo)


@case("data-length", "long", "a file's first block decompresses to 5000 bytes", DATA, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.chunks[0].content = words(5000, 1)


@case(
    "decompression",
    "inodes-gzip",
    "the inode table is in gzip's framing; nothing can be read",
    FILES,
    prepare=with_gzip,
)
def _(forge: Forge) -> None:
    forge.parts["inodes"].encoders[0] = lambda content: gzip.compress(content, mtime=0)


@case("decompression", "fragment-raw-deflate", "a fragment block is raw deflate", FILES, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.fragments[0][1].encode = raw_deflate


@case("metadata-ref", "xattr-offset", "a set's reference is behind the end of its block", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].row.set(ref=metadata_ref(0, 8000))


@case("metadata-ref", "xattr-block", "a set's reference is not to the start of a block", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].row.set(ref=metadata_ref(3, 0))


@case("xattr-out-of-line", "nowhere", "the reference of an out-of-line value is behind the end of its block", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[2].attributes[0].ref.set(value=metadata_ref(0, 8000))


@case("metadata-ref", "listing", "a directory's listing is not at the start of a block", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"a", listing_block_start=7)


@case("metadata-ref", "entry", "a further name's reference is behind the end of its block", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.add_entry(b"", b"zz", forge.find_inode(b"q")).record.set(inode_offset=8000)
    forge.inode(b"q", nlink=1)


def _last(forge: Forge, path: bytes) -> Inode:
    """Make an inode the table's last."""
    inode = forge.find_inode(path)
    forge.inodes.remove(inode)
    forge.inodes.append(inode)
    return inode


@case("record", "target", "the target of the table's last inode goes on where the table has ended", BARE)
def _(forge: Forge) -> None:
    _last(forge, b"s").set(target_size=500)


@case("record", "xattr", "the last attribute's value goes on where the table has ended", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets.pop()
    forge.inode(b"h", xattr_index=0)
    last = forge.attribute_sets[-1]
    missing = 1000 - len(last.attributes[-1].value)
    last.attributes[-1].size.set(value=1000)
    last.row.set(size=sum(each.full_size for each in last.attributes) + missing)


# --- zstd and xz streams ---------------------------------------------------------------------------------------------


def _streams(
    rule: str, name: str, text: str, encode: Encoder, prepare: Prepare, base: Callable[[], bytes] = DATA
) -> None:
    @case(rule, f"data-{name}", f"a data block is {text}", base, prepare=prepare)
    def _(forge: Forge) -> None:
        forge.chunks[0].encode = encode

    @case(rule, f"inodes-{name}", f"the inode table is {text}", base, prepare=prepare)
    def _(forge: Forge) -> None:
        forge.parts["inodes"].encoders[0] = encode


_streams("zstd-window", "stream", "a streamed zstd frame with a window of 2 MiB", zstd_streamed, with_zstd)
_streams("zstd-trailing", "zeros", "a zstd frame and four zeros", lambda content: zstd(content) + bytes(4), with_zstd)
_streams(
    "zstd-trailing", "frame", "a zstd frame and an empty one", lambda content: zstd(content) + zstd(b""), with_zstd
)
_streams(
    "xz-check", "crc64", "an xz stream with CRC64", lambda content: xz(content, lzma.CHECK_CRC64), with_xz, BIG_BLOCKS
)
_streams(
    "xz-check",
    "sha256",
    "an xz stream with SHA-256",
    lambda content: xz(content, lzma.CHECK_SHA256),
    with_xz,
    BIG_BLOCKS,
)
_streams(
    "xz-dictionary",
    "large",
    "an xz stream with a dictionary of 1 MiB",
    lambda content: xz(content, dictionary=1 << 20),
    with_xz,
    BIG_BLOCKS,
)


@case(
    "xz-dictionary",
    "data-options",
    "a data block has a dictionary as large as a block, the options say half of it",
    BIG_BLOCKS,
    prepare=with_xz_options,
)
def _(forge: Forge) -> None:
    forge.options = metadata_block(records.XZ_OPTIONS.pack(8192, 0))
    forge.chunks[0].encode = lambda content: xz(content, dictionary=16384)


# --- inodes ----------------------------------------------------------------------------------------------------------


def _inode_type(number: int) -> None:
    @case("inode-type", str(number), f"an inode has type {number}; it is the table's last", DIRECTORIES)
    def _(forge: Forge) -> None:
        _last(forge, b"q").set(type=number)  # because nobody knows where it ends
        forge.entry(b"q", type=InodeType.BASIC_FIFO)


_inode_type(0)
_inode_type(15)


def _inode_mode(name: str, path: bytes, mode: int, text: str) -> None:
    @case("inode-mode", name, text, LINKS)
    def _(forge: Forge) -> None:
        forge.inode(path, mode=mode)


_inode_mode("file", b"a", 0o100644, "a file's mode is 0o100644")
_inode_mode("directory", b"d/e", 0o040755, "a directory's mode is 0o040755")
_inode_mode("symlink", b"s", 0o120777, "a symlink's mode is 0o120777")
_inode_mode("root", b"", 0o040755, "the root's mode is 0o040755")
_inode_mode("high-bit", b"a", 0o010644, "a file's mode is 0o010644, which is a fifo's")


@case("inode-number", "zero", "an inode has number 0", DIRECTORIES_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.inode(b"q", number=0)


@case("inode-number", "above", "an inode's number is above inode_count", DIRECTORIES_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.inode(b"q", number=len(forge.inodes) + 5)


@case("inode-number-unique", "fifo", "two inodes have one number, and their entries say so", LINKS_NO_EXPORTS)
def _(forge: Forge) -> None:
    forge.inode(b"s", number=forge.find_inode(b"a").header["number"])


def _build_overlap(writer: SquashfsWriter) -> None:
    writer.add_file("a", b"content", xattrs={"user.a": b"one"})
    writer.add_device("d", "character", 0, 0, mtime=InodeType.BASIC_FIFO | 0o644 << 16, xattrs={"trusted.d": b"two"})
    writer.add_fifo("p", mode=0o644, mtime=1)


def with_twins(forge: Forge) -> None:
    """Make the last 20 bytes of a device's inode, from its mtime on, the same as a fifo's."""
    device, fifo = forge.find_inode(b"d"), forge.find_inode(b"p")
    forge.add_ids(device.header["number"] + 1)
    fifo.set(uid_index=device.header["number"])
    device.set(device_number=fifo.header["number"])
    assert device.pack()[8:] == fifo.pack()


@case(
    "inode-overlap",
    "fifo",
    "a fifo's inode is the last 20 bytes of a device's",
    tree_of(_build_overlap),
    prepare=with_twins,
)
def _(forge: Forge) -> None:
    fifo = forge.find_inode(b"p")
    forge.inodes.remove(fifo)
    forge.inside[fifo] = forge.find_inode(b"d"), 8


@case("id-index", "uid", "a uid's row is id_count", LINKS)
def _(forge: Forge) -> None:
    forge.inode(b"a", uid_index=len(forge.ids))


@case("id-index", "gid", "a gid's row is 65535", LINKS)
def _(forge: Forge) -> None:
    forge.inode(b"a", gid_index=0xFFFF)


@case("whole-blocks-fragment", "blocks", "a file of two whole blocks has a fragment", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"blocks", fragment_index=0)


def _build_empty(writer: SquashfsWriter) -> None:
    writer.add_file("empty", b"")
    writer.add_file("tail", b"content")


@case("whole-blocks-fragment", "empty", "an empty file has a fragment", tree_of(_build_empty))
def _(forge: Forge) -> None:
    forge.inode(b"empty", fragment_index=0)


@case("block-list", "basic", "a file's size asks for a million DATA_WORDs", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"other", size=0xFFFF_F000)


@case("block-list", "extended", "an extended file's size asks for 16 million DATA_WORDs", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"xattrs", size=1 << 36)


@case("sparse", "wrong", "`sparse` counts one of two holes", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"holes", sparse=BLOCK_SIZE)


@case("sparse", "size", "`sparse` is the size of a file that is all holes", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"empty", sparse=2 * BLOCK_SIZE)


@case("sparse", "zero", "`sparse` is 0 for a file with holes", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"holes", sparse=0)


@case("sparse", "above", "`sparse` is above the size", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"holes", sparse=1 << 40)


@case("sparse", "no-holes", "`sparse` is 4096, the file has no holes", HOLES)
def _(forge: Forge) -> None:
    forge.inode(b"xattrs", sparse=BLOCK_SIZE)


def make_basic(inode: Inode) -> None:
    """Exchange an extended file's inode for a basic one."""
    body = inode.body
    fields = [body[name] for name in records.BasicFile._fields]
    inode.header.set(type=InodeType.BASIC_FILE)
    inode.body = Record(records.BASIC_FILE, records.BasicFile(*fields))


@case("basic-file", "holes", "a file with holes has a basic inode", HOLES)
def _(forge: Forge) -> None:
    make_basic(forge.find_inode(b"holes"))


@case("basic-file", "names", "a file with two names has a basic inode", LINKS)
def _(forge: Forge) -> None:
    make_basic(forge.find_inode(b"a"))


def _nlink(name: str, path: bytes, count: int, text: str) -> None:
    @case("nlink", name, text, LINKS)
    def _(forge: Forge) -> None:
        forge.inode(path, nlink=count)


_nlink("file-above", b"a", 3, "a file with two names counts 3")
_nlink("file-below", b"a", 1, "a file with two names counts 1")
_nlink("file-zero", b"a", 0, "a file with two names counts 0")
_nlink("directory", b"d", 2, "a directory with one subdirectory counts 2")
_nlink("root", b"", 9, "the root counts 9")
_nlink("symlink", b"s", 2, "a symlink with one name counts 2")


def _target(name: str, text: str, target: bytes) -> None:
    def expects(tree: Tree) -> Tree:
        return {**tree, b"s": replace(tree[b"s"], content=repr(target))}

    @case("symlink-target", name, text, BARE, expects=expects)
    def _(forge: Forge) -> None:
        forge.find_inode(b"s").target = target


_target("empty", "a symlink's target is empty", b"")
_target("4096", "a symlink's target has 4096 bytes", b"t" * 4096)
_target("5000", "a symlink's target has 5000 bytes", b"t" * 5000)
_target("nul", "a symlink's target holds a NUL", b"tar\0get")


@case("directory-size", "zero", "an empty directory's listing_size is 0", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"empty", listing_size=0)


@case("directory-size", "two", "an empty directory's listing_size is 2", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"empty", listing_size=2)


@case("parent-number", "root", "the root's parent is the root", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"", parent_number=1)


@case("parent-number", "directory", "a directory's parent is its sister", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"empty", parent_number=forge.find_inode(b"a").header["number"])


@case("parent-number", "nowhere", "a directory's parent has a number that no inode has", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.inode(b"empty", parent_number=1000)


# --- directories -----------------------------------------------------------------------------------------------------


def _listing_size(rule: str, name: str, text: str, more: int, pad: bytes = b"") -> None:
    @case(rule, name, text, DIRECTORIES)
    def _(forge: Forge) -> None:
        listing = forge.find_listing(b"a")
        listing.pad = pad  # so that it does not reach into the next
        forge.inode(b"a", listing_size=len(listing.pack()) + 3 + more)


_HEADER = records.DIRECTORY_HEADER.pack(0, 0, 1)
_ENTRY = records.DIRECTORY_ENTRY.pack(0, 0, InodeType.BASIC_FIFO, 0)
_listing_size("listing", "one-more", "listing_size is one too many", 1, b"\0")
_listing_size("listing-end", "one-less", "listing_size is one too few", -1)
_listing_size("listing-end", "three-less", "listing_size lacks the 3", -3)
_listing_size("header-count", "none-follows", "listing_size ends behind a header", len(_HEADER), _HEADER)
_listing_size(
    "listing-end",
    "entry-cut",
    "listing_size ends behind an entry, in front of its name",
    len(_HEADER + _ENTRY),
    _HEADER + _ENTRY,
)


@case("listing", "beyond", "the table's last listing goes on where the table has ended", DIRECTORIES)
def _(forge: Forge) -> None:
    assert forge.listings[-1] is forge.root.listing
    forge.inode(b"", listing_size=len(forge.listings[-1].pack()) + 3 + 1000)


@case("listing-overlap", "next", "a directory's listing ends with that of the next", DIRECTORIES)
def _(forge: Forge) -> None:
    one, two = forge.find_listing(b"a"), forge.find_listing(b"b")
    for listing in (one, two):
        forge.listings.remove(listing)
    forge.listings[:0] = [one, two]
    forge.inode(b"a", listing_size=len(one.pack()) + len(two.pack()) + 3)
    forge.inode(b"b/y", nlink=2)


@case("header-count", "257", "a directory header covers 257 entries", FULL_HEADER)
def _(forge: Forge) -> None:
    runs = forge.find_listing(b"many").runs
    runs[:] = [Run(runs[0].header, [name for run in runs for name in run.names])]


@case("header-empty", "zero", "a directory header covers no entry", DIRECTORIES)
def _(forge: Forge) -> None:
    header = Record(records.DIRECTORY_HEADER, records.DirectoryHeader(0, 0, 1))
    header.set(last_index=0xFFFF_FFFF)
    forge.find_listing(b"a").runs.insert(0, Run(header, []))


def _name(rule: str, name: str, text: str, new: bytes) -> None:
    def expects(tree: Tree) -> Tree:
        seen: Seen = replace(tree[b"a/x"], links=(b"a/" + new,))
        return {path: each for path, each in tree.items() if path != b"a/x"} | {b"a/" + new: seen}

    @case(rule, name, text, DIRECTORIES, expects=expects)
    def _(forge: Forge) -> None:
        forge.entry(b"a/x", name=new)


_name("name-size", "256", "a name of 256 bytes", b"n" * 256)
_name("name-size", "300", "a name of 300 bytes", b"n" * 300)
_name("name-size", "8000", "a name of 8000 bytes", b"n" * 8000)
_name("name-characters", "slash", "a name with a slash", b"x/y")
_name("name-characters", "climbs", "a name that climbs", b"../x")
_name("name-characters", "nul", "a name with a NUL", b"x\0y")
_name("name-characters", "dot", "the name .", b".")
_name("name-characters", "dots", "the name ..", b"..")


@case("name-order", "swapped", "two names are swapped", DIRECTORIES)
def _(forge: Forge) -> None:
    (run,) = forge.find_listing(b"").runs
    at = [name.name for name in run.names].index(b"p")
    run.names[at : at + 2] = reversed(run.names[at : at + 2])


def _build_signed(writer: SquashfsWriter) -> None:
    writer.add_fifo("é")
    writer.add_fifo("e")


@case("name-order", "signed", "names are sorted by signed bytes", tree_of(_build_signed))
def _(forge: Forge) -> None:
    (run,) = forge.find_listing(b"").runs
    run.names.reverse()


@case("name-unique", "twice", "one name twice, for two inodes", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.entry(b"q", name=b"p")


def _entry_type(rule: str, name: str, path: bytes, number: int, text: str) -> None:
    @case(rule, name, text, DIRECTORIES)
    def _(forge: Forge) -> None:
        forge.entry(path, type=number)


_entry_type("entry-type", "extended", b"z", InodeType.EXTENDED_FILE, "an extended file's entry has type 9")
_entry_type("entry-type", "zero", b"p", 0, "a fifo's entry has type 0")
_entry_type("entry-type", "eight", b"empty", InodeType.EXTENDED_DIRECTORY, "a directory's entry has type 8")
_entry_type("entry-kind", "file-directory", b"empty", InodeType.BASIC_FILE, "the entry says file, it is a directory")
_entry_type("entry-kind", "directory-file", b"z", InodeType.BASIC_DIRECTORY, "the entry says directory, it is a file")
_entry_type("entry-kind", "symlink-file", b"z", InodeType.BASIC_SYMLINK, "the entry says symlink, it is a file")
_entry_type("entry-kind", "file-fifo", b"p", InodeType.BASIC_FILE, "the entry says file, it is a fifo")


@case("entry-number", "other", "an entry's number is above all inodes'", LINKS)
def _(forge: Forge) -> None:
    forge.entry(b"s", number_delta=100)


def _build_pair(writer: SquashfsWriter) -> None:
    writer.add_file("one", b"the first")
    writer.add_file("two", b"the second")


@case("entry-number", "collides", "an entry's number is that of another file", tree_of(_build_pair))
def _(forge: Forge) -> None:
    forge.assemble()
    forge.entry(b"two", number_delta=forge.find(b"one").record["number_delta"])


def index_of(forge: Forge) -> list[IndexRow]:
    index = forge.find_inode(b"many").index
    assert len(index) >= 2
    return index


@case("directory-index", "position", "an index row is not at a header", INDEXED)
def _(forge: Forge) -> None:
    forge.assemble()
    row = index_of(forge)[-1].record
    row.set(listing_position=row["listing_position"] + 68)


@case("directory-index", "block", "an index row names the block before its own", INDEXED)
def _(forge: Forge) -> None:
    forge.assemble()
    rows = index_of(forge)
    rows[-1].record.set(block_start=rows[-2].record["block_start"])


@case("directory-index", "name-before", "an index row's name is before the first at its place", INDEXED)
def _(forge: Forge) -> None:
    row = index_of(forge)[-1]
    row.name = row.name[:-3] + b"%03d" % (int(row.name[-3:]) - 20)


@case("directory-index", "name-behind", "an index row's name is behind the first at its place", INDEXED)
def _(forge: Forge) -> None:
    row = index_of(forge)[-1]
    row.name = row.name[:-3] + b"%03d" % (int(row.name[-3:]) + 20)


@case("directory-index", "order", "two index rows are swapped", INDEXED)
def _(forge: Forge) -> None:
    rows = index_of(forge)
    rows[-2:] = reversed(rows[-2:])


@case("directory-index", "beyond", "an index row is behind the listing's end", INDEXED)
def _(forge: Forge) -> None:
    index_of(forge)[-1].record.set(listing_position=1 << 20)


@case("directory-once", "names", "an empty directory has two names in one directory", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.add_entry(b"", b"zz", forge.find_inode(b"empty"))


@case("directory-once", "parents", "an empty directory has names in two directories, and one parent", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.add_entry(b"a", b"zz", forge.find_inode(b"empty"))
    forge.inode(b"empty", parent_number=forge.root.header["number"])


@case("directory-once", "loop", "a directory is in itself", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.add_entry(b"a", b"zz", forge.find_inode(b"a"))
    forge.inode(b"a", parent_number=forge.root.header["number"])


@case("directory-once", "root", "the root is in itself", DIRECTORIES)
def _(forge: Forge) -> None:
    forge.add_entry(b"", b"zz", forge.root)
    forge.inode(b"", parent_number=len(forge.inodes) + 1)


def _build_deep(writer: SquashfsWriter) -> None:
    writer.add_directory("d/" * 4096 + "d")


@case("depth", "4097", "4097 directories are inside each other", ROOT, compares=False)
def _(_: Forge) -> bytes:
    return image_of(_build_deep, exports=False, limits=Limits(depth=5000, path_size=10_000))


# --- data ------------------------------------------------------------------------------------------------------------


@case("data-range", "end", "a file's block is behind the image's end", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"other", blocks_start=1 << 20)


@case("data-range", "superblock", "a file's block begins with the superblock", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"other", blocks_start=0)


def _build_range(writer: SquashfsWriter) -> None:
    _fifos(600, 4)(writer)
    writer.add_file("block", words(BLOCK_SIZE))
    writer.add_file("tail", words(100, 1))


RANGE = tree_of(_build_range)


@case("data-range", "inodes", "a file's block is part of the inode table", RANGE)
def _(forge: Forge) -> None:
    forge.assemble()
    forge.inode(b"block", blocks_start=forge.layout["inodes"] + 10)


@case("data-range", "fragment", "a fragment block is part of the inode table", RANGE)
def _(forge: Forge) -> None:
    forge.assemble()
    forge.fragments[0][0].set(start=forge.layout["inodes"] + 10)


@case("data-range", "fragment-end", "a fragment block is behind the image's end", RANGE)
def _(forge: Forge) -> None:
    forge.fragments[0][0].set(start=1 << 40)


@case("data-size", "high-bits", "a DATA_WORD has bit 25 set", FILES)
def _(forge: Forge) -> None:
    forge.chunks[0].word = data_word(BLOCK_SIZE, raw=True) | DATA_RAW << 1


@case("data-size", "over", "a raw block has 5000 bytes, of 4096; so it holds too many", DATA)
def _(forge: Forge) -> None:
    forge.chunks[-1].content += noise(5000 - BLOCK_SIZE)


@case("data-length", "short-raw", "a file's first, raw block has 3000 bytes", DATA)
def _(forge: Forge) -> None:
    forge.chunks[0].content = forge.chunks[0].content[:3000]


@case("data-length", "short", "a file's first block decompresses to 3000 bytes", DATA, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.chunks[0].content = forge.chunks[0].content[:3000]


@case("data-length", "last-short-raw", "a file's last, raw block has 500 bytes, of 1000", DATA)
def _(forge: Forge) -> None:
    forge.chunks[1].content = forge.chunks[1].content[:500]


@case("data-length", "last-short", "a file's last block decompresses to 500 bytes, of 1000", DATA, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.chunks[1].content = forge.chunks[1].content[:500]


@case("data-length", "last-long-raw", "a file's last, raw block has 2000 bytes, of 1000", DATA)
def _(forge: Forge) -> None:
    forge.chunks[1].content += words(1000, 9)


@case("data-length", "last-long", "a file's last block decompresses to 2000 bytes, of 1000", DATA, prepare=with_gzip)
def _(forge: Forge) -> None:
    forge.chunks[1].content += words(1000, 9)


@case("data-overlap", "shifted", "a file's block begins inside another's", DATA, compares=False)
def _(forge: Forge) -> None:
    forge.assemble()
    forge.inode(b"one", blocks_start=forge.chunks[0].start + 100)


@case("fragment-size", "high-bits", "the fragment block of a file has bit 25 set in its size", FILES)
def _(forge: Forge) -> None:
    chunk = forge.fragments[0][1]
    chunk.word = data_word(len(chunk.content), raw=True) | DATA_RAW << 1


@case("fragment-size", "high-bits-unused", "a fragment block that no file uses has bit 25 set in its size", FILES)
def _(forge: Forge) -> None:
    _, chunk = add_fragment(forge, words(200, 8))
    chunk.word = data_word(200, raw=True) | DATA_RAW << 1


@case("fragment-size", "zero", "a fragment block that no file uses has size 0", FILES)
def _(forge: Forge) -> None:
    row, _ = add_fragment(forge, words(200, 8))
    row.set(size_word=0)


@case("fragment-size", "over", "a raw fragment block has 5000 bytes, of 4096", FILES)
def _(forge: Forge) -> None:
    forge.fragments[0][1].content += words(5000 - len(forge.fragments[0][1].content), 8)


@case("fragment-index", "count", "a file's fragment is the row fragment_count", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"tail", fragment_index=len(forge.fragments))


@case("fragment-range", "end", "a tail ends one byte behind its fragment block", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"tail", fragment_offset=1)


@case("fragment-range", "offset", "a tail begins behind its fragment block", FILES)
def _(forge: Forge) -> None:
    forge.inode(b"tail", fragment_offset=3000)


# --- xattrs ----------------------------------------------------------------------------------------------------------


@case("xattr-index", "count", "a file's attributes are the row id_count", XATTRS)
def _(forge: Forge) -> None:
    # A second name for what was said before: the set that this file had must not be left without a user.
    forge.inode(b"h", xattr_index=len(forge.attribute_sets))


@case("xattr-index", "no-table", "a file has attributes, the image has none", LINKS)
def _(forge: Forge) -> None:
    forge.inode(b"a", xattr_index=0)


@case("xattr-set-size", "above", "a set's size is one too many", XATTRS)
def _(forge: Forge) -> None:
    forge.assemble()
    row = forge.attribute_sets[0].row
    row.set(size=row["size"] + 1)


@case("xattr-count", "none", "a set says that it has no attributes", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].row.set(xattr_count=0)


@case("xattr-count", "many", "a set says that it has 65537 attributes", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].row.set(xattr_count=65537)


@case("directory-index", "empty", "an empty directory has an index of one row", tree_of(_build_empty_extended))
def _(forge: Forge) -> None:
    forge.inode(b"empty", index_count=1)


@case("xattr-set-size", "zero", "a set's size is 0", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].row.set(size=0)


def _build_shared(writer: SquashfsWriter) -> None:
    writer.add_file("f", b"content", xattrs={"user.a": b"one", "user.b": b"two"})
    writer.add_file("g", b"other", xattrs={"user.b": b"two"})


@case("xattr-overlap", "second", "a set is the second half of another", tree_of(_build_shared))
def _(forge: Forge) -> None:
    one, two = forge.attribute_sets
    two.row.set(ref=metadata_ref(0, len(one.attributes[0].pack())), xattr_count=1, size=two.attributes[0].full_size)
    two.attributes.clear()


def _xattr_type(name: str, number: int) -> None:
    @case("xattr-type", name, f"an attribute's type is {number:#x}", XATTRS)
    def _(forge: Forge) -> None:
        forge.attribute_sets[0].attributes[0].key.set(type=number)


_xattr_type("three", 3)
_xattr_type("high-bit", 0x200)


@case("xattr-name", "empty", "an attribute's name is its prefix", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].attributes[0].name = b""


@case("xattr-name", "256", "an attribute's full name has 256 bytes", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].attributes[0].name = b"n" * 251


@case("xattr-value", "65537", "an attribute's value has 65537 bytes", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].attributes[0].value = words(65537)


@case("xattr-ref-size", "not-last", "a reference has 4 bytes, and an attribute follows", SHARED_TWO)
def _(forge: Forge) -> None:
    (chosen,) = [each for each in forge.attribute_sets if each.attributes[0].key["type"] & XATTR_OUT_OF_LINE]
    chosen.attributes[0].size.set(value=4)


@case("metadata-size", "exports", "a block of the export table is longer than one may be", BARE)
def _(forge: Forge) -> None:
    forge.parts["exports"].words[0] = metadata_word(8193, raw=True)


@case("xattr-ref-size", "four", "an out-of-line value has 4 bytes", XATTRS)
def _(forge: Forge) -> None:
    forge.attribute_sets[2].attributes[0].size.set(value=4)


@case("xattr-out-of-line", "key", "an out-of-line value's reference is to a key, which read as a size goes far", XATTRS)
def _(forge: Forge) -> None:
    attribute = forge.attribute_sets[2].attributes[0]
    assert attribute.key["type"] & XATTR_OUT_OF_LINE
    attribute.ref.set(value=0)


def _build_user(writer: SquashfsWriter) -> None:
    writer.add_fifo("p", xattrs={"trusted.a": b"one"})
    writer.add_symlink("s", "target", xattrs={"trusted.b": b"two"})


USER = tree_of(_build_user)


@case("xattr-user", "fifo", "a fifo has an attribute user.*", USER)
def _(forge: Forge) -> None:
    forge.attribute_sets[0].attributes[0].key.set(type=0)


@case("xattr-user", "symlink", "a symlink has an attribute user.*", USER)
def _(forge: Forge) -> None:
    forge.attribute_sets[1].attributes[0].key.set(type=0)

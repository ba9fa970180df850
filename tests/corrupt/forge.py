"""Takes a good image apart into records, and puts it together again with any of them broken.

Everything that follows from something else is computed when the image is assembled: references, positions, sizes,
counts, link counts, parents, location lists, the superblock. So a change of one thing (a longer target, a further
entry) leaves the rest of the image right. A field that is set stays as it was set, and that is how just one rule
breaks.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pysquash import SquashfsWriter, WriterOptions
from pysquash.format import records
from pysquash.format.codec import Codec
from pysquash.format.constants import (
    DATA_START,
    EXTENDED,
    METADATA_SIZE,
    NO_FRAGMENT,
    NO_TABLE,
    PADDING_SIZE,
    XATTR_PREFIXES,
    InodeType,
    SuperblockFlag,
)
from pysquash.format.words import (
    XATTR_OUT_OF_LINE,
    data_word,
    metadata_ref,
    metadata_word,
    split_data_word,
    split_metadata_ref,
    split_metadata_word,
)
from pysquash.options.limits import Limits

__all__ = [
    "BLOCK_SIZE",
    "Attribute",
    "AttributeSet",
    "Chunk",
    "Forge",
    "IndexRow",
    "Inode",
    "Name",
    "Part",
    "Run",
    "image_of",
]

BLOCK_SIZE = 4096

Encoder = Callable[[bytes], bytes]

_BODIES: dict[int, Codec[Any]] = {
    InodeType.BASIC_DIRECTORY: records.BASIC_DIRECTORY,
    InodeType.BASIC_FILE: records.BASIC_FILE,
    InodeType.BASIC_SYMLINK: records.BASIC_SYMLINK,
    InodeType.BASIC_BLOCK_DEVICE: records.BASIC_DEVICE,
    InodeType.BASIC_CHARACTER_DEVICE: records.BASIC_DEVICE,
    InodeType.BASIC_FIFO: records.BASIC_IPC,
    InodeType.BASIC_SOCKET: records.BASIC_IPC,
    InodeType.EXTENDED_DIRECTORY: records.EXTENDED_DIRECTORY,
    InodeType.EXTENDED_FILE: records.EXTENDED_FILE,
    InodeType.EXTENDED_SYMLINK: records.BASIC_SYMLINK,
    InodeType.EXTENDED_BLOCK_DEVICE: records.EXTENDED_DEVICE,
    InodeType.EXTENDED_CHARACTER_DEVICE: records.EXTENDED_DEVICE,
    InodeType.EXTENDED_FIFO: records.EXTENDED_IPC,
    InodeType.EXTENDED_SOCKET: records.EXTENDED_IPC,
}
_UNCOMPRESSED = (
    SuperblockFlag.UNCOMPRESSED_INODES
    | SuperblockFlag.UNCOMPRESSED_DATA
    | SuperblockFlag.UNCOMPRESSED_FRAGMENTS
    | SuperblockFlag.UNCOMPRESSED_XATTRS
    | SuperblockFlag.UNCOMPRESSED_IDS
)


def image_of(
    build: Callable[[SquashfsWriter], None],
    *,
    block_size: int = BLOCK_SIZE,
    fragments: bool = True,
    exports: bool = True,
    limits: Limits | None = None,
) -> bytes:
    """Make the good image that `build` describes: uncompressed, with the smallest blocks."""
    output = io.BytesIO()
    options = WriterOptions(
        compressor="none",
        block_size=block_size,
        workers=1,
        exports=exports,
        fragments=fragments,
        limits=limits or Limits(),
    )
    with SquashfsWriter(output, options) as writer:
        build(writer)
    return output.getvalue()


class Record:
    """One record of the format. A field that was `set` is not computed any more."""

    def __init__(self, codec: Codec[Any], values: Any) -> None:
        self.codec = codec
        self.values = values
        self.fixed: set[str] = set()

    def __getitem__(self, field: str) -> int:
        value: int = getattr(self.values, field)
        return value

    def has(self, field: str) -> bool:
        return field in self.values._fields

    def set(self, **fields: int) -> None:
        self.values = self.values._replace(**fields)
        self.fixed |= fields.keys()

    def fill(self, **fields: int) -> None:
        """Give the fields that are computed their values; those that the record has not are left out."""
        wanted = {name: value for name, value in fields.items() if self.has(name) and name not in self.fixed}
        self.values = self.values._replace(**wanted)

    def pack(self) -> bytes:
        return self.codec.pack(*self.values)


class Chunk:
    """A data or fragment block.

    Attributes:
        content: What it holds, uncompressed.
        encode: Compresses it, also where that makes it longer; None for what the image does.
        word: The size word, where it is to be another than the right one.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.encode: Encoder | None = None
        self.word: int | None = None
        self.start = 0
        self.stored = content
        self.is_raw = True

    @property
    def size_word(self) -> int:
        return data_word(len(self.stored), raw=self.is_raw) if self.word is None else self.word


class IndexRow:
    """A row of a directory's index: it leads to a run, and has the name with which that begins."""

    def __init__(self, record: Record, run: Run, name: bytes) -> None:
        self.record = record
        self.run = run
        self.name = name


class Inode:
    """An inode with all that follows it in the table."""

    def __init__(self, header: Record, body: Record) -> None:
        self.header = header
        self.body = body
        self.target = b""
        self.xattr_index: Record | None = None  # of an extended symlink, which has it behind the target
        self.blocks: list[Chunk | None] = []  # None is a hole
        self.listing: Listing | None = None
        self.index: list[IndexRow] = []

    @property
    def kind(self) -> int:
        """The basic type, which entries name."""
        return (self.header["type"] - 1) % EXTENDED + 1

    def set(self, **fields: int) -> None:
        for name, value in fields.items():
            if self.header.has(name):
                self.header.set(**{name: value})
            elif self.body.has(name):
                self.body.set(**{name: value})
            else:
                assert name == "xattr_index"
                assert self.xattr_index is not None
                self.xattr_index.set(value=value)

    def pack(self) -> bytes:
        parts = [self.header.pack(), self.body.pack(), self.target]
        if self.xattr_index is not None:
            parts.append(self.xattr_index.pack())
        parts += [records.DATA_WORD.pack(0 if chunk is None else chunk.size_word) for chunk in self.blocks]
        parts += [row.record.pack() + row.name for row in self.index]
        return b"".join(parts)


class Name:
    """A directory entry."""

    def __init__(self, record: Record, name: bytes, inode: Inode) -> None:
        self.record = record
        self.name = name
        self.inode = inode


class Run:
    """A directory header with its entries."""

    def __init__(self, header: Record, names: list[Name]) -> None:
        self.header = header
        self.names = names

    def pack(self) -> bytes:
        return self.header.pack() + b"".join([name.record.pack() + name.name for name in self.names])


class Listing:
    """A directory's listing; `pad` stands behind it in the stream and belongs to nothing."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs
        self.pad = b""

    def names(self) -> Iterator[Name]:
        for run in self.runs:
            yield from run.names

    def pack(self) -> bytes:
        return b"".join([run.pack() for run in self.runs])


class Attribute:
    """A key and its value, or a reference to the value of another."""

    def __init__(self, key: Record, name: bytes, value: bytes, shared: Attribute | None = None) -> None:
        self.key = key
        self.name = name
        self.value = value
        self.shared = shared
        self.size = Record(records.XATTR_VALUE, records.XattrValue(len(value)))
        self.ref = Record(records.XATTR_REF, records.XattrRef(0))

    @property
    def full_size(self) -> int:
        """What it adds to its set's size."""
        number = self.key["type"] & ~XATTR_OUT_OF_LINE
        prefix = XATTR_PREFIXES[number] if number < len(XATTR_PREFIXES) else b""
        value = self.value if self.shared is None else self.shared.value
        return len(prefix) + len(self.name) + 1 + len(value)

    def pack(self) -> bytes:
        tail = self.value if self.shared is None else self.ref.pack()
        return self.key.pack() + self.name + self.size.pack() + tail


class AttributeSet:
    """A row of the xattr id table, with its attributes."""

    def __init__(self, row: Record, attributes: list[Attribute]) -> None:
        self.row = row
        self.attributes = attributes


class Part:
    """How one run of metadata blocks is stored.

    Attributes:
        sizes: Uncompressed sizes of the first blocks; all that are not given are METADATA_SIZE.
        encoders: By block: compresses it, also where that makes it longer.
        words: By block: the header, where it is to be another than the right one.
        before: By block: stray bytes in front of it.
        order: The order in which the blocks stand, where it is another than their own.
        before_list: Stray bytes between the last block and what follows it: location list, or next part.
        after: Stray bytes behind the location list.
        locations: By block: what the location list says, where it is to be another than the right one.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.encoders: dict[int, Encoder] = {}
        self.words: dict[int, int] = {}
        self.before: dict[int, bytes] = {}
        self.order: list[int] = []
        self.before_list = b""
        self.after = b""
        self.locations: dict[int, int] = {}
        self._starts: list[int] = []
        self._lengths: list[int] = []

    def ref(self, position: int) -> int:
        """Give the metadata reference of a byte of the uncompressed stream, as the blocks were last stored."""
        for block, (start, length) in enumerate(zip(self._starts, self._lengths, strict=False)):
            if position < length or (block == len(self._lengths) - 1 and position < METADATA_SIZE):
                return metadata_ref(start, position)
            position -= length
        last_end = self._starts[-1] if len(self._starts) > len(self._lengths) else 0
        return metadata_ref(last_end, position)

    def store(self, content: bytes, compress: Encoder | None) -> tuple[bytes, list[int]]:
        """Cut a stream into blocks: all of them as stored, and where each starts."""
        blocks, rest = [], content
        for size in self.sizes:
            blocks.append(rest[:size])
            rest = rest[size:]
        blocks += [rest[start : start + METADATA_SIZE] for start in range(0, len(rest), METADATA_SIZE)]
        stored, starts = b"", [0] * len(blocks)
        for number in self.order or range(len(blocks)):
            block, is_raw = blocks[number], True
            encode = self.encoders.get(number)
            if encode is not None:
                block, is_raw = encode(block), False
            elif compress is not None and len(compress(block)) < len(block):
                block, is_raw = compress(block), False
            stored += self.before.get(number, b"")
            starts[number] = len(stored)
            word = self.words.get(number, metadata_word(len(block), raw=is_raw))
            stored += records.METADATA_HEADER.pack(word) + block
        self._lengths = [len(block) for block in blocks]
        self._starts = [*starts, len(stored)]
        return stored, starts


class Forge:
    """An image in parts.

    Attributes:
        superblock: Its fields; those that are set are not computed.
        inodes: In the order of the inode table; the superblock names `root`.
        listings: In the order of the directory table.
        chunks: In the order of the data area.
        fragments: Rows of the fragment table, each with its chunk.
        ids: Rows of the id table.
        attribute_sets: Rows of the xattr id table.
        exports: Whether there is an export table.
        export_rows: By row: the reference, where it is to be another than the right one.
        xattr_header: What stands in front of the xattr id table's location list.
        has_xattr_table: Whether there is one; None: where there are rows.
        parts: How each run of metadata blocks is stored.
        order: The order of the parts.
        options: What stands at byte 96 in front of the data: a metadata block, or whatever it is to be.
        compress: Compresses blocks; those that do not become smaller stay raw. None: all stay raw.
        inside: Inodes that are no part of the table's stream, but bytes of another: that, and from which of its bytes.
        before_tables: Stray bytes behind the data.
        pads: Whether the image is padded.
        layout: Where parts, and location lists ("ids.list"), stand in the image that was assembled last.
    """

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.superblock = Record(records.SUPERBLOCK, records.SUPERBLOCK.unpack(image))
        self.order = ["inodes", "listings", "fragments", "exports", "ids", "xattrs", "xattr_ids"]
        self.parts = {name: Part() for name in self.order}
        self.options = b""
        self.compress: Encoder | None = None
        self.inside: dict[Inode, tuple[Inode, int]] = {}
        self.before_tables = b""
        self.pads = True
        self.layout: dict[str, int] = {}
        self.export_rows: dict[int, int] = {}
        self.has_xattr_table: bool | None = None
        self.exports = self.superblock["export_table_start"] != NO_TABLE
        self._chunks: dict[int, Chunk] = {}
        self._refs: dict[Inode, int] = {}
        self._read()
        self.chunks = [self._chunks[start] for start in sorted(self._chunks)]

    # --- what there is -----------------------------------------------------------------------------------------------

    def find(self, path: bytes) -> Name:
        """Give the entry of a path."""
        here = self.root
        for part in path.split(b"/"):
            assert here.listing is not None
            (name,) = [name for name in here.listing.names() if name.name == part]
            here = name.inode
        return name

    def find_inode(self, path: bytes) -> Inode:
        """Give the inode of a path; b"" is the root."""
        return self.find(path).inode if path else self.root

    def find_listing(self, path: bytes) -> Listing:
        """Give a directory's listing."""
        listing = self.find_inode(path).listing
        assert listing is not None
        return listing

    def inode(self, path: bytes, **fields: int) -> Inode:
        """Set fields of an inode, of its header or its body."""
        inode = self.find_inode(path)
        inode.set(**fields)
        return inode

    def entry(self, path: bytes, *, name: bytes | None = None, **fields: int) -> Name:
        """Set fields of a directory entry, or its name."""
        entry = self.find(path)
        entry.record.set(**fields)
        if name is not None:
            entry.name = name
        return entry

    def inode_ref(self, path: bytes) -> int:
        """Give the reference of an inode in the image that was assembled last."""
        return self._refs[self.find_inode(path)]

    def add_entry(self, directory: bytes, name: bytes, inode: Inode) -> Name:
        """Add a name to the end of a directory's last run, or begin one."""
        listing = self.find_listing(directory)
        entry = Name(Record(records.DIRECTORY_ENTRY, records.DirectoryEntry(0, 0, inode.kind, 0)), name, inode)
        if not listing.runs:
            header = Record(records.DIRECTORY_HEADER, records.DirectoryHeader(0, 0, inode.header["number"]))
            listing.runs.append(Run(header, []))
        listing.runs[-1].names.append(entry)
        return entry

    def add_ids(self, count: int) -> None:
        """Add rows to the id table, up to `count` in all."""
        self.ids += range(100_000, 100_000 + count - len(self.ids))

    def set_compressor(self, number: int, compress: Encoder, options: bytes | None = None) -> None:
        """Name a compressor in the superblock, and use it wherever that makes a block smaller."""
        self.compress = compress
        flags = self.superblock["flags"] & ~_UNCOMPRESSED
        if options is not None:
            self.options = metadata_block(options)
            flags |= SuperblockFlag.COMPRESSOR_OPTIONS
        self.superblock.set(compressor=number, flags=flags)

    # --- taking apart ------------------------------------------------------------------------------------------------

    def _stream(self, start: int, end: int) -> tuple[bytes, dict[int, int]]:
        """Read raw metadata blocks: the stream, and at which of its bytes each block starts."""
        content, positions, at = b"", {}, start
        while at < end:
            positions[at - start] = len(content)
            size, is_raw = split_metadata_word(records.METADATA_HEADER.unpack(self.image, at).value)
            assert is_raw, "only an image without compression can be taken apart"
            content += self.image[at + 2 : at + 2 + size]
            at += 2 + size
        positions[at - start] = len(content)
        return content, positions

    def _table(self, list_start: int, row: Codec[Any], count: int) -> list[Any]:
        """Read the rows of a table."""
        block_count = -(-count * row.size // METADATA_SIZE)
        content = b""
        for number in range(block_count):
            place = records.TABLE_LOCATION.unpack(self.image, list_start + 8 * number).value
            size, _ = split_metadata_word(records.METADATA_HEADER.unpack(self.image, place).value)
            content += self.image[place + 2 : place + 2 + size]
        return [row.unpack(content, row.size * number) for number in range(count)]

    def _first_block(self, list_start: int) -> int:
        return records.TABLE_LOCATION.unpack(self.image, list_start).value

    def _chunk(self, start: int, word: int) -> Chunk:
        size, is_raw = split_data_word(word)
        assert is_raw, "only an image without compression can be taken apart"
        return self._chunks.setdefault(start, Chunk(self.image[start : start + size]))

    def _read(self) -> None:
        superblock = self.superblock
        starts = [superblock[f"{name}_table_start"] for name in ("fragment", "export", "id")]
        listings_end = min(self._first_block(start) for start in starts if start != NO_TABLE)
        listing_start = superblock["directory_table_start"]
        inode_stream, inode_blocks = self._stream(superblock["inode_table_start"], listing_start)
        listing_stream, listing_blocks = self._stream(listing_start, listings_end)
        self.ids = [row.value for row in self._table(superblock["id_table_start"], records.ID, superblock["id_count"])]
        rows = self._table(superblock["fragment_table_start"], records.FRAGMENT_ENTRY, superblock["fragment_count"])
        self.fragments = [(Record(records.FRAGMENT_ENTRY, row), self._chunk(row.start, row.size_word)) for row in rows]
        self._read_attributes(superblock["xattr_table_start"])
        by_position = dict(self._read_inodes(inode_stream))
        self.inodes = list(by_position.values())

        def at(ref: int) -> Inode:
            block, offset = split_metadata_ref(ref)
            return by_position[inode_blocks[block] + offset]

        self.root = at(superblock["root_ref"])
        placed = []
        for inode in self.inodes:
            if inode.kind == InodeType.BASIC_DIRECTORY:
                start = listing_blocks[inode.body["listing_block_start"]] + inode.body["listing_offset"]
                listing_bytes = listing_stream[start : start + inode.body["listing_size"] - 3]
                runs = dict(self._read_runs(listing_bytes, at))
                inode.listing = Listing(list(runs.values()))
                for row in inode.index:
                    row.run = runs[row.record["listing_position"]]
                placed.append((start, inode.listing))
        self.listings = [listing for _, listing in sorted(placed, key=lambda pair: pair[0])]

    def _read_inodes(self, stream: bytes) -> Iterator[tuple[int, Inode]]:
        at = 0
        block_size = self.superblock["block_size"]
        while at < len(stream):
            start = at
            header = Record(records.INODE_HEADER, records.INODE_HEADER.unpack(stream, at))
            codec = _BODIES[header["type"]]
            body = Record(codec, codec.unpack(stream, at + header.codec.size))
            inode = Inode(header, body)
            at += header.codec.size + codec.size
            if inode.kind == InodeType.BASIC_SYMLINK:
                inode.target = stream[at : at + body["target_size"]]
                at += body["target_size"]
                if header["type"] == InodeType.EXTENDED_SYMLINK:
                    inode.xattr_index = Record(records.XATTR_INDEX, records.XATTR_INDEX.unpack(stream, at))
                    at += records.XATTR_INDEX.size
            elif inode.kind == InodeType.BASIC_FILE:
                has_tail = body["fragment_index"] != NO_FRAGMENT
                count = body["size"] // block_size if has_tail else -(-body["size"] // block_size)
                place = body["blocks_start"]
                for _ in range(count):
                    word = records.DATA_WORD.unpack(stream, at).value
                    inode.blocks.append(self._chunk(place, word) if word else None)
                    place += split_data_word(word)[0]
                    at += records.DATA_WORD.size
            elif header["type"] == InodeType.EXTENDED_DIRECTORY:
                for _ in range(body["index_count"]):
                    row = Record(records.DIRECTORY_INDEX, records.DIRECTORY_INDEX.unpack(stream, at))
                    at += row.codec.size
                    name = stream[at : at + row["last_name_index"] + 1]
                    at += len(name)
                    no_header = Record(records.DIRECTORY_HEADER, records.DirectoryHeader(0, 0, 0))
                    inode.index.append(IndexRow(row, Run(no_header, []), name))  # the run is found with the listing
            yield start, inode

    def _read_runs(self, listing: bytes, at: Callable[[int], Inode]) -> Iterator[tuple[int, Run]]:
        position = 0
        while position < len(listing):
            start = position
            header = Record(records.DIRECTORY_HEADER, records.DIRECTORY_HEADER.unpack(listing, position))
            position += header.codec.size
            names = []
            for _ in range(header["last_index"] + 1):
                entry = Record(records.DIRECTORY_ENTRY, records.DIRECTORY_ENTRY.unpack(listing, position))
                position += entry.codec.size
                name = listing[position : position + entry["last_name_index"] + 1]
                position += len(name)
                inode = at(metadata_ref(header["inode_block_start"], entry["inode_offset"]))
                names.append(Name(entry, name, inode))
            yield start, Run(header, names)

    def _read_attributes(self, table_start: int) -> None:
        self.attribute_sets: list[AttributeSet] = []
        self.xattr_header = Record(records.XATTR_TABLE, records.XattrTable(0, 0, 0))
        if table_start == NO_TABLE:
            return
        header = self.xattr_header = Record(records.XATTR_TABLE, records.XATTR_TABLE.unpack(self.image, table_start))
        list_start = table_start + header.codec.size
        stream, blocks = self._stream(header["start"], self._first_block(list_start))
        at_position: dict[int, Attribute] = {}
        for row in self._table(list_start, records.XATTR_ID, header["id_count"]):
            block, at = split_metadata_ref(row.ref)
            at += blocks[block]
            attributes = []
            for _ in range(row.xattr_count):
                key = Record(records.XATTR_ENTRY, records.XATTR_ENTRY.unpack(stream, at))
                at += key.codec.size
                name = stream[at : at + key["name_size"]]
                at += len(name)
                size = records.XATTR_VALUE.unpack(stream, at).value
                value = stream[at + 4 : at + 4 + size]
                shared = None
                if key["type"] & XATTR_OUT_OF_LINE:
                    block, offset = split_metadata_ref(records.XATTR_REF.unpack(value).value)
                    shared = at_position[blocks[block] + offset]
                attribute = at_position[at] = Attribute(key, name, value, shared)
                attributes.append(attribute)
                at += 4 + size
            self.attribute_sets.append(AttributeSet(Record(records.XATTR_ID, row), attributes))

    # --- putting together --------------------------------------------------------------------------------------------

    def assemble(self) -> bytes:
        """Lay everything out again, with all that was not set computed."""
        data = self._data()
        self._compute()
        stored = self._metadata()
        output = bytearray(bytes(DATA_START) + self.options + data + self.before_tables)
        layout = self.layout = {"data": DATA_START + len(self.options)}
        for name in self.order:
            part = self.parts[name]
            blocks, starts = stored.get(name) or self._store_table(name)
            layout[name] = len(output)
            if name == "xattr_ids":
                self.xattr_header.fill(start=layout["xattrs"], id_count=len(self.attribute_sets))
            first = len(output)
            output += blocks + part.before_list
            if name in stored:
                output += part.after
                continue
            layout[f"{name}.list"] = len(output)
            if not blocks and not (name == "xattr_ids" and self.has_xattr_table):
                continue
            if name == "xattr_ids":
                output += self.xattr_header.pack()
            output += b"".join(
                [records.TABLE_LOCATION.pack(part.locations.get(row, first + at)) for row, at in enumerate(starts)]
            )
            output += part.after
        layout["end"] = len(output)
        self._fill_superblock()
        output[:DATA_START] = self.superblock.pack()
        if self.pads:
            output += bytes(-len(output) % PADDING_SIZE)
        return bytes(output)

    def _data(self) -> bytes:
        output = b""
        start = DATA_START + len(self.options)
        for chunk in self.chunks:
            chunk.stored, chunk.is_raw = chunk.content, True
            if chunk.encode is not None:
                chunk.stored, chunk.is_raw = chunk.encode(chunk.content), False
            elif self.compress is not None and len(self.compress(chunk.content)) < len(chunk.content):
                chunk.stored, chunk.is_raw = self.compress(chunk.content), False
            chunk.start = start + len(output)
            output += chunk.stored
        for row, chunk in self.fragments:
            row.fill(start=chunk.start, size_word=chunk.size_word)
        return output

    def _compute(self) -> None:
        """Compute all that does not need to know where metadata blocks start."""
        name_counts: dict[Inode, int] = {}
        parents: dict[Inode, Inode] = {}
        for inode in self.inodes:
            for name in inode.listing.names() if inode.listing else ():
                name_counts[name.inode] = name_counts.get(name.inode, 0) + 1
                parents.setdefault(name.inode, inode)
        self.superblock.fill(inode_count=len(self.inodes) + len(self.inside))
        root_parent = self.superblock["inode_count"] + 1
        for inode in self.inodes:
            body = inode.body
            body.fill(target_size=len(inode.target), index_count=len(inode.index))
            stored_blocks = [chunk for chunk in inode.blocks if chunk is not None]
            body.fill(blocks_start=stored_blocks[0].start if stored_blocks else 0)
            for row in inode.index:
                row.record.fill(last_name_index=len(row.name) - 1)
            if inode.listing is None:
                body.fill(nlink=name_counts.get(inode, 0))
                continue
            subdirectories = sum(name.inode.listing is not None for name in inode.listing.names())
            parent = parents.get(inode)
            body.fill(
                nlink=2 + subdirectories,
                parent_number=root_parent if parent is None else parent.header["number"],
                listing_size=len(inode.listing.pack()) + 3,
            )
            for run in inode.listing.runs:
                run.header.fill(last_index=len(run.names) - 1)
                for name in run.names:
                    delta = name.inode.header["number"] - run.header["base_number"]
                    name.record.fill(number_delta=delta, type=name.inode.kind, last_name_index=len(name.name) - 1)
        for each in self.attribute_sets:
            for attribute in each.attributes:
                attribute.key.fill(name_size=len(attribute.name))
                attribute.size.fill(value=records.XATTR_REF.size if attribute.shared else len(attribute.value))
            each.row.fill(xattr_count=len(each.attributes), size=sum(one.full_size for one in each.attributes))

    def _metadata(self) -> dict[str, tuple[bytes, list[int]]]:
        """Store inodes, listings and attributes.

        The references in each depend on how long the blocks of the others came out, so this goes on until they agree.
        """
        stored: dict[str, tuple[bytes, list[int]]] = {}
        for _ in range(10):
            streams = {"inodes": self._inode_stream(), "listings": self._listing_stream()}
            streams["xattrs"] = self._attribute_stream()
            again = {name: self.parts[name].store(stream, self.compress) for name, stream in streams.items()}
            if again == stored:
                return stored
            stored = again
        raise AssertionError("the references do not settle; store the metadata raw")

    def _inode_stream(self) -> bytes:
        inode_part, listing_part = self.parts["inodes"], self.parts["listings"]
        positions = _positions(self.listings, lambda listing: len(listing.pack()) + len(listing.pad))
        for inode in self.inodes:
            if inode.listing is None:
                continue
            start = positions[inode.listing]
            block, offset = split_metadata_ref(listing_part.ref(start))
            inode.body.fill(listing_block_start=block, listing_offset=offset)
            run_positions = _positions(inode.listing.runs, lambda run: len(run.pack()))
            for row in inode.index:
                position = run_positions[row.run]
                block, _ = split_metadata_ref(listing_part.ref(start + position))
                row.record.fill(listing_position=position, block_start=block)
        inode_positions = _positions(self.inodes, lambda inode: len(inode.pack()))
        inode_positions |= {inode: inode_positions[host] + byte for inode, (host, byte) in self.inside.items()}
        self._refs = {inode: inode_part.ref(position) for inode, position in inode_positions.items()}
        return b"".join([inode.pack() for inode in self.inodes])

    def _listing_stream(self) -> bytes:
        for listing in self.listings:
            for run in listing.runs:
                for name in run.names:
                    block, offset = split_metadata_ref(self._refs[name.inode])
                    name.record.fill(inode_offset=offset)
                    run.header.fill(inode_block_start=block)
                    # A case that sets the offset means another inode, or none.
                    assert block == run.header["inode_block_start"] or "inode_offset" in name.record.fixed
        return b"".join([listing.pack() + listing.pad for listing in self.listings])

    def _attribute_stream(self) -> bytes:
        part, attributes = self.parts["xattrs"], [one for each in self.attribute_sets for one in each.attributes]
        positions = _positions(attributes, lambda one: len(one.pack()))
        total = sum(len(one.pack()) for one in attributes)
        for one in attributes:
            if one.shared is not None:
                shared = one.shared
                value_position = positions[shared] + shared.key.codec.size + len(shared.name)
                one.ref.fill(value=part.ref(value_position))
        for each in self.attribute_sets:
            position = positions[each.attributes[0]] if each.attributes else total
            each.row.fill(ref=part.ref(position))
        return b"".join([one.pack() for one in attributes])

    def _store_table(self, name: str) -> tuple[bytes, list[int]]:
        rows: Sequence[bytes]
        if name == "fragments":
            rows = [row.pack() for row, _ in self.fragments]
        elif name == "ids":
            rows = [records.ID.pack(number) for number in self.ids]
        elif name == "xattr_ids":
            rows = [each.row.pack() for each in self.attribute_sets]
        else:
            by_number = {inode.header["number"]: ref for inode, ref in self._refs.items()}
            count = len(self._refs) if self.exports else 0
            rows = [
                records.EXPORT_REF.pack(self.export_rows.get(row, by_number.get(row + 1, 0))) for row in range(count)
            ]
        return self.parts[name].store(b"".join(rows), self.compress)

    def _fill_superblock(self) -> None:
        layout = self.layout
        has_xattrs = bool(self.attribute_sets) if self.has_xattr_table is None else self.has_xattr_table
        flags = self.superblock["flags"] & ~int(SuperblockFlag.EXPORTABLE | SuperblockFlag.NO_XATTRS)
        flags |= SuperblockFlag.EXPORTABLE if self.exports else 0
        flags |= 0 if has_xattrs else SuperblockFlag.NO_XATTRS
        self.superblock.set(flags=flags)
        self.superblock.fill(
            fragment_count=len(self.fragments),
            id_count=len(self.ids),
            root_ref=self._refs[self.root],
            bytes_used=layout["end"],
            inode_table_start=layout["inodes"],
            directory_table_start=layout.get("listings", 0),  # a case that puts it elsewhere sets it
            id_table_start=layout["ids.list"],
            fragment_table_start=layout["fragments.list"] if self.fragments else NO_TABLE,
            export_table_start=layout["exports.list"] if self.exports else NO_TABLE,
            xattr_table_start=layout["xattr_ids.list"] if has_xattrs else NO_TABLE,
        )


def metadata_block(content: bytes) -> bytes:
    """Store a raw metadata block."""
    return records.METADATA_HEADER.pack(metadata_word(len(content), raw=True)) + content


def _positions(items: Sequence[Any], size: Callable[[Any], int]) -> dict[Any, int]:
    """Tell at which byte each item starts when they follow each other."""
    ends = itertools.accumulate([size(item) for item in items], initial=0)
    return dict(zip(items, ends, strict=False))

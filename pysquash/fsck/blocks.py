"""Fsck: blocks, of metadata and of data, as they are stored.

In: a block's bytes. Out: what it holds, or None where that cannot be had.
On disk: "Metadata blocks", "Data blocks and fragments".
Rules kept here: a compressed block asks for no more memory than the kernel has for it, and is smaller than what it
holds.
Not here: where blocks are (metadata, tables, data).
"""

from __future__ import annotations

from pysquash.compression.base import CompressorSettings, TooLargeError, block_decoder
from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import METADATA_HEADER
from pysquash.format.rules import Rule
from pysquash.fsck.findings import Findings
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_stored_block

__all__ = ["DATA_SECTION", "BlockChecker"]

DATA_SECTION = "data"
"""What findings call the part of the image that holds the content of files."""


class BlockChecker:
    """Reads blocks, and notes what is wrong with each."""

    def __init__(self, source: Input, settings: CompressorSettings, window_limit: int, findings: Findings) -> None:
        """Take what all blocks of an image share.

        Args:
            source: The image.
            settings: Its compressor.
            window_limit: Bytes of window or dictionary that a block may ask for.
            findings: Takes what is wrong.
        """
        self._source = source
        self._decoder = block_decoder(settings)
        self._is_lz4 = settings.name == "lz4"
        self._window_limit = window_limit
        self._findings = findings

    def metadata(self, start: int, *, section: str, findings: Findings | None = None) -> tuple[bytes | None, int]:
        """Read a metadata block.

        Args:
            start: Absolute byte of its header.
            section: What findings name.
            findings: Takes what is wrong, in place of those that take all else.

        Returns:
            Its bytes, or None where they cannot be had; and the absolute byte behind it, which is `start` where not
            even that is known.
        """
        try:
            stored, is_raw = read_stored_block(self._source, start, section=section)
        except CorruptImageError as error:
            (findings or self._findings).add_error(error)
            return None, start
        end = start + METADATA_HEADER.size + len(stored)
        plain = self.plain(stored, METADATA_SIZE, is_raw=is_raw, section=section, offset=start, findings=findings)
        return plain, end

    def plain(
        self,
        stored: bytes,
        size_limit: int,
        *,
        is_raw: bool,
        section: str,
        offset: int,
        findings: Findings | None = None,
    ) -> bytes | None:
        """Give what a block holds.

        Args:
            stored: Its bytes in the image.
            size_limit: Bytes that it may hold.
            is_raw: Whether it is stored as it is.
            section: What findings name.
            offset: Where it is in the image.
            findings: As for `metadata`.

        Returns:
            Its bytes, 1 to `size_limit`, or None where they cannot be had.
        """
        if is_raw:
            return stored
        findings = findings or self._findings
        try:
            plain = self._decoder.decompress(stored, size_limit)
            if not plain:
                raise ValueError("there is nothing in it")
            faults = self._decoder.faults(stored, self._window_limit)
        except TooLargeError as error:
            rule = Rule.METADATA_SIZE if section != DATA_SECTION else Rule.DATA_LENGTH
            findings.add(rule, str(error), section=section, offset=offset)
            return None
        except ValueError as error:
            findings.add(Rule.DECOMPRESSION, f"cannot be decompressed: {error}", section=section, offset=offset)
            return None
        for fault in faults:
            findings.add(fault.rule, fault.text, section=section, offset=offset, refused_by=fault.refused_by)
        # tar2sqfs 1.2 stores what lz4 makes of a block, whether that is smaller or not.
        if len(stored) >= len(plain) and not self._is_lz4 and not faults:
            text = f"{len(plain)} bytes are stored compressed, in {len(stored)}"
            findings.add(Rule.STORED_SIZE, text, section=section, offset=offset)
        return plain

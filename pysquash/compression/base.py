"""Compression: the protocol of a block codec, and the choice of one.

In: `CompressorSettings`, small, hashable and picklable, so that it can travel to a worker. Out: a `BlockCodec`.
Rules kept here: a codec is used by one thread at a time, so each thread has its own.
Not here: which blocks are stored raw, and in what order (writer/pipeline).
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from pysquash.format.constants import CompressorId
from pysquash.options import WriterOptions

__all__ = ["BlockCodec", "CompressorSettings", "block_codec", "settings_for"]


@dataclass(frozen=True, slots=True)
class CompressorSettings:
    """What a codec has to know.

    Attributes:
        name: The module in this package: "zstd", "gzip", "xz" or "uncompressed".
        level: The compressor's level, or None for its default.
        block_size: Bytes in a data block, 4096 to 1 MiB; bounds windows and dictionaries.
    """

    name: str
    level: int | None
    block_size: int

    @classmethod
    def from_options(cls, options: WriterOptions) -> CompressorSettings:
        """Take what concerns compression from the writer's options."""
        name = "uncompressed" if options.compressor == "none" else options.compressor
        return cls(name, options.level, options.block_size)


class BlockCodec(Protocol):
    """Compresses blocks of one image. Each block stands alone: one stream or frame, nothing behind it."""

    @property
    def id(self) -> CompressorId:
        """The number that the superblock holds."""
        ...

    def options(self) -> bytes | None:
        """Give the packed compressor options, or None where the settings are what their absence means."""
        ...

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one block, never to more than `size_limit` bytes.

        Raises:
            ValueError: The block is damaged, or larger than that.
        """
        ...

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block, in as few calls that take the GIL as can be.

        Args:
            blocks: Each 1 byte to the larger of block_size and 8192.

        Returns:
            As many results, in order. One that is not smaller than its block is to be stored raw instead.
        """
        ...


_NAMES = {CompressorId.GZIP: "gzip", CompressorId.XZ: "xz", CompressorId.ZSTD: "zstd"}


def settings_for(compressor_id: int, block_size: int) -> CompressorSettings | None:
    """Find the codec for an image's compressor number; None where there is none here.

    Args:
        compressor_id: From the superblock.
        block_size: Bytes in a data block.
    """
    name = next((name for number, name in _NAMES.items() if number == compressor_id), None)
    return None if name is None else CompressorSettings(name, None, block_size)


_codecs = threading.local()


def block_codec(settings: CompressorSettings) -> BlockCodec:
    """Give this thread's codec for these settings, made when first asked for."""
    codec: BlockCodec | None = getattr(_codecs, "codec", None)
    if codec is None or _codecs.settings != settings:
        module = importlib.import_module(f"pysquash.compression.{settings.name}")
        codec = cast(BlockCodec, module.Codec(settings))
        _codecs.codec, _codecs.settings = codec, settings
    return codec

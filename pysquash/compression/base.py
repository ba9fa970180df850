"""Compression: the protocols of block codecs, and the choice of one.

In: `CompressorSettings`, small, hashable and picklable, so that it can travel to a worker. Out: a `BlockDecoder`, or
the `BlockCodec` that compresses too.
Rules kept here: a codec is used by one thread at a time, so each thread has its own; a compressor whose package is not
installed is one clear error that names what to install.
Not here: which blocks are stored raw, and in what order (writer/pipeline).
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from pysquash.errors import OptionError, UnsupportedImageError
from pysquash.format.constants import CompressorId
from pysquash.options.compressor import NO_OPTIONS, CompressorOptions
from pysquash.options.writer import WriterOptions

if TYPE_CHECKING:
    from pysquash.format.rules import Rule

__all__ = [
    "BlockCodec",
    "BlockDecoder",
    "CompressorSettings",
    "Fault",
    "Stored",
    "TooLargeError",
    "block_codec",
    "block_decoder",
    "codec_for",
    "raise_if_out_of_memory",
    "settings_for",
    "smallest",
]


Stored = bytes | memoryview
"""A block's compressed form. Where a batch is compressed into one buffer, each is a view into that."""


@dataclass(frozen=True, slots=True)
class CompressorSettings:
    """What a codec has to know.

    Attributes:
        name: The module in this package: "zstd", "gzip", "xz", "lz4", "lzo", "lzma" or "uncompressed".
        level: The compressor's level, or None for its default.
        block_size: Bytes in a data block, 4096 to 1 MiB; bounds windows and dictionaries.
        options: What else it was told, as in `WriterOptions.compressor_options`.
    """

    name: str
    level: int | None
    block_size: int
    options: CompressorOptions = NO_OPTIONS

    @classmethod
    def from_options(cls, options: WriterOptions) -> CompressorSettings:
        """Take what concerns compression from the writer's options."""
        name = "uncompressed" if options.compressor == "none" else options.compressor
        return cls(name, options.level, options.block_size, CompressorOptions(options.compressor_options))


class TooLargeError(ValueError):
    """A block holds more than it may."""

    def __init__(self, size_limit: int) -> None:
        super().__init__(f"it holds more than the {size_limit} bytes that it may")


class Fault(NamedTuple):
    """Why a block that can be decompressed here may not be elsewhere.

    Attributes:
        rule: The rule that it breaks.
        text: What is there.
        refused_by: As for a rule; None for all who refuse what breaks it.
    """

    rule: Rule
    text: str
    refused_by: tuple[str, ...] | None = None


class BlockDecoder(Protocol):
    """Decompresses blocks of one image. Each block stands alone: one stream or frame."""

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one block, never to more than `size_limit` bytes.

        Raises:
            TooLargeError: The block holds more.
            ValueError: The block is damaged.
        """
        ...

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Tell why a block that can be decompressed here may not be elsewhere.

        Args:
            stored: What `decompress` took.
            window_limit: Bytes of window or dictionary that a block may ask for.

        Returns:
            One for each rule that it breaks.

        Raises:
            ValueError: The block is damaged.
        """
        ...


class BlockCodec(BlockDecoder, Protocol):
    """Compresses blocks as well: one stream or frame each, and nothing behind it."""

    @property
    def id(self) -> CompressorId:
        """The number that the superblock holds."""
        ...

    def options(self) -> bytes | None:
        """Give the packed compressor options, or None where the settings are what their absence means."""
        ...

    def compress(self, blocks: Sequence[bytes]) -> Sequence[Stored]:
        """Compress each block, in as few calls that take the GIL as can be.

        Args:
            blocks: Each 1 byte to the larger of block_size and 8192.

        Returns:
            As many results, in order. One that is not smaller than its block is to be stored raw instead.
        """
        ...


_EXTRAS = {"lz4": "lz4", "lzo": "lzallright"}
"""The package that a module of ours needs, for each one that is optional; the extra has the module's name."""


def settings_for(compressor_id: int, block_size: int) -> CompressorSettings:
    """Find what reads an image.

    Args:
        compressor_id: From the superblock.
        block_size: Bytes in a data block.

    Raises:
        UnsupportedImageError: There is no such compressor, or its package is not installed.
    """
    try:
        name = CompressorId(compressor_id).name.lower()
    except ValueError:
        raise UnsupportedImageError(f"compressor number {compressor_id} is none of the six that there are") from None
    try:
        importlib.import_module(f"pysquash.compression.{name}")
    except ImportError as error:
        raise UnsupportedImageError(f"compressed with {name}: {_advice(name, error)}") from error
    return CompressorSettings(name, None, block_size)


def codec_for(options: WriterOptions) -> tuple[CompressorSettings, BlockCodec]:
    """Find what makes an image.

    Returns:
        What workers need to have the same, and this thread's.

    Raises:
        OptionError: The compressor's package is not installed, or cannot do what the options say.
    """
    settings = CompressorSettings.from_options(options)
    try:
        return settings, block_codec(settings)
    except ImportError as error:
        raise OptionError(f"compressor {options.compressor}: {_advice(settings.name, error)}") from error


def _advice(name: str, error: ImportError) -> str:
    package = _EXTRAS.get(name)
    return f"install pysquash[{name}], or {package}" if package else f"this Python has none ({error})"


def smallest(results: Sequence[bytes]) -> bytes:
    """Give the shortest of what several ways made of one block; the first of equally short ones."""
    return min(results, key=len)


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise a MemoryError, if that is what a library's own error is about.

    Source: the text of ZSTD_error_memory_allocation, and zlib's number for Z_MEM_ERROR.
    """
    text = str(error)
    if "not enough memory" in text or text.startswith("Error -4 "):
        raise MemoryError(text) from error


_codecs = threading.local()


def block_codec(settings: CompressorSettings) -> BlockCodec:
    """Give this thread's codec for these settings, made when first asked for."""
    return cast(BlockCodec, block_decoder(settings))


def block_decoder(settings: CompressorSettings) -> BlockDecoder:
    """Give this thread's decoder for these settings, made when first asked for."""
    codec: BlockDecoder | None = getattr(_codecs, "codec", None)
    if codec is None or _codecs.settings != settings:
        module = importlib.import_module(f"pysquash.compression.{settings.name}")
        codec = cast(BlockDecoder, module.Codec(settings))
        _codecs.codec, _codecs.settings = codec, settings
    return codec

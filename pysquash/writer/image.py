"""Writer: puts an image together, from its first byte to its last.

In: the content of files, in the order in which it is to be stored, and then the tree. Out: the whole image, padded.
Not here: each part itself (data, envelope).
"""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Self

from pysquash.compression.base import codec_for
from pysquash.options.writer import WriterOptions
from pysquash.tree.node import Node
from pysquash.writer.data import DataWriter
from pysquash.writer.envelope import Envelope, ImageSummary
from pysquash.writer.output import Output
from pysquash.writer.pipeline import Pipeline, compress_to_bytes

__all__ = ["ImageWriter"]


class ImageWriter:
    """One image being written: a context that lets go of its threads."""

    def __init__(self, output: Output, options: WriterOptions) -> None:
        """Start with the data, which is what others wait for.

        Args:
            output: Positioned at its start.
            options: Every knob there is.

        Raises:
            OptionError: The compressor's package is not installed, or cannot do what the options say.
        """
        self._output = output
        self._options = options
        self._settings, self._codec = codec_for(options)
        self._pipeline = Pipeline(self._settings, options.worker_count, options.executor)
        self.data = DataWriter(output, self._pipeline, options, self._begin)
        self._envelope: Envelope | None = None

    def finish(self, root: Node, own_xattrs: Collection[bytes] = (), *, time: int | None = None) -> ImageSummary:
        """Write everything behind the data, and then the superblock.

        Args:
            root: The merged tree; each file's `data` is a `StoredFile` of this image's `data` writer.
            own_xattrs: Names of attributes that the image needs, so that no option leaves them out.
            time: The image's own time, in seconds since 1970; None for what the options say.

        Raises:
            LimitError: There are more distinct owners than the format can count.
            InputError: An extended attribute is in a name space that the format does not have.
        """
        self.data.submit()
        # While the last blocks are being compressed:
        self._output.begin_sync()
        envelope = self._begin()
        numbering = envelope.number(root, own_xattrs)
        self.data.finish()
        return envelope.close(numbering, self.data.fragments, time)

    def close(self) -> None:
        """Let go of the threads. Harmless when called twice."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> Envelope:
        """Write what precedes the data, unless it is there.

        Not before the first block: until then, a file that the caller opened is unchanged.
        """
        if self._envelope is None:
            self._envelope = Envelope(self._output, self._codec, self._compress_block, self._options)
        return self._envelope

    def _compress_block(self, block: bytes) -> bytes | None:
        return compress_to_bytes(self._settings, (block,))[0]

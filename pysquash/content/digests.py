"""Verification: keeps what went into an image, and has it compared with what comes out of it.

In: the content of files on their way in, the tree that was written, and the image. Out: nothing, or an error that says
what differs.
Rules kept here: digests are taken of what sources give, before anything of ours touches it.
Not here: the comparison (readback).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from pysquash.errors import VerificationError
from pysquash.options.writer import WriterOptions
from pysquash.tree.content import Content
from pysquash.tree.entry import Segment
from pysquash.tree.node import Node
from pysquash.writer.output import Output

__all__ = ["Verification", "Watched"]

Read = Callable[[int], bytes]


class Watched(NamedTuple):
    """A content on its way in: as `Content`, with a digest that grows while it is read."""

    size: int
    segments: tuple[Segment, ...]
    digest: hashlib._Hash


class Verification:
    """What went into one image; does nothing unless the options ask for it.

    Attributes:
        is_wanted: Whether they do.
    """

    def __init__(self, options: WriterOptions) -> None:
        """Remember nothing yet."""
        self.is_wanted = options.verify
        self._options = options
        self._contents: dict[object, Content] = {}

    def watch(self, size: int, read: Read, segments: tuple[Segment, ...] | None) -> tuple[Read, Watched | None]:
        """Take the digest of a file's content while it is read.

        Args:
            size: Bytes in the file, holes included.
            read: Gives the stored bytes.
            segments: The stored runs of a sparse file, or None.

        Returns:
            What to read with instead, and what to pass to `note` when all is read.
        """
        if not self.is_wanted:
            return read, None
        digest = hashlib.sha256()
        update = digest.update

        def watched(length: int) -> bytes:
            data = read(length)
            update(data)
            return data

        return watched, Watched(size, ((0, size),) if segments is None else segments, digest)

    def note(self, stored: object, watched: Watched | None) -> None:
        """Note what content it was that is now stored.

        Args:
            stored: What stands for it in the tree.
            watched: From `watch`.
        """
        if watched is not None:
            # Equal files share what stands for them; if unequal ones do, the digest of one will not fit.
            self._contents[stored] = Content(watched.size, watched.segments, watched.digest.digest())

    def moved(self, before: object, after: object) -> None:
        """Note that something else stands for a content."""
        if self.is_wanted:
            self._contents[after] = self._contents[before]

    def verify(self, output: Output, root: Node) -> None:
        """Read the image back.

        Args:
            output: Where it was written, all of it.
            root: The tree that was.

        Raises:
            VerificationError: Something is not as it went in, or `check` finds something.
        """
        if not self.is_wanted:
            return
        # Reader and check are half of the package, and few images are verified.
        from pysquash.content.readback import problems_of  # noqa: PLC0415

        problems = problems_of(output, root, self._contents, self._options)
        if problems:
            raise VerificationError(problems)

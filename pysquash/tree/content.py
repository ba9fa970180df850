"""Content: what is known of a file's bytes without having them, to tell later whether they are the same."""

from __future__ import annotations

from typing import NamedTuple

from pysquash.tree.entry import Segment

__all__ = ["Content"]


class Content(NamedTuple):
    """What a file's content was on its way in.

    Attributes:
        size: Bytes, holes included.
        segments: The stored runs of a sparse file; one run where all is stored.
        digest: SHA-256 of the stored bytes.
    """

    size: int
    segments: tuple[Segment, ...]
    digest: bytes

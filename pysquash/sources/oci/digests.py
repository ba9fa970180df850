"""OCI: digests, checked before they name anything, and compared with what was read.

In: a digest as text; bytes. Out: a `Digest`; an error where the bytes are not those.
Source: "Digests" in the OCI image specification's descriptor document.
Rules kept here: only the algorithms that the specification registers; a digest that is none never becomes a path or a
part of an address.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from pysquash.errors import SourceError

__all__ = ["Digest", "parse_digest"]

_HEX_SIZES = {"sha256": 64, "sha384": 96, "sha512": 128}
_GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEX = re.compile(r"[0-9a-f]+")


class Digest(NamedTuple):
    """A digest that is one.

    Attributes:
        algorithm: "sha256", "sha384" or "sha512".
        encoded: Lower-case hexadecimal digits, as many as the algorithm has.
    """

    algorithm: str
    encoded: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

    @property
    def short(self) -> str:
        """Enough of it for a message."""
        return f"{self.algorithm}:{self.encoded[:12]}"

    def hasher(self) -> hashlib._Hash:
        """Make a hash object that a digest like this comes of."""
        return hashlib.new(self.algorithm)


def parse_digest(text: object, *, source: str, what: str) -> Digest:
    """Check a digest.

    Args:
        text: What a document, or a user, gives for one.
        source: What errors name.
        what: What it is the digest of.

    Raises:
        SourceError: It is none, or of an algorithm that is not registered.
    """
    match = _GRAMMAR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SourceError(f"{what} has the digest {_shown(text)}, which is none", source=source)
    algorithm, encoded = match[1], match[2]
    size = _HEX_SIZES.get(algorithm)
    if size is None:
        known = ", ".join(_HEX_SIZES)
        raise SourceError(f"{what} has a digest of {algorithm[:40]!r}, which is none of {known}", source=source)
    if len(encoded) != size or not _HEX.fullmatch(encoded):
        raise SourceError(f"{what} has the digest {_shown(text)}, not {size} hexadecimal digits", source=source)
    return Digest(algorithm, encoded)


def _shown(text: object) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 120 else f"{shown[:117]}..."

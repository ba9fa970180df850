"""Warnings: what a build reports without failing, grouped by kind.

In: one `Notice` for each event. Out: one `WarningGroup` for each kind, however many events there were.
Rules kept here: a million similar entries take one line and a few hundred bytes.
Not here: whether a warning is an error, which the option `strict` decides where the warning arises.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from pysquash.errors import printable

__all__ = ["Notice", "Warn", "WarningGroup", "WarningKind", "Warnings"]

_EXAMPLE_COUNT = 3


class WarningKind(enum.StrEnum):
    """The kinds of warnings. The values are fixed: programs may compare with them."""

    XATTR_DROPPED = "xattr-dropped"
    """An extended attribute that SquashFS cannot store or Linux cannot serve."""
    ACL_DROPPED = "acl-dropped"
    """A POSIX ACL, which SquashFS cannot store."""
    TIME_CLAMPED = "time-clamped"
    """A modification time outside 0 to 2^32-1."""
    PAX_KEYWORD_IGNORED = "pax-keyword-ignored"
    """A pax record that is not applied."""
    HEADER_MALFORMED = "header-malformed"
    """A header of an archive that breaks the format's rules and whose meaning is clear nevertheless."""
    ENTRY_SKIPPED = "entry-skipped"
    """An entry of an unknown type, or one that an option leaves out."""
    END_OF_ARCHIVE = "end-of-archive"
    """A missing end-of-archive marker, or data after it or after the compressed stream."""
    DUPLICATE_NAME = "duplicate-name"
    """Several entries of one layer with the same name."""
    OVERLAY_MARKER = "overlay-marker"
    """An overlayfs whiteout or attribute inside a layer."""
    LINK_DROPPED = "link-dropped"
    """A hard link without a usable target."""
    OUTPUT_SKIPPED = "output-skipped"
    """The image being written, or a temporary file of a build, found inside a directory that is packed."""
    FILE_CHANGED = "file-changed"
    """A file that changed while it was read."""
    EXCLUDED_CONTENT_KEPT = "excluded-content-kept"
    """Content of an excluded name that another name of the same file keeps."""
    NAME_CHANGED = "name-changed"
    """A name that another source has already, and that was replaced by a new one."""
    CONFIG_INCOMPLETE = "config-incomplete"
    """A run configuration that lacks something or that the chosen format cannot express."""
    CREDENTIAL_HELPER_MISSING = "credential-helper-missing"
    """A credential helper program that is configured and not installed."""
    FOREIGN_ARCHITECTURE = "foreign-architecture"
    """A container image for another platform than this machine's, which was not asked for."""
    INVALID_OWNER = "invalid-owner"
    """A user or group ID of 2^32-1, which no file can have."""
    OPTION_UNUSED = "option-unused"
    """An option that has no effect on these sources."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event that deserves a warning.

    Attributes:
        kind: What kind of event.
        text: What happened and what was done about it.
        source: The source's name; "" where the text says it.
        path: The entry's path, or None.
        offset: The byte in the source's uncompressed stream where the entry starts, or None.
    """

    kind: WarningKind
    text: str
    source: str = ""
    path: bytes | None = None
    offset: int | None = None

    def __str__(self) -> str:
        """Return the whole message: source, path, position and text."""
        where = [self.source] if self.source else []
        if self.path is not None:
            where.append(printable(self.path))
        if self.offset is not None:
            where.append(f"at byte {self.offset}")
        return ": ".join([*where, self.text])

    @property
    def name(self) -> str:
        """The shortest name of what it is about: the path, or else the source."""
        return self.source if self.path is None else printable(self.path)


Warn = Callable[[Notice], None]
"""Takes one warning."""


@dataclass(frozen=True, slots=True)
class WarningGroup:
    """All warnings of one kind.

    Attributes:
        kind: The kind, as in `WarningKind`.
        count: How many there were.
        examples: The first three, in full.
        names: What the first three are about: paths, or sources.
    """

    kind: str
    count: int
    examples: tuple[str, ...]
    names: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the lines to print: each warning while they are few, else one line with a count and three names."""
        if self.count <= len(self.examples):
            return list(self.examples)
        return [f"{self.examples[0]} ({self.count} warnings of this kind; also {', '.join(self.names[1:])}, ...)"]


class Warnings:
    """Collects warnings.

    Attributes:
        count: How many there were.
    """

    def __init__(self, report: Callable[[str], None] | None = None) -> None:
        """Start with none.

        Args:
            report: Called with each warning's text at once, or None.
        """
        self.count = 0
        self._counts: dict[WarningKind, int] = {}
        self._examples: dict[WarningKind, list[Notice]] = {}
        self._report = report

    def __call__(self, notice: Notice) -> None:
        """Take one warning."""
        self.count += 1
        self._counts[notice.kind] = self._counts.get(notice.kind, 0) + 1
        examples = self._examples.setdefault(notice.kind, [])
        if len(examples) < _EXAMPLE_COUNT:
            examples.append(notice)
        if self._report is not None:
            self._report(str(notice))

    def groups(self) -> tuple[WarningGroup, ...]:
        """Return the warnings so far, one group a kind, in the order in which the kinds first occurred."""
        return tuple(
            WarningGroup(kind, self._counts[kind], tuple(map(str, examples)), tuple(each.name for each in examples))
            for kind, examples in self._examples.items()
        )

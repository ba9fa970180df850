"""Findings: what a check has to say.

In: broken rules, and the reader's errors. Out: `Finding`s, in the order in which they were made, each once.
Rules kept here: a hundred findings of one rule are as good as more; what is left out is counted.
Not here: the rules (format/rules).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pysquash.errors import CorruptImageError, printable
from pysquash.format.rules import Rule

__all__ = ["Finding", "Findings"]

_KEPT_COUNT = 100
_RULES = {str(rule): rule for rule in Rule}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A broken rule.

    Attributes:
        rule: Which one; its `text` says what should hold.
        text: What is there instead, with the offending value.
        refused_by: "kernel" and "unsquashfs", as far as they fail on this, or show something else than was meant.
        section: The part of the image: superblock, inode table, directory table, ...
        offset: The byte in the image at which the structure, or the metadata block that it is in, starts; None where
            there is no single one.
        field: The field's name in the format page of the docs, or None.
        path: The path in the image that it concerns, b"" for the root; None where it concerns no path.
    """

    rule: Rule
    text: str
    refused_by: tuple[str, ...]
    section: str
    offset: int | None = None
    field: str | None = None
    path: bytes | None = None

    @property
    def severity(self) -> Literal["error", "note"]:
        """Return "error" where the kernel or unsquashfs fails or shows something else, and "note" otherwise."""
        return "error" if self.refused_by else "note"

    def __str__(self) -> str:
        where = self.section
        if self.offset is not None:
            where += f" at byte {self.offset}"
        if self.path is not None:
            where += f", {printable(self.path)}"
        if self.field is not None:
            where += f", {self.field}"
        judges = " and ".join(self.refused_by)
        verdict = f"refused or misread by {judges}" if judges else "read by kernel and unsquashfs"
        return f"{self.severity}: {where}: {self.text} [{self.rule}: {verdict}]"


class Findings:
    """The findings of one check.

    Attributes:
        found: All that were kept.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.found: list[Finding] = []
        self._known: set[tuple[str, str, int | None, bytes | None]] = set()
        self._counts: Counter[Rule] = Counter()

    def add(
        self,
        rule: Rule,
        text: str,
        *,
        section: str,
        offset: int | None = None,
        field: str | None = None,
        path: bytes | None = None,
        refused_by: tuple[str, ...] | None = None,
    ) -> None:
        """Note that a rule is broken.

        Args:
            rule: Which one.
            text: What is there, with the offending value.
            section: The part of the image.
            offset: The byte in the image.
            field: The field's name.
            path: The path in the image.
            refused_by: Who refuses this, where that is not the same for everything that breaks the rule.
        """
        key = (rule, text, offset, path)
        if key in self._known:  # many files may share a damaged block
            return
        self._counts[rule] += 1
        if self._counts[rule] > _KEPT_COUNT:
            return
        self._known.add(key)
        self.found.append(
            Finding(
                rule=rule,
                text=text,
                refused_by=rule.refused_by if refused_by is None else refused_by,
                section=section,
                offset=offset,
                field=field,
                path=path,
            )
        )

    def add_error(self, error: CorruptImageError, *, offset: int | None = None, path: bytes | None = None) -> None:
        """Note what the reader stumbled over.

        Args:
            error: The reader's.
            offset: The byte in the image, where the error has none.
            path: The path in the image.
        """
        self.add(
            _RULES[error.rule],
            error.text,
            section=error.section,
            offset=offset if error.offset is None else error.offset,
            field=error.field,
            path=path,
        )

    def add_all(self, others: Findings, *, refused_by: tuple[str, ...] | None = None) -> None:
        """Note all that others have noted, refused by these where that is given."""
        for each in others.found:
            self.add(
                each.rule,
                each.text,
                section=each.section,
                offset=each.offset,
                field=each.field,
                path=each.path,
                refused_by=each.refused_by if refused_by is None else refused_by,
            )

    def all(self) -> list[Finding]:
        """Give all findings, and one more for each rule that has more of them than were kept."""
        more = [
            Finding(
                rule=rule,
                text=f"and {count - _KEPT_COUNT} more of these",
                refused_by=rule.refused_by,
                section=rule.part,
            )
            for rule, count in self._counts.items()
            if count > _KEPT_COUNT
        ]
        return self.found + more

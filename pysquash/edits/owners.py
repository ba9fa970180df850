"""Owners: gives what comes out of the sources other owners, as user namespaces do.

In: the tree of all sources. Out: the same with other numbers.
Rules kept here: a number of a source that is in no range is an error; what no source describes, and what the caller
adds without an owner, belongs to what 0 is mapped to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import MergeError, OptionError, OptionTypeError
from pysquash.sources.files import Attributes
from pysquash.tree.node import Node

__all__ = ["IdRange", "Owners"]

_ID_COUNT = 1 << 32


class IdRange(NamedTuple):
    """Numbers that become others, as a line of uid_map.

    Attributes:
        first: The first one as the sources have it.
        becomes: What that one is in the image.
        size: How many, from there on.
    """

    first: int
    becomes: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Which owners things get.

    Attributes:
        users: What becomes of user ids; empty to keep them.
        groups: What becomes of group ids; empty to keep them.
        everything: (uid, gid) for all of it, or None.
    """

    users: Sequence[IdRange | tuple[int, int, int]] = ()
    groups: Sequence[IdRange | tuple[int, int, int]] = ()
    everything: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse ranges that overlap or are none, and a map beside one owner for everything."""
        _check_ranges("users", self.users)
        _check_ranges("groups", self.groups)
        if self.everything is not None:
            if self.users or self.groups:
                raise OptionError("owners are mapped, or are the same for everything")
            if not isinstance(self.everything, tuple | list):
                raise OptionTypeError(f"an owner is (uid, gid), not {self.everything!r:.80}")
            if len(self.everything) != 2 or not all(_is_id(each) for each in self.everything):
                raise OptionError(f"an owner is (uid, gid), each 0 to 4294967295, not {self.everything!r}")

    @property
    def default(self) -> Attributes:
        """Whose things are that nobody gave an owner."""
        if self.everything is not None:
            return {"uid": self.everything[0], "gid": self.everything[1]}
        return {"uid": _mapped(0, self.users) or 0, "gid": _mapped(0, self.groups) or 0}

    def change_sources(self, tree: MergedTree) -> None:
        """Change whatever a source describes; a step.

        Raises:
            MergeError: A number is in no range.
        """
        seen: set[Node] = set()
        waiting = [(b"", tree.root)]
        while waiting:
            path, node = waiting.pop()
            if not node.implied and node not in seen:
                self._change(path, node)
            seen.add(node)
            for name, child in (node.children or {}).items():
                waiting.append((path + b"/" + name if path else name, child))

    def change_implied(self, tree: MergedTree) -> None:
        """Give the directories that nobody describes their owner; a step."""
        owner = self.default
        for node in tree.root.walk():
            if node.implied:
                node.uid, node.gid = owner["uid"], owner["gid"]

    def _change(self, path: bytes, node: Node) -> None:
        if self.everything is not None:
            node.uid, node.gid = self.everything
            return
        for kind, field, ranges in (("user", "uid", self.users), ("group", "gid", self.groups)):
            if ranges:
                number = _mapped(getattr(node, field), ranges)
                if number is None:
                    shown = ", ".join(f"{first}:{becomes}:{count}" for first, becomes, count in ranges)
                    raise MergeError(f"{kind} {getattr(node, field)} is in none of the ranges {shown}", path=path)
                setattr(node, field, number)


def _mapped(number: int, ranges: Sequence[IdRange | tuple[int, int, int]]) -> int | None:
    for first, becomes, count in ranges:
        if first <= number < first + count:
            return becomes + number - first
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < _ID_COUNT


def _check_ranges(what: str, ranges: Sequence[IdRange | tuple[int, int, int]]) -> None:
    end, last = 0, None
    for each in sorted(ranges):
        if len(each) != 3 or not all(_is_id(value) for value in each) or not each[2]:
            raise OptionError(f"{what}: a range is FIRST, BECOMES, COUNT, each 0 to 4294967295, not {tuple(each)!r}")
        first, becomes, count = each
        if max(first, becomes) + count > _ID_COUNT:
            raise OptionError(f"{what}: the range {first}:{becomes}:{count} ends past 4294967295")
        if last is not None and first < end:
            raise OptionError(f"{what}: the ranges {last[0]}:{last[1]}:{last[2]} and {first}:{becomes}:{count} overlap")
        end, last = first + count, each

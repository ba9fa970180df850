"""Overrides: gives every node of a tree other attributes than its source does: times, owners, permissions of the root.

In: what is to be different. Out: a step that makes it so.
Rules kept here: first what a directory gets that nobody describes, then what the root gets, then what everything gets,
so that the last of these stands; times are changed last, and nothing is later than `latest_time`.
Not here: which owners ranges of them get (owners), single files (additions).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import OptionError
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node

__all__ = ["ModeOverride", "Overrides"]

ModeOverride = int | Callable[[int], int]
"""Permissions, 0 to 0o7777, or what gives new ones for old ones."""

_HIGHEST = {"mode": 0o7777, "time": 0xFFFF_FFFF, "uid": 0xFFFF_FFFF, "gid": 0xFFFF_FFFF}
_USER_PREFIX = b"user."


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What every node of a tree gets instead of what its source says. None keeps what is there.

    Attributes:
        default_mode: Permissions of directories that nobody describes, 0 to 0o7777, the root among them.
        default_uid: Their owner.
        default_gid: Their group.
        default_time: Their mtime, in seconds since 1970.
        root_mode: The root's permissions.
        root_uid: The root's owner.
        root_gid: The root's group.
        root_time: The root's mtime.
        file_mode: The permissions of everything that is no directory and no symlink.
        directory_mode: The permissions of every directory.
        uid: Everything's owner.
        gid: Everything's group.
        id_offset: What is added to every owner and group after that.
        all_time: Everything's mtime.
        latest_time: What no mtime is later than, as SOURCE_DATE_EPOCH is used by many.
        xattrs: Extended attributes that everything gets over its own; "user." ones only files and directories.
    """

    default_mode: int | None = None
    default_uid: int | None = None
    default_gid: int | None = None
    default_time: int | None = None
    root_mode: ModeOverride | None = None
    root_uid: int | None = None
    root_gid: int | None = None
    root_time: int | None = None
    file_mode: ModeOverride | None = None
    directory_mode: ModeOverride | None = None
    uid: int | None = None
    gid: int | None = None
    id_offset: int = 0
    all_time: int | None = None
    latest_time: int | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no inode holds."""
        for name in self.__slots__:
            value, highest = getattr(self, name), _HIGHEST.get(name.rpartition("_")[2])
            if highest is None or value is None or callable(value):
                continue
            if not isinstance(value, int) or not 0 <= value <= highest:
                raise OptionError(f"{name} must be 0 to {oct(highest) if 'mode' in name else highest}, not {value!r}")
        if not isinstance(self.id_offset, int) or not 0 <= self.id_offset <= 0xFFFF_FFFF:
            raise OptionError(f"id_offset must be 0 to 4294967295, not {self.id_offset!r}")
        for name, value in self.xattrs.items():
            if not name.startswith(("user.", "trusted.", "security.")) or name.endswith(".") or len(name) > 255:
                raise OptionError(f"xattr {name!r}: names are user., trusted. or security. and more, at most 255 bytes")
            if not isinstance(value, bytes) or len(value) > 0x10000:
                raise OptionError(f"xattr {name!r}: values are at most 65536 bytes")

    def change(self, tree: MergedTree) -> None:
        """Change a tree; a step."""
        self.change_defaults(tree)
        self.change_root(tree)
        self.change_all(tree)

    def change_defaults(self, tree: MergedTree) -> None:
        """Give the directories that nobody describes what is the default for them; a step."""
        given = [
            (field_name, value)
            for field_name, value in (
                ("mode", self.default_mode),
                ("uid", self.default_uid),
                ("gid", self.default_gid),
                ("mtime", self.default_time),
            )
            if value is not None
        ]
        for node in tree.root.walk() if given else ():
            if node.implied:
                for field_name, value in given:
                    setattr(node, field_name, value)

    def change_root(self, tree: MergedTree) -> None:
        """Give the root what it is to have; a step."""
        root = tree.root
        root.mode = _mode(self.root_mode, root.mode)
        root.uid = root.uid if self.root_uid is None else self.root_uid
        root.gid = root.gid if self.root_gid is None else self.root_gid
        root.mtime = root.mtime if self.root_time is None else self.root_time

    def change_all(self, tree: MergedTree, kept: Collection[bytes] = ()) -> None:
        """Give every node what all are to have; a step.

        Args:
            tree: The merged tree.
            kept: Names in the root that stay as they are, with all that is below them.

        Raises:
            OptionError: An owner with the offset is past what an inode holds.
        """
        changes = [self.uid, self.gid, self.file_mode, self.directory_mode, self.all_time, self.latest_time]
        if any(value is not None for value in changes) or self.id_offset or self.xattrs:
            xattrs = {name.encode("utf-8", "surrogateescape"): value for name, value in self.xattrs.items()}
            for node in _nodes(tree.root, kept):
                self._change(node, xattrs)

    def _change(self, node: Node, xattrs: Mapping[bytes, bytes]) -> None:
        if self.uid is not None:
            node.uid = self.uid
        if self.gid is not None:
            node.gid = self.gid
        if self.id_offset:
            node.uid, node.gid = node.uid + self.id_offset, node.gid + self.id_offset
            if max(node.uid, node.gid) > _HIGHEST["uid"]:
                owner = max(node.uid, node.gid) - self.id_offset
                raise OptionError(f"owner {owner} plus the offset {self.id_offset} is more than {_HIGHEST['uid']}")
        if node.children is not None:
            node.mode = _mode(self.directory_mode, node.mode)
        elif node.kind is not Kind.SYMLINK:
            node.mode = _mode(self.file_mode, node.mode)
        if self.all_time is not None:
            node.mtime = self.all_time
        if self.latest_time is not None and node.mtime > self.latest_time:
            node.mtime = self.latest_time
        if xattrs:
            takes_users = node.kind is Kind.FILE or node.children is not None
            added = {name: value for name, value in xattrs.items() if takes_users or name[:5] != _USER_PREFIX}
            node.xattrs = tuple({**dict(node.xattrs), **added}.items())


def _mode(override: ModeOverride | None, mode: int) -> int:
    if override is None:
        return mode
    return override if isinstance(override, int) else override(mode)


def _nodes(root: Node, kept: Collection[bytes]) -> list[Node]:
    """List every node once, however many names it has."""
    nodes, seen = [root], {id(root)}
    waiting = [[node for name, node in root.names.items() if name not in kept]]
    while waiting:
        for node in waiting.pop():
            if id(node) not in seen:
                seen.add(id(node))
                nodes.append(node)
                if node.children is not None:
                    waiting.append(list(node.children.values()))
    return nodes

"""Reader: the attributes of an inode, as `os.stat` has them.

Not here: where they come from (path).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Stat"]


class Stat(NamedTuple):
    """What `os.stat_result` has, of an inode in an image.

    `st_mode` has the file's type. `st_rdev` is packed as Linux packs it. An inode has one time, so that all three are.
    """

    st_mode: int
    st_ino: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: int
    st_rdev: int
    st_blocks: int
    st_blksize: int

    @property
    def st_atime(self) -> int:
        """The time of modification."""
        return self.st_mtime

    @property
    def st_ctime(self) -> int:
        """The time of modification."""
        return self.st_mtime

    @property
    def st_mtime_ns(self) -> int:
        """The time of modification in nanoseconds."""
        return self.st_mtime * 1_000_000_000

    @property
    def st_atime_ns(self) -> int:
        """The time of modification in nanoseconds."""
        return self.st_mtime_ns

    @property
    def st_ctime_ns(self) -> int:
        """The time of modification in nanoseconds."""
        return self.st_mtime_ns

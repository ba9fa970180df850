"""Whiteouts: tells from its name what a marker of a layer hides in the layers below it.

In: an entry's path. Out: whether it is a marker, and what it hides.
Source: the OCI image specification, "Image Layer Filesystem Changeset", "Whiteouts".
Rules kept here: `.wh.NAME` hides NAME, `.wh..wh..opq` hides all that is in its directory, any other `.wh..wh.*` is what
aufs kept for itself and hides nothing; what is below a marker is never in the image. Files in `.wh..wh.plnk` are the
exception: Docker's aufs driver put there what several names link to, so hard links of the layer may lead to them.
Not here: when and where markers apply (tree/merge), and what they spare from being stored (tree/visibility).
"""

from __future__ import annotations

__all__ = ["OPAQUE_WHITEOUT", "WHITEOUT_PREFIX", "hidden_by", "is_aufs_link_target", "is_marker", "is_nameless_marker"]

WHITEOUT_PREFIX = b".wh."
OPAQUE_WHITEOUT = b".wh..wh..opq"
_AUFS_PREFIX = b".wh..wh."
_AUFS_LINK_TARGETS = b".wh..wh.plnk/"


def is_marker(path: bytes) -> bool:
    """Tell whether a path is a marker or below one, and so never in the image."""
    return path.startswith(WHITEOUT_PREFIX) or b"/" + WHITEOUT_PREFIX in path


def is_aufs_link_target(path: bytes) -> bool:
    """Return whether a path is in the directory in which aufs keeps the targets of hard links."""
    return path.startswith(_AUFS_LINK_TARGETS)


def is_nameless_marker(path: bytes) -> bool:
    """Tell whether a component is a bare `.wh.`, which says nothing about what to hide."""
    return WHITEOUT_PREFIX in path.split(b"/")


def hidden_by(path: bytes) -> tuple[bytes, bytes] | None:
    """Give what a marker hides.

    Args:
        path: Any path.

    Returns:
        The directory, and the name in it that is hidden, b"" for all names; None if the path hides nothing.
    """
    directory, _, name = path.rpartition(b"/")
    if not name.startswith(WHITEOUT_PREFIX) or is_marker(directory):
        return None
    if name == OPAQUE_WHITEOUT:
        return directory, b""
    if name.startswith(_AUFS_PREFIX) or name == WHITEOUT_PREFIX:
        return None
    return directory, name[len(WHITEOUT_PREFIX) :]

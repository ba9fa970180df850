"""Invalid owners: warns of the user or group ID 2^32-1, which SquashFS stores and no file can have.

In: an image's tree, once its table of IDs has that one. Out: one warning for each inode.
Rules kept here: it is looked for where the image has it after all changes, so an entry costs nothing, and owners that
an option changes are no matter.
"""

from __future__ import annotations

from pysquash.errors import SourceError
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.tree.node import Node
from pysquash.writer.tables import INVALID_ID

__all__ = ["report_invalid_owners"]


def report_invalid_owners(root: Node, options: WriterOptions, warn: Warn) -> None:
    """Warn of each inode with such an owner.

    Raises:
        SourceError: There is one, and the option strict is set.
    """
    seen: set[int] = set()
    waiting = [(b"", root)]
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        names = [name for name, number in (("user", node.uid), ("group", node.gid)) if number == INVALID_ID]
        if names:
            text = f"{' and '.join(names)} ID {INVALID_ID} is invalid: chown cannot set it, and Linux shows another one"
            if options.strict:
                raise SourceError(text, entry=path)
            warn(Notice(WarningKind.INVALID_OWNER, text, path=path))
        for name, child in sorted((node.names if node.children is not None else {}).items(), reverse=True):
            waiting.append((path + b"/" + name if path else name, child))

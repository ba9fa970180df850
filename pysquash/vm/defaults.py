"""Defaults: the mount points and small files that every system which boots container images makes.

In: the merged tree. Out: the same, with what it lacks of them. The root of a VM is read-only: it cannot make them.
Rules kept here: nothing that is there is changed, a symlink that leads nowhere is there, too; only a directory that no
layer describes gets the attributes that it should have.
"""

from __future__ import annotations

from pysquash.edits.merged_tree import MergedTree, Step
from pysquash.sources.files import Added, Attributes, added_entry, added_file
from pysquash.tree.entry import Kind

__all__ = ["DEFAULT_DIRECTORIES", "DEFAULT_FILES", "HOSTNAME", "put_vm_defaults"]

HOSTNAME = "vm"

DEFAULT_DIRECTORIES = {
    "dev": 0o755,
    "proc": 0o755,
    "sys": 0o755,
    "run": 0o755,
    "tmp": 0o1777,
    "mnt": 0o755,
    "overlay": 0o755,
    "rom": 0o755,
}
"""Where something is mounted in a VM, and the mode."""

DEFAULT_FILES = {
    "etc/hostname": f"{HOSTNAME}\n",
    "etc/hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{HOSTNAME}\n",
    "etc/resolv.conf": "",
}
"""What a container's engine mounts over the image's own, and what it holds here."""


def put_vm_defaults(owner: Attributes) -> Step:
    """Make the step that puts them where the tree has nothing.

    Args:
        owner: Whose they are.
    """

    def step(tree: MergedTree) -> None:
        for name, mode in DEFAULT_DIRECTORIES.items():
            attributes: Attributes = {**owner, "mode": mode}
            tree.put_default(Added(added_entry(name.encode(), Kind.DIRECTORY, attributes, tree.options)))
        for name, text in DEFAULT_FILES.items():
            tree.put_default(added_file(name, text.encode(), owner, tree.options))

    return step

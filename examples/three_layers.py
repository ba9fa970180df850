"""Make the tars of a three-layer image out of real files, those of the Python that runs this.

The base is its library; the second layer replaces and deletes some of it, the third hides a directory and adds files.
Usage: python three_layers.py FOLDER. Standard library only.
"""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tarfile
from pathlib import Path

REPLACED = 50
DELETED = 50


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file of ours."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o644, 1_700_000_000
    archive.addfile(info, io.BytesIO(content))


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give everything to root, as an image's layers have it."""
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def main() -> None:
    """Write 1-base.tar.gz, 2-upper.tar.gz and 3-top.tar.gz."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    library = Path(sysconfig.get_path("stdlib"))
    inside = "usr/lib/" + library.name
    files = []
    with tarfile.open(folder / "1-base.tar.gz", "w:gz", compresslevel=1) as base:
        for parent, directories, names in os.walk(library):
            directories[:] = sorted(set(directories) - {"__pycache__", "site-packages", "dist-packages"})
            for name in [".", *sorted(names)]:
                path = os.path.normpath(os.path.join(parent, name))
                relative = os.path.relpath(path, library).replace(os.sep, "/")
                base.add(path, os.path.normpath(f"{inside}/{relative}"), recursive=False, filter=anonymous)
                if name.endswith(".py"):
                    files.append(f"{inside}/{relative}")
        for link, target in (("lib", "usr/lib"), ("bin", "usr/bin")):
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, target
            base.addfile(info)
    with tarfile.open(folder / "2-upper.tar.gz", "w:gz", compresslevel=1) as upper:
        for name in files[:REPLACED]:
            add(upper, name, b'"""Replaced by the second layer."""\n')
        for name in files[REPLACED : REPLACED + DELETED]:
            parent, _, last = name.rpartition("/")
            add(upper, f"{parent}/.wh.{last}", b"")
    with tarfile.open(folder / "3-top.tar.gz", "w:gz", compresslevel=1) as top:
        add(top, "etc/hostname", b"demo\n")
        add(top, "lib/through-the-symlink.txt", b"This landed in usr/lib.\n")
        add(top, f"{inside}/email/.wh..wh..opq", b"")
        add(top, f"{inside}/email/only.txt", b"All that was here is hidden.\n")
    print(f"{folder}: {len(files)} modules in the base, {REPLACED} replaced and {DELETED} deleted above it")


if __name__ == "__main__":
    main()

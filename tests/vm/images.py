"""Container images and layers in a few words, for what a VM needs of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pysquash
from pysquash import SquashfsImage, WriterOptions

__all__ = ["GROUP", "PASSWD", "built", "container_image", "layer", "names", "text"]

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:An app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:app,other\napp:x:1001:\naudio:x:63:other,app\n"

_OCI = "application/vnd.oci.image"


def layer(entries: Mapping[str, str | None] | Sequence[tuple[str, str | None]], *, uid: int = 0, gid: int = 0) -> bytes:
    """Make a tar: None is a directory, "-> x" a symlink, "= x" a hard link, any other text a file's content."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries.items() if isinstance(entries, Mapping) else entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mode, info.mtime = uid, gid, 0o644, 1_600_000_000
            data = b""
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif content.startswith("-> "):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content[3:], 0o777
            elif content.startswith("= "):
                info.type, info.linkname = tarfile.LNKTYPE, content[2:]
            else:
                data = content.encode()
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def container_image(folder: Path, layers: Sequence[bytes], config: Mapping[str, Any] | None = None) -> str:
    """Write an OCI layout, and give what `pysquash.build` calls it."""

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        place = folder / "blobs/sha256" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        return blob(json.dumps(value).encode(), media_type)

    diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        **({} if config is None else {"config": config}),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": document(configuration, f"{_OCI}.config.v1+json"),
        "layers": [blob(data, f"{_OCI}.layer.v1.tar") for data in layers],
    }
    descriptor = document(manifest, f"{_OCI}.manifest.v1+json")
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}"


def built(folder: Path, sources: Sequence[Any], **options: Any) -> SquashfsImage:
    """Build an image, have it verified, and open it. A source that is bytes is a tar."""
    paths = []
    for row, source in enumerate(sources):
        path = folder / f"{row}.tar"
        if isinstance(source, bytes):
            path.write_bytes(source)
        paths.append(str(path) if isinstance(source, bytes) else source)
    image = folder / "image.squashfs"
    writer_options = options.pop("options", {})
    pysquash.build(paths, image, options=WriterOptions(verify=True, **writer_options), **options)
    return SquashfsImage(io.BytesIO(image.read_bytes()))


def names(image: SquashfsImage) -> list[str]:
    """Give all paths but the root's, sorted."""
    return sorted(path.path.decode() for path in image.root.walk() if path.path)


def text(image: SquashfsImage, name: str) -> str:
    return (image / name).read_bytes().decode()

"""Container images as small as they can be, in every form in which they are kept, right or broken in one place.

In: layers as tars (`tar(file("a", b"1"), whiteout("b"))`), packed in some way. Out: a form's files by their names
(`Files`, a dictionary that a test may change), and these as a directory or as a tar.

    image = Image([tar(file("a", b"1"))])
    to_directory(layout(image), folder / "layout")
    to_tar(old_archive(image), folder / "saved.tar")

Every row of every document can be replaced: `Image.manifest`, `Image.config`, `Image.descriptor` and `Layer.descriptor`
go over what the builder writes, `GONE` takes a row away. `Blobs` is for whoever builds documents of their own.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import zstandard

from tests.tarbuild import END, header, padded, pax

__all__ = [
    "ATTESTATION",
    "CONFIG",
    "DOCKER_CONFIG",
    "DOCKER_LAYER",
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "GONE",
    "INDEX",
    "LAYER",
    "MANIFEST",
    "REFERENCE",
    "Blobs",
    "Document",
    "Files",
    "Image",
    "Layer",
    "Link",
    "Packing",
    "device",
    "digest_of",
    "directory",
    "encoded",
    "fifo",
    "file",
    "image_layout",
    "layout",
    "link",
    "named",
    "new_archive",
    "old_archive",
    "opaque",
    "packed",
    "platform_row",
    "skopeo_directory",
    "symlink",
    "tar",
    "to_directory",
    "to_tar",
    "whiteout",
]

Document = dict[str, Any]
Packing = Literal["plain", "gzip", "zstd", "gzip members", "zstd frames", "bzip2", "xz"]

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
INDEX = f"{_OCI}index.v1+json"
MANIFEST = f"{_OCI}manifest.v1+json"
CONFIG = f"{_OCI}config.v1+json"
LAYER = f"{_OCI}layer.v1.tar"
DOCKER_LIST = f"{_DOCKER}distribution.manifest.list.v2+json"
DOCKER_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"
DOCKER_CONFIG = f"{_DOCKER}container.image.v1+json"
DOCKER_LAYER = f"{_DOCKER}image.rootfs.diff.tar"
REFERENCE = "org.opencontainers.image.ref.name"
ATTESTATION = "vnd.docker.reference.type"

GONE: Final = object()
"""In the place of a row's value: there is to be no such row."""


# --- layers as tars --------------------------------------------------------------------------------------------------


def tar(*entries: bytes, end: bytes = END) -> bytes:
    """Put entries one after the other."""
    return b"".join(entries) + end


def _entry(name: str | bytes, type_flag: bytes, data: bytes = b"", **fields: Any) -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    xattrs: Mapping[str, bytes] = fields.pop("xattrs", {})
    pairs = [(b"SCHILY.xattr." + key.encode(), value) for key, value in xattrs.items()]
    return (pax(*pairs) if pairs else b"") + header(raw, type_flag, len(data), **fields) + padded(data)


def file(name: str | bytes, data: bytes = b"", **fields: Any) -> bytes:
    return _entry(name, b"0", data, **fields)


def directory(name: str | bytes, **fields: Any) -> bytes:
    return _entry(name, b"5", **{"mode": 0o755, **fields})


def symlink(name: str | bytes, target: str, **fields: Any) -> bytes:
    return _entry(name, b"2", target=target.encode(), **{"mode": 0o777, **fields})


def link(name: str | bytes, target: str, **fields: Any) -> bytes:
    return _entry(name, b"1", target=target.encode(), **fields)


def device(name: str | bytes, major: int, minor: int, **fields: Any) -> bytes:
    return _entry(name, b"3", major=major, minor=minor, **fields)


def fifo(name: str | bytes, **fields: Any) -> bytes:
    return _entry(name, b"6", **fields)


def whiteout(path: str) -> bytes:
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}" if parent else f".wh.{name}")


def opaque(path: str) -> bytes:
    return file(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq")


def packed(plain: bytes, packing: Packing) -> bytes:
    """Compress a layer, always to the same bytes. Of several members or frames each holds a third, none at a block."""
    if packing == "plain":
        return plain
    if packing == "gzip":
        return gzip.compress(plain, mtime=0)
    if packing == "zstd":
        return zstandard.ZstdCompressor().compress(plain)
    if packing == "bzip2":
        return bz2.compress(plain)
    if packing == "xz":
        return lzma.compress(plain, preset=0)
    step = len(plain) // 3 + 7
    parts = [plain[at : at + step] for at in range(0, len(plain), step)]
    return b"".join(packed(part, "gzip" if packing == "gzip members" else "zstd") for part in parts)


_SUFFIXES: dict[Packing, str] = {"gzip": "gzip", "gzip members": "gzip", "zstd": "zstd", "zstd frames": "zstd"}


@dataclass
class Layer:
    """One layer.

    Attributes:
        tar: Its plain bytes.
        packing: How it is compressed.
        stored: What is stored in place of the compressed tar, under the digest of what should be; None for the same.
        media_type: What its descriptor says; None for what is right.
        diff_id: What the configuration says; None for what is right.
        descriptor: Goes over its descriptor.
    """

    tar: bytes
    packing: Packing = "gzip"
    stored: bytes | None = None
    media_type: str | None = None
    diff_id: object = None
    descriptor: Document = field(default_factory=dict)


@dataclass
class Image:
    """One image.

    Attributes:
        layers: Base first; bytes are a tar, compressed with gzip.
        tags: What it is called.
        platform: os/architecture[/variant], in the configuration.
        is_docker: Whether its documents have Docker's media types.
        config: Goes over the configuration.
        manifest: Goes over the manifest.
        descriptor: Goes over the manifest's descriptor.
    """

    layers: Sequence[bytes | Layer]
    tags: Sequence[str] = ("latest",)
    platform: str = "linux/amd64"
    is_docker: bool = False
    config: Document = field(default_factory=dict)
    manifest: Document = field(default_factory=dict)
    descriptor: Document = field(default_factory=dict)

    @property
    def rows(self) -> list[Layer]:
        return [Layer(each) if isinstance(each, bytes) else each for each in self.layers]


# --- documents -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """A symlink in an archive."""

    target: str


Files = dict[str, bytes | Link]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def encoded(document: object) -> bytes:
    """Give a document's bytes; bytes are a document already."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def _over(document: Document, changes: Mapping[str, object]) -> Document:
    return {key: value for key, value in {**document, **changes}.items() if value is not GONE}


class Blobs(dict[str, bytes]):
    """Blobs by their digests."""

    def put(
        self,
        data: bytes,
        media_type: str,
        changes: Mapping[str, object] | None = None,
        *,
        stored: bytes | None = None,
        algorithm: str = "sha256",
    ) -> Document:
        """Keep a blob.

        Args:
            data: What its descriptor is about.
            media_type: What that says it is.
            changes: Go over the descriptor.
            stored: What is kept under its digest instead.
            algorithm: Of the digest.

        Returns:
            The descriptor.
        """
        digest = digest_of(data, algorithm)
        self[digest] = data if stored is None else stored
        return _over({"mediaType": media_type, "digest": digest, "size": len(data)}, changes or {})

    def layer(self, layer: Layer, *, is_docker: bool = False) -> Document:
        """Keep a layer."""
        media_type, suffix = DOCKER_LAYER if is_docker else LAYER, _SUFFIXES.get(layer.packing)
        if layer.media_type is not None:
            media_type = layer.media_type
        elif suffix:
            media_type += f".{suffix}" if is_docker else f"+{suffix}"
        return self.put(packed(layer.tar, layer.packing), media_type, layer.descriptor, stored=layer.stored)

    def config(self, image: Image) -> Document:
        """Keep an image's configuration."""
        return self.put(_config(image), DOCKER_CONFIG if image.is_docker else CONFIG)

    def image(self, image: Image) -> Document:
        """Keep an image, and give its manifest's descriptor."""
        media_type = DOCKER_MANIFEST if image.is_docker else MANIFEST
        manifest: Document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self.config(image),
            "layers": [self.layer(layer, is_docker=image.is_docker) for layer in image.rows],
        }
        return self.put(encoded(_over(manifest, image.manifest)), media_type, image.descriptor)

    def index(
        self,
        rows: Iterable[Document],
        *,
        media_type: str = INDEX,
        descriptor: Document | None = None,
        **changes: object,
    ) -> Document:
        """Keep an index, and give its descriptor."""
        document = _over({"schemaVersion": 2, "mediaType": media_type, "manifests": list(rows)}, changes)
        return self.put(encoded(document), media_type, descriptor)

    def nested(self, row: Document, depth: int) -> Document:
        """Put indexes around a descriptor."""
        for _ in range(depth):
            row = self.index([row])
        return row

    def files(self) -> Files:
        """Give where a layout has them."""
        return {f"blobs/{digest.replace(':', '/', 1)}": data for digest, data in self.items()}


def named(row: Document, *tags: str) -> list[Document]:
    """Give a descriptor once for each name, or once without one."""
    annotations: Mapping[str, str] = row.get("annotations") or {}
    return [{**row, "annotations": {**annotations, REFERENCE: tag}} for tag in tags] or [row]


def platform_row(text: str) -> Document:
    """Give os/architecture[/variant] as a document has it."""
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def _config(image: Image) -> bytes:
    diff_ids = [digest_of(layer.tar) if layer.diff_id is None else layer.diff_id for layer in image.rows]
    document = {
        **platform_row(image.platform),
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "a test"} for _ in diff_ids],
    }
    return encoded(_over(document, image.config))


# --- the forms -------------------------------------------------------------------------------------------------------


def layout(*images: Image) -> Files:
    """Give an OCI image layout."""
    blobs = Blobs()
    return image_layout(blobs, [row for image in images for row in named(blobs.image(image), *image.tags)])


def image_layout(blobs: Blobs, rows: Sequence[Document], **changes: object) -> Files:
    """Give an OCI image layout of blobs that are there, with the rows of its index."""
    index = _over({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(rows)}, changes)
    return {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"}), "index.json": encoded(index), **blobs.files()}


def old_archive(*images: Image) -> Files:
    """Give what `docker save` wrote before 25: plain layers in directories, and links where one is there already."""
    files: Files = {}
    rows = []
    places: dict[bytes, str] = {}
    for image in images:
        paths: list[str] = []
        for layer in image.rows:
            stored = layer.tar if layer.stored is None else layer.stored
            parent = paths[-1] if paths else ""
            folder = hashlib.sha256(parent.encode() + layer.tar).hexdigest()  # of what the layer is and is upon
            path = f"{folder}/layer.tar"
            files[f"{folder}/VERSION"] = b"1.0"
            files[f"{folder}/json"] = encoded({"id": folder, "os": "linux"})
            if path not in files:
                files[path] = Link(f"../{places[stored]}") if stored in places else stored
                places.setdefault(stored, path)
            paths.append(path)
        config = _config(image)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        files[config_name] = config
        rows.append({"Config": config_name, "RepoTags": _repository_tags(image), "Layers": paths})
    files["manifest.json"] = encoded(rows)
    return files


def new_archive(*images: Image) -> Files:
    """Give what `docker save` writes since 25: a layout, plain layers in it, with a manifest.json beside its index."""
    blobs = Blobs()
    rows, manifests = [], []
    for image in images:
        plain = [replace(layer, packing="plain") for layer in image.rows]
        manifests += named(blobs.image(replace(image, layers=plain)), *image.tags)
        names = [f"blobs/sha256/{hashlib.sha256(data).hexdigest()}" for data in (_config(image), *_tars(image))]
        rows.append({"Config": names[0], "RepoTags": _repository_tags(image), "Layers": names[1:]})
    return {**image_layout(blobs, manifests), "manifest.json": encoded(rows)}


def skopeo_directory(image: Image, *rest: Image) -> Files:
    """Give what `skopeo copy` writes with dir:, and with --all where there are several images."""
    blobs = Blobs()
    rows = [{**blobs.image(each), "platform": platform_row(each.platform)} for each in (image, *rest)]
    top = blobs.index(rows) if rest else rows[0]
    files: Files = {"version": b"Directory Transport Version: 1.1\n", "manifest.json": blobs.pop(top["digest"])}
    manifests = {row["digest"] for row in rows}
    for digest, data in blobs.items():
        files[digest.partition(":")[2] + (".manifest.json" if digest in manifests else "")] = data
    return files


def _tars(image: Image) -> list[bytes]:
    return [layer.tar for layer in image.rows]


def _repository_tags(image: Image) -> list[str] | None:
    return [tag if ":" in tag else f"image:{tag}" for tag in image.tags] or None


def to_directory(files: Files, folder: Path) -> Path:
    """Write files into a new directory."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Link):
            place.symlink_to(data.target)
        else:
            place.write_bytes(data)
    return folder


def to_tar(files: Files, path: Path, packing: Packing = "plain") -> Path:
    """Write files as a tar, the way that Docker and skopeo do: with the directories, sorted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        parents = {parent.as_posix() for name in files for parent in Path(name).parents} - {"."}
        for name in sorted({*files, *parents}):
            info = tarfile.TarInfo(name)
            if name not in files:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            data = files[name]
            if isinstance(data, Link):
                info.type, info.linkname = tarfile.SYMTYPE, data.target
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    path.write_bytes(packed(buffer.getvalue(), packing))
    return path

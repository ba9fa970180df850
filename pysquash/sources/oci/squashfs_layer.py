"""OCI: a layer that is a SquashFS image already, as stacker and OCI-SIF have them.

In: a blob's chunks. Out: a `Source`: the entries of the image in it.
Source: the media types of stacker and of sylabs' oci-tools; the kernel's overlayfs document, "whiteouts and opaque
directories".
Rules kept here: the blob is verified whole before anything is read of it; its diff_id is its digest, because nothing is
compressed as a whole; it is stacked with overlayfs where it is used, so that overlayfs's whiteouts and opaque
directories delete, as `.wh.` names do in a tar.
Not here: reading the image (sources/squashfs).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace

from pysquash.errors import SourceError
from pysquash.notices import Warn
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.sources.oci.verified import LayerBlob, copy_verified
from pysquash.sources.squashfs import SquashfsSource
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.whiteouts import OPAQUE_WHITEOUT, WHITEOUT_PREFIX

__all__ = ["SquashfsLayerSource"]

_WHITEOUT_DEVICE = (0, 0)
_OPAQUE_NAMES = (b"trusted.overlay.opaque", b"user.overlay.opaque")
_OPAQUE = b"y"


class SquashfsLayerSource(SquashfsSource):
    """One layer; a `Source`."""

    def __init__(
        self,
        blob: LayerBlob,
        *,
        options: WriterOptions,
        warn: Warn,
        verified: Callable[[str], None],
        folder: str | None = None,
    ) -> None:
        """Copy the blob into a temporary file, verify it, and open the image.

        Args:
            blob: Which one.
            options: whiteouts, duplicates and limits are used.
            warn: Takes warnings; there are none.
            verified: Told of each digest that was right.
            folder: Where the temporary file is; None for the system's choice.

        Raises:
            OSError: The blob cannot be read, or not be copied.
            SourceError: The blob is not what its digests say, or not an image.
        """
        if blob.digest is not None and blob.digest != blob.diff_id:
            text = f"the diff_id is {blob.diff_id}, and that of a SquashFS layer is its digest, {blob.digest}"
            raise SourceError(text, source=blob.name)
        self.duplicates: DuplicatePolicy | None = "error" if options.duplicates == "error" else "last"
        self._applies_whiteouts = options.whiteouts == "apply"
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close
        try:
            copy_verified(blob, self._file)
            self._file.flush()
            super().__init__(self._file, name=blob.name, options=options, warn=warn)
        except BaseException:
            self._file.close()
            raise
        verified(str(blob.diff_id))
        verified(f"diff_id {blob.diff_id}")

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries.

        Raises:
            SourceError: As for `SquashfsSource`.
            LimitError: As for `SquashfsSource`.
        """
        if not self._applies_whiteouts:
            yield from super().__iter__()
            return
        whiteouts: set[bytes] = set()
        for entry in super().__iter__():
            is_device = entry.kind is Kind.CHARACTER_DEVICE and entry.device == _WHITEOUT_DEVICE
            if is_device or (entry.kind is Kind.HARD_LINK and entry.target in whiteouts):
                whiteouts.add(entry.path)
                directory, slash, name = entry.path.rpartition(b"/")
                yield Entry(directory + slash + WHITEOUT_PREFIX + name, Kind.FILE)
            elif entry.kind is Kind.DIRECTORY and any(name in _OPAQUE_NAMES for name, _ in entry.xattrs):
                is_opaque = any(name in _OPAQUE_NAMES and value == _OPAQUE for name, value in entry.xattrs)
                kept = tuple(pair for pair in entry.xattrs if pair[0] not in _OPAQUE_NAMES)
                yield replace(entry, xattrs=kept)
                if is_opaque and entry.path:  # overlayfs never takes the root of a layer for opaque
                    yield Entry(entry.path + b"/" + OPAQUE_WHITEOUT, Kind.FILE)
            else:
                yield entry

    def close(self) -> None:
        """Close the image and its copy. Harmless when called twice."""
        super().close()
        self._file.close()

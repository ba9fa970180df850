"""Layer streams: follows zstd frames from block to block, to know whether a stream ends where a frame does.

In: a zstd stream's raw bytes, in any pieces. Out: whether it is between two frames.
On disk: RFC 8878, section 3.1.
Not here: decompression (stream). Damage inside frames is the decoder's to find.
"""

from __future__ import annotations

__all__ = ["FrameScanner"]

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES = (0, 2, 4, 8)
_RLE_BLOCK = 1


class FrameScanner:
    """Hops over blocks by their headers; a few steps for each 128 KiB."""

    __slots__ = ("_has_checksum", "_need", "_part", "_skip", "_state")

    def __init__(self) -> None:
        """Start in front of a frame."""
        self._state = self._magic
        self._need = 4
        self._part = b""  # of the header that `_state` waits for
        self._skip = 0
        self._has_checksum = False

    @property
    def is_between_frames(self) -> bool:
        """Whether all that was fed makes whole frames."""
        return self._state == self._magic and not self._part and not self._skip

    def feed(self, data: bytes) -> None:
        """Follow some more of the stream."""
        position, end = 0, len(data)
        while position < end:
            if self._skip:
                hop = min(self._skip, end - position)
                self._skip -= hop
                position += hop
                continue
            taken = data[position : position + self._need - len(self._part)]
            self._part += taken
            position += len(taken)
            if len(self._part) == self._need:
                header, self._part = self._part, b""
                self._state(header)

    def _magic(self, header: bytes) -> None:
        # "Magic_Number: 4 bytes"; anything but zstd's own is a skippable frame here, or the decoder's to refuse
        self._state, self._need = (self._descriptor, 1) if header == _MAGIC else (self._skippable_size, 4)

    def _skippable_size(self, header: bytes) -> None:
        self._skip = int.from_bytes(header, "little")
        self._state, self._need = self._magic, 4

    def _descriptor(self, header: bytes) -> None:
        # "Frame_Header_Descriptor": content size flag, single segment, unused, reserved, checksum, dictionary id flag
        bits = header[0]
        is_single_segment = bits >> 5 & 1
        self._has_checksum = bool(bits >> 2 & 1)
        content_size_size = _CONTENT_SIZE_SIZES[bits >> 6] or is_single_segment
        self._skip = (1 - is_single_segment) + _DICTIONARY_ID_SIZES[bits & 3] + content_size_size
        self._state, self._need = self._block, 3

    def _block(self, header: bytes) -> None:
        # "Block_Header: Last_Block, Block_Type, Block_Size"
        bits = int.from_bytes(header, "little")
        self._skip = 1 if bits >> 1 & 3 == _RLE_BLOCK else bits >> 3
        if bits & 1:
            self._skip += 4 * self._has_checksum
            self._state, self._need = self._magic, 4

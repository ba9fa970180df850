"""Checksums: a quick sum over bytes, by which equal ones are found; whether they are equal is another question."""

from __future__ import annotations

from typing import Any

crc32: Any
try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this platform: zlib's takes several times as long, and is still the least of all
    from zlib import crc32

__all__ = ["crc32"]

"""Format: the struct module's format of each record. Made by `make docs` from the records: do not edit."""

from __future__ import annotations

from typing import Final

__all__ = ["FORMATS"]

FORMATS: Final[dict[str, str]] = {
    "Superblock": "<LLLLLHHHHHHQQQQQQQQ",
    "GzipOptions": "<LHH",
    "XzOptions": "<LL",
    "Lz4Options": "<LL",
    "ZstdOptions": "<L",
    "LzoOptions": "<LL",
    "MetadataHeader": "<H",
    "TableLocation": "<Q",
    "Id": "<L",
    "ExportRef": "<Q",
    "DataWord": "<L",
    "FragmentEntry": "<QLL",
    "InodeHeader": "<HHHHLL",
    "BasicDirectory": "<LLHHL",
    "ExtendedDirectory": "<LLLLHHL",
    "BasicFile": "<LLLL",
    "ExtendedFile": "<QQQLLLL",
    "BasicSymlink": "<LL",
    "XattrIndex": "<L",
    "BasicDevice": "<LL",
    "ExtendedDevice": "<LLL",
    "BasicIpc": "<L",
    "ExtendedIpc": "<LL",
    "DirectoryHeader": "<LLL",
    "DirectoryEntry": "<HhHH",
    "DirectoryIndex": "<LLL",
    "XattrEntry": "<HH",
    "XattrValue": "<L",
    "XattrRef": "<Q",
    "XattrId": "<QLL",
    "XattrTable": "<QLL",
}

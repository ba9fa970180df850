"""pysquash: turn tar layers into SquashFS 4.0 images, in pure Python."""

from pysquash.api import build, tar2squashfs
from pysquash.comparison import Difference, diff
from pysquash.errors import (
    CorruptImageError,
    ImageError,
    InputError,
    LimitError,
    MergeError,
    NotSquashfsError,
    OptionError,
    PathIsDirectoryError,
    PathNotDirectoryError,
    PathNotFoundError,
    SourceError,
    SquashfsError,
    UnsupportedEntryError,
    UnsupportedImageError,
    VerificationError,
)
from pysquash.format.rules import Rule
from pysquash.fsck.check import check
from pysquash.fsck.findings import Finding
from pysquash.options import Limits, WriterOptions
from pysquash.reader.image import SquashfsImage
from pysquash.report import Report
from pysquash.squashfs_writer import SquashfsWriter

__all__ = [
    "CorruptImageError",
    "Difference",
    "Finding",
    "ImageError",
    "InputError",
    "LimitError",
    "Limits",
    "MergeError",
    "NotSquashfsError",
    "OptionError",
    "PathIsDirectoryError",
    "PathNotDirectoryError",
    "PathNotFoundError",
    "Report",
    "Rule",
    "SourceError",
    "SquashfsError",
    "SquashfsImage",
    "SquashfsWriter",
    "UnsupportedEntryError",
    "UnsupportedImageError",
    "VerificationError",
    "WriterOptions",
    "__version__",
    "build",
    "check",
    "diff",
    "tar2squashfs",
]

__version__ = "0.1.0"

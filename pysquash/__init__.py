"""pysquash: turn tar layers into SquashFS 4.0 images, in pure Python."""

TYPE_CHECKING = False  # typing takes longer to import than a program may take to be interruptible
if TYPE_CHECKING:  # what _HOMES says, for type checkers
    from typing import Any

    from pysquash.api import build, build_layers, tar2squashfs
    from pysquash.edits.overrides import Overrides
    from pysquash.edits.owners import IdRange, Owners
    from pysquash.errors import (
        CorruptImageError,
        ExecutorError,
        ImageError,
        InputError,
        LimitError,
        MergeError,
        NotSquashfsError,
        OptionError,
        OptionTypeError,
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
    from pysquash.fsck.comparison import Difference, diff
    from pysquash.fsck.findings import Finding
    from pysquash.notices import WarningGroup, WarningKind
    from pysquash.options.limits import Limits
    from pysquash.options.writer import WriterOptions
    from pysquash.packing.squashfs_writer import SquashfsWriter
    from pysquash.packing.subtree import Part
    from pysquash.reader.image import SquashfsImage
    from pysquash.report import Report
    from pysquash.sources.oci.registry_access import RegistryAccess
    from pysquash.vm.config_output import ConfigOutput

__all__ = [
    "ConfigOutput",
    "CorruptImageError",
    "Difference",
    "ExecutorError",
    "Finding",
    "IdRange",
    "ImageError",
    "InputError",
    "LimitError",
    "Limits",
    "MergeError",
    "NotSquashfsError",
    "OptionError",
    "OptionTypeError",
    "Overrides",
    "Owners",
    "Part",
    "PathIsDirectoryError",
    "PathNotDirectoryError",
    "PathNotFoundError",
    "RegistryAccess",
    "Report",
    "Rule",
    "SourceError",
    "SquashfsError",
    "SquashfsImage",
    "SquashfsWriter",
    "UnsupportedEntryError",
    "UnsupportedImageError",
    "VerificationError",
    "WarningGroup",
    "WarningKind",
    "WriterOptions",
    "__version__",
    "build",
    "build_layers",
    "check",
    "diff",
    "tar2squashfs",
]

__version__ = "0.1.0"

# Where each name is. It is imported when it is first asked for: who reads an image needs no writer, and who asks for
# the version needs neither.
_HOMES = {
    "api": ("build", "build_layers", "tar2squashfs"),
    "fsck.comparison": ("Difference", "diff"),
    "errors": (
        "CorruptImageError",
        "ExecutorError",
        "ImageError",
        "InputError",
        "LimitError",
        "MergeError",
        "NotSquashfsError",
        "OptionError",
        "OptionTypeError",
        "PathIsDirectoryError",
        "PathNotDirectoryError",
        "PathNotFoundError",
        "SourceError",
        "SquashfsError",
        "UnsupportedEntryError",
        "UnsupportedImageError",
        "VerificationError",
    ),
    "format.rules": ("Rule",),
    "fsck.check": ("check",),
    "fsck.findings": ("Finding",),
    "notices": ("WarningGroup", "WarningKind"),
    "options.writer": ("Limits", "WriterOptions"),
    "edits.overrides": ("Overrides",),
    "packing.subtree": ("Part",),
    "reader.image": ("SquashfsImage",),
    "report": ("Report",),
    "sources.oci.registry_access": ("RegistryAccess",),
    "packing.squashfs_writer": ("SquashfsWriter",),
    "vm.config_output": ("ConfigOutput",),
    "edits.owners": ("IdRange", "Owners"),
}


if not TYPE_CHECKING:  # which would take any name for one of ours

    def __getattr__(name: str) -> "Any":
        """Import a public name, the first time that it is asked for."""
        from importlib import import_module  # noqa: PLC0415

        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

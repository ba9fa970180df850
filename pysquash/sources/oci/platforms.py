"""OCI: platforms, such as linux/arm64/v8, and which manifest of an index is for one.

In: what a user asks for, or this machine is; an index's descriptors. Out: the first that fits.
Source: "platform" in the OCI image index; GOOS and GOARCH for the names.
Rules kept here: other names for the same are made equal; attestations and what is no image are passed over.
"""

from __future__ import annotations

import platform as host
from collections.abc import Mapping
from typing import Any, NamedTuple

from pysquash.errors import OptionError, OptionTypeError, printable
from pysquash.sources.oci.documents import Descriptor

__all__ = ["Platform", "is_attestation"]

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_IMPLIED_VARIANTS = {
    ("arm64", "v8"): "",
    ("amd64", "v1"): "",
    ("arm", "7"): "v7",
    ("arm", "6"): "v6",
    ("arm64", "8"): "",
}
_ATTESTATION = "vnd.docker.reference.type"
_ARM = "arm"
_SHOWN_SIZE = 40
_UNKNOWN = "unknown"


class Platform(NamedTuple):
    """What an image runs on.

    Attributes:
        system: "linux".
        architecture: As Go names it: "amd64", "arm64", "arm".
        variant: "v7", or "" for any.
    """

    system: str
    architecture: str
    variant: str

    def __str__(self) -> str:
        text = "/".join(part for part in self if part)
        return printable(text.encode("utf-8", "surrogatepass"))[:_SHOWN_SIZE]

    @classmethod
    def parse(cls, text: str | None) -> Platform:
        """Read what a user asks for; None for Linux on this machine.

        Raises:
            OptionError: It is not os/arch or os/arch/variant.
        """
        if text is None:
            return cls._made("linux", host.machine().lower(), "")
        if not isinstance(text, str):
            raise OptionTypeError(f"platform must be os/arch or os/arch/variant, not {text!r:.80}")
        parts = text.lower().split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise OptionError(f"platform must be os/arch or os/arch/variant, not {text!r}")
        return cls._made(parts[0], parts[1], parts[2] if len(parts) == 3 else "")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Platform:
        """Take what a document says, in a descriptor's platform or in a configuration."""
        system, architecture, variant = (str(fields.get(key) or "") for key in ("os", "architecture", "variant"))
        return cls._made(system.lower(), architecture.lower(), variant.lower())

    @classmethod
    def _made(cls, system: str, architecture: str, variant: str) -> Platform:
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant or implied
        return cls(system, architecture, _IMPLIED_VARIANTS.get((architecture, variant), variant))

    def takes(self, other: Platform) -> bool:
        """Tell whether an image for another platform is what is asked for.

        Of ARM's 32 bits any variant will do where none is asked for, and what says none is v7. Elsewhere none stands
        for the first, which runs everywhere; what needs more is taken only where it is asked for.
        """
        if self[:2] != other[:2]:
            return False
        if self.architecture != _ARM:
            return self.variant == other.variant
        return not self.variant or self.variant == (other.variant or "v7")

    def contradicts(self, other: Platform) -> bool:
        """Return whether a configuration is for another platform. A field that it leaves out fits any."""
        if self.is_other_architecture(other):
            return True
        return bool(other.variant) and not self.takes(
            other._replace(system=self.system, architecture=self.architecture)
        )

    def is_other_architecture(self, other: Platform) -> bool:
        """Return whether system or architecture of a configuration differ. One that it leaves out fits any."""
        return any(there and there != wanted for wanted, there in zip(self[:2], other[:2], strict=True))


def is_attestation(descriptor: Descriptor) -> bool:
    """Tell whether a descriptor is of what is said about an image, and of no image."""
    if _ATTESTATION in descriptor.annotations:
        return True
    fields = descriptor.platform
    return fields is not None and fields.get("os") == _UNKNOWN and fields.get("architecture") == _UNKNOWN

"""Config output: where an image's configuration goes, beside the image and into it.

In: what the caller wants, and the configuration of the topmost container image. Out: a step that writes it.
Rules kept here: the file beside the image appears when the image does, whole, and not at all otherwise.
Not here: what is in it (image_config, formats).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pysquash.edits.merged_tree import MergedTree, Step
from pysquash.errors import OptionError
from pysquash.notices import WarningKind
from pysquash.sources.files import Attributes
from pysquash.vm.formats import FORMATS, ConfigFormat
from pysquash.vm.image_config import ImageConfig, run_config
from pysquash.writer.output import Output, OutputTarget

__all__ = ["ConfigOutput", "write_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigOutput:
    """Where the configuration of a container image goes; to one place at least.

    Attributes:
        file: A path on the host, which appears together with the image, or a seekable binary file.
        in_image: A path in the image, over what is there.
        format: "json" is our own, "oci" a runtime's config.json, "fly" and "thi" the run.json of these inits.
    """

    file: OutputTarget | None = None
    in_image: str | bytes | None = None
    format: ConfigFormat = "json"

    def __post_init__(self) -> None:
        """Refuse an unknown format, and one that goes nowhere."""
        if self.format not in FORMATS:
            raise OptionError(f"the format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.file is None and self.in_image is None:
            raise OptionError("a configuration goes to a file, into the image, or both")

    def check_apart_from(self, output: OutputTarget) -> None:
        """Refuse to write both to the same place.

        Raises:
            OptionError: They are the same path or file.
        """
        paths = [os.path.realpath(each) for each in (self.file, output) if isinstance(each, str | os.PathLike)]
        if self.file is output or (len(paths) == 2 and paths[0] == paths[1]):
            raise OptionError("the image and its configuration go to the same file")


def write_config(wanted: ConfigOutput, image: ImageConfig, output: Output | None, owner: Attributes) -> Step:
    """Make the step that writes the configuration.

    Args:
        wanted: What the caller wants.
        image: What the image says.
        output: The file beside the image, not kept yet; None for none.
        owner: Whose the file in the image is.
    """

    def step(tree: MergedTree) -> None:
        config = run_config(image, tree)
        if wanted.format == "oci" and not image.entrypoint and not image.cmd:
            text = "the image has neither entrypoint nor cmd; config.json runs /bin/sh"
            tree.warn(WarningKind.CONFIG_INCOMPLETE, text, source=image.source)
        if wanted.format == "thi" and not config.user.name:
            text = f"etc/passwd has no name for user {config.user.uid}, and thi needs one"
            tree.warn(WarningKind.CONFIG_INCOMPLETE, text, source=image.source)
        content = FORMATS[wanted.format](config)
        if output is not None:
            output.write(content)
        if wanted.in_image is not None:
            tree.put_file((wanted.in_image, content, owner))

    return step

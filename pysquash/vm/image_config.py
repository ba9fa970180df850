"""Image configuration: what a container image says of how it is to be run, made whole with what its tree says.

In: an image's configuration document, and the merged tree. Out: a `RunConfig`.
Source: the OCI image specification, "Image Configuration".
Rules kept here: the user is resolved in the etc/passwd and etc/group of the merged tree, which is what the VM will see;
HOME is passwd's, unless the image sets it.
Not here: how it is written (formats).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import SourceError
from pysquash.sources.oci.documents import text_items
from pysquash.sources.oci.platforms import Platform
from pysquash.tree.entry import Kind
from pysquash.vm.users import User, resolve_user

__all__ = ["KEPT_NAMES", "ImageConfig", "RunConfig", "parse_image_config", "run_config"]

KEPT_NAMES = (b"passwd", b"group")
"""How the names of files end whose content is asked for."""


class ImageConfig(NamedTuple):
    """What an image's configuration says.

    Attributes:
        source: What messages call the image.
        entrypoint: The first arguments of the command.
        cmd: The further ones, which callers may replace.
        env: NAME=VALUE, each name once.
        working_dir: An absolute path.
        user: As it says.
        stop_signal: What asks the command to end; "" for SIGTERM.
        labels: Whatever the image's maker wanted to say.
        exposed_ports: As "8080/tcp".
        volumes: Paths that data is to be kept in.
        platform: What it runs on.
    """

    source: str
    entrypoint: list[str]
    cmd: list[str]
    env: list[str]
    working_dir: str
    user: str
    stop_signal: str
    labels: dict[str, str]
    exposed_ports: list[str]
    volumes: list[str]
    platform: Platform


class RunConfig(NamedTuple):
    """What an init needs to know.

    Attributes:
        image: What the image says.
        user: Who runs the command.
        env: As the image's, with HOME.
    """

    image: ImageConfig
    user: User
    env: list[str]


def parse_image_config(document: Mapping[str, Any], *, source: str) -> ImageConfig:
    """Take out of a configuration document what is needed.

    Args:
        document: The whole of it.
        source: What errors name.

    Raises:
        SourceError: Something in it is not of its kind.
    """
    config = document.get("config")
    if config is None:
        config = {}
    if not isinstance(config, dict):
        raise SourceError("its configuration has a config that is no object", source=source)
    working_dir = _text(config, "WorkingDir", source=source)
    return ImageConfig(
        source,
        text_items(config.get("Entrypoint"), source=source, what="its Entrypoint"),
        text_items(config.get("Cmd"), source=source, what="its Cmd"),
        _environment(text_items(config.get("Env"), source=source, what="its Env")),
        working_dir if working_dir.startswith("/") else f"/{working_dir}",
        _text(config, "User", source=source),
        _text(config, "StopSignal", source=source),
        _labels(config, source=source),
        _keys(config, "ExposedPorts", source=source),
        _keys(config, "Volumes", source=source),
        Platform.of(document),
    )


def run_config(image: ImageConfig, tree: MergedTree) -> RunConfig:
    """Resolve in a tree what an image says.

    Raises:
        SourceError: Its user is not there, or the files that say so cannot be read.
    """
    user = resolve_user(
        image.user, _file_text(tree, b"etc/passwd"), _file_text(tree, b"etc/group"), source=image.source
    )
    has_home = any(text.startswith("HOME=") for text in image.env)
    return RunConfig(image, user, image.env if has_home else [*image.env, f"HOME={user.home}"])


def _file_text(tree: MergedTree, path: bytes) -> str | None:
    """Give a file's text, or None where there is no such file."""
    node = tree.find(path)
    if node is None or node.kind is not Kind.FILE:
        return None
    content = tree.content(node)
    if content is None:
        raise SourceError(
            "is over 1 MiB, or a symlink leads from it to another name, so the user cannot be looked up", entry=path
        )
    return content.decode("utf-8", "surrogateescape")


def _environment(texts: list[str]) -> list[str]:
    """Keep the last value of each name, in the place of the first; a name without a value is not set."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name:
            values[name] = value
        else:
            values.pop(name, None)
    return [f"{name}={value}" for name, value in values.items()]


def _text(config: Mapping[str, Any], field: str, *, source: str) -> str:
    value = config.get(field)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise SourceError(f"its {field} is {value!r:.80}, which is no text", source=source)
    return value


def _keys(config: Mapping[str, Any], field: str, *, source: str) -> list[str]:
    value = config.get(field)
    if value is None:
        return []
    if not isinstance(value, dict):
        raise SourceError(f"its {field} is {value!r:.80}, which is no object", source=source)
    return sorted(value)


def _labels(config: Mapping[str, Any], *, source: str) -> dict[str, str]:
    labels = config.get("Labels")
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise SourceError("its Labels are no texts by name", source=source)
    return dict(sorted(labels.items()))

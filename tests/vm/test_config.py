"""How a container image is to be run: what is written, where, and from whose etc/passwd."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import ConfigOutput, Part, SourceError, WriterOptions
from pysquash.vm.formats import FORMATS
from pysquash.vm.image_config import RunConfig, parse_image_config
from pysquash.vm.users import User
from tests.noticing import texts
from tests.snapshot import kernel_tree, mounted
from tests.vm.images import GROUP, PASSWD, built, container_image, layer, text

GOLDEN = Path(__file__).parent / "golden"
CONFIG = {
    "User": "app",
    "Entrypoint": ["/usr/bin/app", "--serve"],
    "Cmd": ["--port", "80"],
    "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8", "REMOVED", "LANG=C", "EMPTY="],
    "WorkingDir": "/srv",
    "StopSignal": "SIGQUIT",
    "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
    "Volumes": {"/data": {}},
    "Labels": {"b": "2", "a": "1"},
}
ACCOUNTS = layer({"etc/": None, "etc/passwd": PASSWD, "etc/group": GROUP})


def image_of(folder: Path, *layers: bytes, config: Any = CONFIG) -> str:
    return container_image(folder / "oci", layers, config)


def config_of(folder: Path, sources: list[Any], **options: Any) -> dict[str, Any]:
    built(folder, sources, config=ConfigOutput(file=folder / "config"), platform="linux/amd64", **options).close()
    document: dict[str, Any] = json.loads((folder / "config").read_text())
    return document


@pytest.mark.parametrize("shape", ["json", "oci", "fly", "thi"])
def test_formats(shape: Any, tmp_path: Path) -> None:
    config = ConfigOutput(file=tmp_path / "config", in_image="lib/init/run.json", format=shape)
    base = image_of(tmp_path, ACCOUNTS, layer({"usr/lib/": None, "lib": "-> usr/lib"}))
    with built(tmp_path, [base], config=config, platform="linux/amd64") as image:
        assert text(image, "usr/lib/init/run.json") == (GOLDEN / f"{shape}.json").read_text()
        assert (image / "usr/lib/init/run.json").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "config").read_text() == (GOLDEN / f"{shape}.json").read_text()


def test_the_kernel_sees_what_is_in_the_image(tmp_path: Path) -> None:
    config = ConfigOutput(in_image="etc/run.json")
    built(tmp_path, [image_of(tmp_path, ACCOUNTS)], config=config, platform="linux/amd64").close()
    assert b"etc/run.json" in kernel_tree(tmp_path / "image.squashfs", tmp_path)
    with mounted(tmp_path / "image.squashfs", tmp_path) as point:
        assert json.loads((point / "etc/run.json").read_text())["user"]["uid"] == 1000


def test_an_image_that_says_nothing(tmp_path: Path) -> None:
    for config in (None, {}, {"Cmd": None, "Env": None, "User": ""}):
        found = config_of(tmp_path, [image_of(tmp_path, layer({"a": "x"}), config=config)])
        assert (found["entrypoint"], found["cmd"], found["env"]) == ([], [], ["HOME=/"])
        assert found["workingDir"] == "/"
        assert (found["user"]["uid"], found["user"]["gid"], found["user"]["name"]) == (0, 0, "")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({"os": "linux", "architecture": "arm64"}, ("linux", "arm64", "")),
        ({"os": "linux", "architecture": "arm", "variant": "v6"}, ("linux", "arm", "v6")),
        ({"architecture": "aarch64", "variant": "v8"}, ("", "arm64", "")),
        ({}, ("", "", "")),
    ],
)
def test_the_platform(says: dict[str, str], expected: tuple[str, ...]) -> None:
    image = parse_image_config(says, source="image")
    config = RunConfig(image, User("", 0, 0, (), "/"), [])
    own, runtime = (json.loads(FORMATS[shape](config)) for shape in ("json", "oci"))
    assert (own["os"], own["architecture"], own["variant"]) == expected
    names = [f"org.opencontainers.image.{name}" for name in ("os", "architecture", "variant")]
    assert runtime["annotations"] == {name: value for name, value in zip(names, expected, strict=True) if value}


def test_a_home_of_the_image_s_own_stays(tmp_path: Path) -> None:
    found = config_of(tmp_path, [image_of(tmp_path, ACCOUNTS, config={"User": "app", "Env": ["HOME=/x"]})])
    assert found["env"] == ["HOME=/x"]


@pytest.mark.parametrize(
    "accounts",
    [
        {"etc/passwd": PASSWD, "etc/group": GROUP},
        {"etc": "-> private/etc", "private/etc/passwd": PASSWD, "private/etc/group": GROUP},
        {
            "etc/passwd": "-> /nix/0abc-passwd",
            "nix/0abc-passwd": PASSWD,
            "etc/group": "-> ../x/group",
            "x/group": GROUP,
        },
        {"usr/share/passwd": PASSWD, "etc/passwd": "= usr/share/passwd", "etc/group": GROUP},
    ],
)
def test_where_passwd_may_be(accounts: dict[str, str], tmp_path: Path) -> None:
    found = config_of(tmp_path, [image_of(tmp_path, layer(accounts))])
    assert (found["user"]["gid"], found["user"]["additionalGids"]) == (1001, [50, 63])


def test_the_merged_tree_s_passwd_counts(tmp_path: Path) -> None:
    upper = PASSWD.replace("1000:1001", "2000:2001")
    base = image_of(tmp_path, ACCOUNTS, layer({"etc/passwd": upper}))
    assert config_of(tmp_path, [base])["user"]["uid"] == 2000
    assert config_of(tmp_path, [base, layer({"etc/.wh.passwd": "", "etc/passwd": PASSWD})])["user"]["uid"] == 1000
    files: list[Any] = [("etc/passwd", PASSWD.replace("1000", "3000").encode(), {})]
    assert config_of(tmp_path, [base], files=files)["user"]["uid"] == 3000
    with pytest.raises(SourceError, match="'app' is a name, and there is no etc/passwd"):
        config_of(tmp_path, [base], exclude=["etc/passwd"])
    default: list[Any] = [("etc/passwd", PASSWD.replace("1000", "4000").encode(), {})]
    assert config_of(tmp_path, [base], exclude=["etc/passwd"], default_files=default)["user"]["uid"] == 4000


def test_a_passwd_that_seemed_hidden_and_is_not(tmp_path: Path) -> None:
    # The upper layer's etc/passwd goes to other/passwd, and so the one that it seems to hide stays.
    layers = [
        layer({"real/passwd": PASSWD, "etc": "-> real"}),
        layer({"etc/passwd": "x:x:1:1::/:"}),
        layer({"etc/": None}),
    ]
    layers.append(layer({"etc/passwd": "= real/passwd"}))
    found = config_of(tmp_path, [image_of(tmp_path, *layers, config={"User": "x"})])
    assert found["user"]["uid"] == 1


def test_a_sparse_passwd(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    with (folder / "etc/passwd").open("wb") as file:
        file.write(PASSWD.encode())
        file.truncate(500_000)
    found = config_of(tmp_path, [image_of(tmp_path, layer({"a": "x"}), config={"User": "app"}), f"dir:{folder}"])
    assert found["user"]["uid"] == 1000


def test_a_passwd_that_cannot_be_read(tmp_path: Path) -> None:
    large = image_of(tmp_path, layer({"etc/passwd": PASSWD + "#" * (1 << 20)}))
    with pytest.raises(SourceError, match="etc/passwd: is over 1 MiB"):
        config_of(tmp_path, [large])
    elsewhere = container_image(tmp_path / "2", [layer({"etc/passwd": "-> users", "etc/users": PASSWD})], CONFIG)
    with pytest.raises(SourceError, match="etc/passwd: is over 1 MiB, or a symlink leads from it to another name"):
        config_of(tmp_path, [elsewhere])
    circle = container_image(tmp_path / "3", [layer({"etc/passwd": "-> passwd", "etc/group": "-> /"})], CONFIG)
    with pytest.raises(SourceError, match="there is no etc/passwd"):
        config_of(tmp_path, [circle])


def test_the_topmost_image_counts_and_a_part_does_not(tmp_path: Path) -> None:
    one = container_image(tmp_path / "1", [ACCOUNTS], {"Cmd": ["one"]})
    two = container_image(tmp_path / "2", [layer({"b": "x"})], {"Cmd": ["two"]})
    assert config_of(tmp_path, [one, two])["cmd"] == ["two"]
    assert config_of(tmp_path, [two, one, layer({"c": "x"})])["cmd"] == ["one"]
    assert config_of(tmp_path, [one, Part(two, ["b"])])["cmd"] == ["one"]
    with pytest.raises(pysquash.OptionError, match="none of the sources is a container image"):
        config_of(tmp_path, [layer({"c": "x"}), Part(two, ["b"])])


def test_nothing_is_left_when_it_fails(tmp_path: Path) -> None:
    good = image_of(tmp_path, ACCOUNTS, config={"User": "nobody"})
    with pytest.raises(SourceError, match="'nobody' is not in the image's etc/passwd"):
        config_of(tmp_path, [good])
    assert {path.name for path in tmp_path.iterdir()} == {"oci"}
    (tmp_path / "config").write_text("as before")
    (tmp_path / "bad.tar").write_bytes(ACCOUNTS[:700])
    with pytest.raises(SourceError):
        config_of(tmp_path, [image_of(tmp_path, ACCOUNTS), str(tmp_path / "bad.tar")])
    assert (tmp_path / "config").read_text() == "as before"
    assert {path.name for path in tmp_path.iterdir()} == {"oci", "config", "bad.tar"}
    with pytest.raises(FileNotFoundError):
        built(
            tmp_path,
            [image_of(tmp_path, ACCOUNTS)],
            config=ConfigOutput(file=tmp_path / "no/config"),
            platform="linux/amd64",
        )
    assert not (tmp_path / "image.squashfs").exists()


def test_a_file_object_takes_it_too(tmp_path: Path) -> None:
    file = io.BytesIO()
    built(tmp_path, [image_of(tmp_path, ACCOUNTS)], config=ConfigOutput(file=file), platform="linux/amd64").close()
    assert json.loads(file.getvalue())["workingDir"] == "/srv"


def test_outputs_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(pysquash.OptionError, match="json, oci, fly, thi, not 'yaml'"):
        ConfigOutput(file="x", format="yaml")  # type: ignore[arg-type]
    with pytest.raises(pysquash.OptionError, match="to a file, into the image, or both"):
        ConfigOutput()
    base = image_of(tmp_path, ACCOUNTS)
    with pytest.raises(pysquash.OptionError, match="go to the same file"):
        pysquash.build([base], tmp_path / "image", config=ConfigOutput(file=tmp_path / "oci/../image"))
    with pytest.raises(pysquash.MergeError, match="etc: is a directory, and a file was to be put there"):
        built(tmp_path, [base], config=ConfigOutput(in_image="etc"), platform="linux/amd64")
    with pytest.raises(pysquash.SourceError, match="needs a name"):
        built(tmp_path, [base], config=ConfigOutput(in_image="/"), platform="linux/amd64")


def test_what_is_in_the_way_goes(tmp_path: Path) -> None:
    base = image_of(tmp_path, ACCOUNTS, layer({"run.json": "-> etc/passwd"}))
    with built(tmp_path, [base], config=ConfigOutput(in_image="run.json"), platform="linux/amd64") as image:
        assert json.loads(text(image, "run.json"))["cmd"] == ["--port", "80"]
        assert text(image, "etc/passwd") == PASSWD


@pytest.mark.parametrize(
    ("shape", "match"), [("oci", "neither entrypoint nor cmd"), ("thi", "no name for user 7, and thi")]
)
def test_what_a_format_cannot_say_is_a_warning(shape: Any, match: str, tmp_path: Path) -> None:
    base = image_of(tmp_path, ACCOUNTS, config={"User": "7"})
    config = ConfigOutput(file=tmp_path / "config", format=shape)
    report = pysquash.build([base], tmp_path / "image", config=config, platform="linux/amd64")
    assert [match in line for line in texts(report.warnings)] == [True]
    with pytest.raises(SourceError, match=match):
        pysquash.build(
            [base], tmp_path / "i", config=config, platform="linux/amd64", options=WriterOptions(strict=True)
        )


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ([], "a config that is no object"),
        ({"Cmd": "a"}, "its Cmd is no list of texts"),
        ({"Env": [1]}, "its Env is no list of texts"),
        ({"User": 5}, "its User is 5, which is no text"),
        ({"WorkingDir": ["/"]}, "its WorkingDir is"),
        ({"Labels": {"a": 1}}, "its Labels are no texts"),
        ({"Volumes": ["/"]}, "its Volumes is .* which is no object"),
    ],
)
def test_configurations_that_are_none(config: object, match: str) -> None:
    with pytest.raises(SourceError, match=f"image: .*{match}"):
        parse_image_config({"config": config}, source="image")

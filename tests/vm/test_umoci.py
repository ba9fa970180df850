"""The configuration of a runtime, beside the one that umoci makes of the same image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pysquash import ConfigOutput, SourceError
from tests.snapshot import need_root, need_tool, run
from tests.vm.images import GROUP, PASSWD, built, container_image, layer


@pytest.mark.parametrize(
    "user", ["", "root", "app", "1000", "app:staff", "1000:50", "4321", "4321:staff", "nobody", "app:nobody", "a:b:c"]
)
def test_user_arguments_and_environment_are_umoci_s(user: str, tmp_path: Path) -> None:
    need_root()
    need_tool("umoci", "umoci")
    config = {"User": user, "Entrypoint": ["/a"], "Cmd": ["b"], "Env": ["A=1", "PATH=/x"], "WorkingDir": "/w"}
    accounts = layer({"etc/": None, "etc/passwd": PASSWD, "etc/group": GROUP})
    source = container_image(tmp_path / "oci", [accounts], config)
    done = run(["umoci", "unpack", "--image", f"{tmp_path}/oci:latest", tmp_path / "bundle"])
    output = ConfigOutput(file=tmp_path / "config.json", format="oci")
    if done.returncode:
        with pytest.raises(SourceError, match="its user"):
            built(tmp_path, [source], config=output, platform="linux/amd64")
        return
    built(tmp_path, [source], config=output, platform="linux/amd64")
    ours = json.loads((tmp_path / "config.json").read_text())
    theirs = json.loads((tmp_path / "bundle/config.json").read_text())
    assert ours["process"]["args"] == theirs["process"]["args"]
    assert ours["process"]["cwd"] == theirs["process"]["cwd"]
    # umoci adds TERM, which is the host's to say, and no HOME where passwd has none; Docker says "/" then.
    environment = set(theirs["process"]["env"]) - {"TERM=xterm"}
    assert set(ours["process"]["env"]) - environment <= {"HOME=/"}
    assert environment <= set(ours["process"]["env"])
    ids = ours["process"]["user"]
    assert (ids["uid"], ids["gid"]) == (theirs["process"]["user"]["uid"], theirs["process"]["user"]["gid"])
    additional = theirs["process"]["user"].get("additionalGids", [])
    assert set(additional) | {ids["gid"]} == set(ids["additionalGids"])

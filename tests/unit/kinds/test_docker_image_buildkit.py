# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_image and BuildKit: who builds, what buildx is told, and what is made of what it says."""

from __future__ import annotations

import io
import json

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import buildkit, docker_plugins
from ansible_collections.strata.virt.plugins.module_utils.kinds import image as kind
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_image import DockerImage

SECRET = {"id": "token", "type": "value", "value": "s3cr3t"}


class Daemon:
    """A daemon with one image or none, that notes what it is to build."""

    has_buildx, stores_in_containerd = True, False

    def __init__(self) -> None:
        self.labels: dict | None = None
        self.layers = 3
        self.told: list[tuple] = []

    def images(self):
        return [] if self.labels is None else [{"Id": "sha256:1", "RepoTags": ["web:1"], "Labels": self.labels}]

    def containers(self):
        return []

    def shape(self, image):
        return str(self.layers)

    def build(self, reference, context, options):
        self.told.append(("build", reference))

    def build_kit(self, what, context, options, secrets, output=None):
        assert context.read(1) or context.seek(0) == 0
        self.labels = options["labels"]
        self.told.append(("build_kit", options["labels"][kind.SHAPE], options["nocache"], secrets, output))
        return "sha256:1"

    def tag(self, image, reference):
        self.told.append(("tag", image, reference))

    def sweep(self, label):
        self.told.append(("sweep", label))


def declared(path, **build) -> DockerImage:
    return DockerImage({"name": "web:1", "build": {"path": str(path), **build}})


def plan(daemon: Daemon, resource: DockerImage):
    return resource.plan(read_one(resource, daemon))


@pytest.fixture
def context(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


@pytest.mark.parametrize(
    ("build", "has_buildx", "by_buildkit"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"builder": "auto"}, True, True),
        ({"builder": "classic"}, True, False),
        ({"builder": "buildkit"}, True, True),
        ({"network": "none"}, True, True),
        ({"network": "front"}, True, False),
    ],
)
def test_who_builds(context, build, has_buildx, by_buildkit):
    daemon, resource = Daemon(), declared(context, **build)
    daemon.has_buildx = has_buildx
    resource.create(daemon, plan(daemon, resource))
    assert {one[0] for one in daemon.told} & {"build", "build_kit"} == {"build_kit" if by_buildkit else "build"}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ({"builder": "classic", "secrets": [SECRET]}, r"build\.secrets: only BuildKit has it"),
        ({"builder": "classic", "platform": "linux/amd64,linux/arm64"}, r"build\.platform: only BuildKit"),
        ({"builder": "buildkit", "network": "front"}, r"build\.network: .*Use default, none, host, or build\.builder"),
        ({"ssh": ["default"], "network": "front"}, r"build\.network: "),
        ({"secrets": [SECRET, SECRET]}, "names token twice"),
        ({"secrets": [{"id": "a,src=/etc/shadow", "type": "value", "value": "x"}]}, "is no name of a secret"),
        ({"secrets": [{"id": "a", "type": "file", "value": "x"}]}, "of type file has src, and none of the others"),
        ({"platform": ["Linux/../x"]}, "which is no platform"),
        ({"outputs": [{"type": "tar", "dest": "relative"}]}, "must be an absolute path"),
    ],
)
def test_what_does_not_go_together_is_refused(context, build, said):
    with pytest.raises(StrataError, match=said):
        declared(context, **build)


def test_what_the_host_cannot_is_told_before_anything_is_touched(context):
    daemon = Daemon()
    with pytest.raises(StrataError, match=r"build\.platform: are several.*containerd-snapshotter"):
        plan(daemon, declared(context, platform=["linux/amd64", "linux/arm64"]))
    with pytest.raises(StrataError, match=r"build\.outputs: is to be of type oci.*containerd-snapshotter"):
        plan(daemon, declared(context, outputs=[{"type": "oci", "dest": f"{context}/x"}]))
    daemon.has_buildx = False
    for build in ({"builder": "buildkit"}, {"ssh": ["default"]}):
        with pytest.raises(StrataError, match=r"needs Docker's plugin buildx.*docker-buildx-plugin"):
            plan(daemon, declared(context, **build))


def test_it_is_built_again_out_of_the_cache_where_its_shape_was_not_guessed(context):
    daemon, resource = Daemon(), declared(context, nocache=True, secrets=[SECRET])
    resource.create(daemon, plan(daemon, resource))
    secrets = {"token": b"s3cr3t"}
    assert daemon.told == [
        ("build_kit", "?", True, secrets, None),
        ("build_kit", "3", None, secrets, None),
        ("tag", "sha256:1", "web:1"),
        ("sweep", f"{kind.NAME}=web:1"),
    ]
    assert not plan(daemon, resource)
    (context / "more").write_text("x")
    daemon.told.clear()
    resource.recreate(daemon, plan(daemon, resource))
    assert [one[:2] for one in daemon.told] == [
        ("build_kit", "3"),
        ("tag", "sha256:1"),
        ("sweep", f"{kind.NAME}=web:1"),
    ]


def test_one_of_another_shape_is_somebody_elses(context):
    daemon, resource = Daemon(), declared(context)
    resource.create(daemon, plan(daemon, resource))
    daemon.layers += 1
    assert {change.field for change in plan(daemon, resource).changes} == {"context"}


def test_neither_secrets_nor_caches_nor_keys_build_again(context):
    daemon = Daemon()
    declared(context).create(daemon, plan(daemon, declared(context)))
    more = {"secrets": [SECRET], "ssh": ["default"], "cache_to": ["type=inline"], "cache_from": ["web:0"]}
    assert not plan(daemon, declared(context, **more, shm_size="64M", builder="buildkit", nocache=True, pull=True))
    assert plan(daemon, declared(context, target="built")).steps == ("recreate",)


def test_options_are_arguments_and_what_is_not_given_is_none():
    options = {
        "dockerfile": "Dockerfile",
        "buildargs": {"A": "1 2", "B": "="},
        "extrahosts": ["db:192.0.2.7"],
        "platform": "linux/amd64,linux/arm64",
        "nocache": True,
        "pull": False,
        "target": None,
        "cachefrom": [],
        "ssh": ("default=/k",),
        "shmsize": 64 << 20,
    }
    assert buildkit.arguments(options) == [
        "--file=Dockerfile",
        "--build-arg=A=1 2",
        "--build-arg=B==",
        "--add-host=db:192.0.2.7",
        "--platform=linux/amd64,linux/arm64",
        "--no-cache",
        "--ssh=default=/k",
        f"--shm-size={64 << 20}",
    ]


# What buildx 0.13 says of a step that fails.
SAID = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 110B done
#1 DONE 0.0s
#5 [2/2] RUN ["/bin/busybox","sh","-c","echo one; cat /not/there"]
#5 0.301 one
#5 0.302 cat: can't open '/not/there': No such file or directory
#5 ERROR: process "/bin/busybox sh -c echo one; cat /not/there" exit code: 1
------
 > [2/2] RUN ["/bin/busybox","sh","-c","echo one; cat /not/there"]:
0.301 one
0.302 cat: can't open '/not/there': No such file or directory
------
Dockerfile:3
--------------------
   1 |     FROM scratch
--------------------
ERROR: failed to solve: process "/bin/busybox sh -c echo one; cat /not/there" exit code: 1
"""


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """BuildKit with a buildx that notes its arguments and its standard input, and says what it finds in a file."""
    plugin = tmp_path / "docker-buildx"
    plugin.write_text(
        f"""#!/bin/sh
cd {tmp_path}
printf '%s\\n' "$@" >arguments
cat >context
for word; do case $word in
    --metadata-file=*) echo '{{"containerimage.digest": "sha256:1"}}' >"${{word#*=}}";;
    --secret=*) cat "${{word#*src=}}" >secret;;
esac; done
cat said
exit $(cat status)
"""
    )
    plugin.chmod(0o755)
    (tmp_path / "said").write_text(SAID)
    (tmp_path / "status").write_text("0")
    monkeypatch.setattr(docker_plugins, "_FOLDERS", (str(tmp_path),))
    made = object.__new__(buildkit.BuildKit)
    made.url = "unix:///var/run/docker.sock"
    return made


def test_buildx_gets_secrets_by_no_argument(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("STRATA_PROGRESS", str(tmp_path / "progress"))
    context = io.FileIO(tmp_path / "tar", "w+")
    context.write(b"content")
    secret = b"\0s3cr3t" * 100_000  # more than an environment holds, and what none can
    assert engine.build_kit("Building web:1", context, {"pull": True}, {"token": secret}) == "sha256:1"
    assert (tmp_path / "context").read_bytes() == b"content"
    assert (tmp_path / "secret").read_bytes() == secret
    told = (tmp_path / "arguments").read_text().splitlines()
    assert told[:3] == ["build", "--builder=default", "--progress=plain"]
    assert told[-2:] == ["--pull", "-"]
    assert "s3cr3t" not in "\n".join(told)
    said = (tmp_path / "progress").read_text()
    assert said == "Building web:1: 0.302 cat: can't open '/not/there': No such file or directory\n"


def test_a_build_that_fails_says_why_and_the_last_words_of_the_step(engine, tmp_path):
    (tmp_path / "status").write_text("1")
    with pytest.raises(StrataError) as failed:
        engine.build_kit("Building web:1", io.FileIO(tmp_path / "tar", "w+"), {}, {}, {"type": "tar", "dest": 'a",b'})
    assert failed.value.message == (
        'Building web:1 failed: process "/bin/busybox sh -c echo one; cat /not/there" '
        'exit code: 1; its last words: [2/2] RUN ["/bin/busybox","sh","-c","echo one; cat /not/there"]; one; '
        "cat: can't open '/not/there': No such file or directory"
    )
    assert '--output="type=tar","dest=a"",b"' in (tmp_path / "arguments").read_text().splitlines()


def test_labels_have_no_say_in_the_shape_of_an_image(engine, monkeypatch):
    def shape(layers: int, **config) -> str:
        found = {"RootFS": {"Layers": ["sha256:1"] * layers}, "Config": {"Cmd": None, **config}}
        monkeypatch.setattr(engine, "image", lambda _image: found)
        return engine.shape("sha256:1")

    same = {shape(2), shape(2, Labels={"a": "b"}), shape(2, Env=[], Hostname="")}
    assert len(same) == 1
    assert len(same | {shape(3), shape(2, Env=["A=1"]), shape(2, User="1000")}) == 4

    def refused(_image):
        raise StrataError("Docker refused: snapshot sha256:1 does not exist: not found")

    monkeypatch.setattr(engine, "image", refused)
    assert engine.shape("sha256:1") == buildkit.UNKNOWN


def test_where_containerd_stores_images(engine):
    for rows, stored in (([["Backing Filesystem", "extfs"]], False), ([["driver-type", buildkit._CONTAINERD]], True)):
        engine._info = json.loads(json.dumps({"DriverStatus": rows}))
        assert engine.stores_in_containerd is stored

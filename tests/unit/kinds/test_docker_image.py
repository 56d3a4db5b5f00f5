# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_image, read and planned from documents as a daemon (26.1) says them."""

from __future__ import annotations

import json
import os
import tarfile

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import docker_build as words
from ansible_collections.strata.virt.plugins.module_utils.engines.docker_images import _amount
from ansible_collections.strata.virt.plugins.module_utils.kinds import image as kind
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_image import DockerImage

ID = "sha256:" + "1" * 64
DIGEST = "sha256:" + "d" * 64


class Daemon:
    """Images, as the real one lists them."""

    has_buildx = False

    def __init__(self, *images: dict, containers: tuple = (), registry: dict | None = None) -> None:
        self.kept = list(images)
        self.users = list(containers)
        self.registry = registry or {}
        self.steps = [{"CreatedBy": f"/bin/sh -c #(nop)  LABEL {kind.CONTEXT}=sha256:c"}]

    def images(self):
        return self.kept

    def containers(self):
        return self.users

    def history(self, image):
        return self.steps

    def published(self, reference):
        return self.registry.get(reference)


def image(*tags: str, **more) -> dict:
    return {"Id": ID, "RepoTags": list(tags), "RepoDigests": [], "Labels": None, "Size": 42, **more}


def declared(owner: str = "", **options) -> DockerImage:
    return DockerImage({"name": "web:1", **options}, owner=owner)


def plan(daemon: Daemon, resource: DockerImage):
    return resource.plan(read_one(resource, daemon))


def changed(daemon: Daemon, **options) -> set[str]:
    return {change.field for change in plan(daemon, declared(**options)).changes}


@pytest.fixture
def context(tmp_path):
    """A folder to build from."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "tag", "reference"),
    [
        ("web", None, "web:latest"),
        ("web", "1.0", "web:1.0"),
        ("web:2", "1.0", "web:2"),
        ("docker.io/library/web", None, "web:latest"),
        ("docker.io/team/web:1", None, "team/web:1"),
        ("registry.example.com:5000/team/web", None, "registry.example.com:5000/team/web:latest"),
        (f"web@{DIGEST}", None, f"web@{DIGEST}"),
    ],
)
def test_one_name_for_each_spelling(name, tag, reference):
    assert DockerImage({"name": name, "tag": tag}).name == reference
    assert DockerImage.key({"name": name, "tag": tag}) == f"docker_image/{reference}"


@pytest.mark.parametrize("name", ["", "Web", "a/../b", "-x", "x y", "web:", "web:a b", "web@sha256:12"])
def test_bad_names_are_refused(name):
    with pytest.raises(StrataError, match="name"):
        DockerImage({"name": name})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "build"}, "build: is required"),
        ({"source": "load"}, "load_path: is required"),
        ({"source": "pull", "build": {"path": "/srv/web"}}, "build: can't go with source: pull"),
        ({"build": {"path": "/srv/web", "dockerfile": "../Dockerfile"}}, "outside of the context"),
        ({"build": {"path": "srv"}}, "must be an absolute path"),
        ({"name": f"web@{DIGEST}", "load_path": "/srv/web.tar"}, "names a digest"),
    ],
)
def test_what_does_not_go_together_is_refused(options, said):
    with pytest.raises(StrataError, match=said):
        declared(**options)


def test_what_is_there_is_not_pulled_again():
    assert plan(Daemon(), declared()).steps == ("create",)
    assert not plan(Daemon(image("web:1")), declared())


def test_pulled_again_by_digest_only_if_it_was_said():
    daemon = Daemon(image("web:1", RepoDigests=[f"web@{DIGEST}"]), registry={"web:1": DIGEST})
    assert changed(daemon, force_source=True) == set()
    daemon.registry["web:1"] = "sha256:" + "e" * 64
    assert changed(daemon) == set()
    assert changed(daemon, force_source=True) == {"digest"}
    with pytest.raises(StrataError, match="is not in its registry"):
        plan(Daemon(image("web:1")), declared(force_source=True))


def test_what_is_only_expected_has_to_be_there():
    assert not plan(Daemon(image("web:1")), declared(source="local"))
    with pytest.raises(StrataError, match="is not on this host"):
        plan(Daemon(), declared(source="local"))


def built(resource: DockerImage, path, **more) -> dict:
    labels = {
        kind.NAME: "web:1",
        kind.OWNER: "site",
        kind.CONTEXT: words.context_digest(str(path), "Dockerfile"),
        kind.RECIPE: words.options_digest(resource._recipe),
    }
    return image("web:1", Labels={**labels, **more})


def daemon_with(document: dict) -> Daemon:
    daemon = Daemon(document)
    daemon.steps = [{"CreatedBy": f"/bin/sh -c #(nop)  LABEL {key}={item}"} for key, item in document["Labels"].items()]
    return daemon


def test_built_again_when_what_is_in_the_context_or_the_recipe_changes(context):
    build = {"path": str(context), "args": {"A": "1"}}
    daemon = daemon_with(built(declared(build=build), context))
    assert changed(daemon, build=build) == set()
    assert changed(daemon, build={**build, "nocache": True, "pull": True}) == set()
    assert changed(daemon, build={**build, "args": {"A": "2"}}) == {"recipe"}
    assert changed(daemon, build=build, force_source=True) == {"recreate"}
    os.utime(context / "Dockerfile", (1, 1))
    assert changed(daemon, build=build) == set()
    (context / "more").write_text("x")
    assert changed(daemon, build=build) == {"context"}
    (context / "more").unlink()
    (context / "Dockerfile").chmod(0o600)
    assert changed(daemon, build=build) == {"context"}


def test_labels_that_were_inherited_do_not_count(context):
    build = {"path": str(context)}
    document = built(declared(build=build), context)
    daemon = daemon_with(document)
    daemon.steps.insert(0, {"CreatedBy": "/bin/sh -c #(nop) COPY file:c5b9 in /f"})
    assert changed(daemon, build=build) == {"context"}
    other = daemon_with({**document, "RepoTags": ["web:1", "upon:1"]})
    assert DockerImage.read_many(other, ["web:1"])["web:1"].owner == "site"
    assert DockerImage.read_many(other, ["upon:1"])["upon:1"].owner is None


def test_missing_sources_are_named(context):
    (context / "Dockerfile").unlink()
    for options, said in (
        ({"build": {"path": str(context)}}, "build.dockerfile: is not in"),
        ({"build": {"path": f"{context}/none"}}, "build.path: is no folder"),
        ({"load_path": f"{context}/none"}, "load_path: is no file"),
    ):
        with pytest.raises(StrataError, match=said):
            plan(Daemon(), declared(**options))


def archive(path, *images: tuple[str, list[str]]) -> str:
    manifest = path / "manifest.json"
    manifest.write_text(json.dumps([{"Config": config, "RepoTags": tags} for config, tags in images]))
    with tarfile.open(path / "images.tar", "w") as tar:
        tar.add(manifest, "manifest.json")
    return str(path / "images.tar")


def test_loaded_where_the_archive_has_another_image(tmp_path):
    path = archive(tmp_path, (f"{'1' * 64}.json", ["web:1"]), (f"blobs/sha256/{'2' * 64}", ["web:2"]))
    assert changed(Daemon(image("web:1")), load_path=path) == set()
    assert changed(Daemon(image("web:2")), name="web:2", load_path=path) == {"image"}
    with pytest.raises(StrataError, match="has no web:3, but web:1, web:2"):
        plan(Daemon(), declared(name="web:3", load_path=path))
    assert words.chosen({ID: []}, "whatever:1") == ID


def test_further_tags_archive_and_registry_are_compared(tmp_path):
    path = archive(tmp_path, (f"{'1' * 64}.json", ["web:1"]))
    there = {"RepoDigests": [f"r.example.com/web@{DIGEST}"]}
    registry = {"r.example.com/web:1": DIGEST}
    daemon = Daemon(image("web:1", "r.example.com/web:1", **there), registry=registry)
    options = {"repository": ["r.example.com/web:1"], "archive_path": path, "push": True}
    assert changed(daemon, **options) == set()
    registry["r.example.com/web:1"] = "sha256:" + "e" * 64
    assert changed(daemon, **options) == {"pushed"}
    assert changed(Daemon(image("web:1"), registry={}), **options) == {"repository", "pushed"}
    assert changed(Daemon(image("web:1", Id="sha256:" + "3" * 64)), archive_path=path) == {"archive_path"}


def test_one_in_use_is_refused_unless_it_has_another_name():
    user = {"Names": ["/web"], "ImageID": ID, "Id": "f" * 64}
    with pytest.raises(StrataError, match="is in use by web"):
        plan(Daemon(image("web:1"), containers=(user,)), declared(state="absent"))
    for daemon, resource in (
        (Daemon(image("web:1", "web:2"), containers=(user,)), declared(state="absent")),
        (Daemon(image("web:1"), containers=(user,)), declared(state="absent", force_absent=True)),
        (Daemon(image("web:1"), containers=(user,)), declared(owner="site", state="absent")),
    ):
        assert plan(daemon, resource).steps == ("remove",)


def test_images_without_a_tag_are_not_told():
    daemon = Daemon(image("web:1", RepoDigests=[f"web@{DIGEST}"]), image("<none>:<none>", Id="sha256:" + "2" * 64))
    assert set(DockerImage.read_many(daemon, None)) == {"web:1"}
    assert DockerImage.read_many(daemon, ["gone"]).get("gone", ABSENT) is ABSENT


def test_progress_adds_up_over_the_layers():
    layers: dict = {}
    event = {"status": "Downloading", "id": "a", "progressDetail": {"current": 1 << 20, "total": 4 << 20}}
    assert _amount(layers, event) == "downloading 1 of 4 MiB"
    assert _amount(layers, {**event, "id": "b"}) == "downloading 2 of 8 MiB"
    assert _amount(layers, {"status": "Pulling from team/web"}) is None

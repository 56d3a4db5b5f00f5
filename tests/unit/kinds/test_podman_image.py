# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_image: what is otherwise than with docker_image, from documents as Podman (5.4) says them."""

from __future__ import annotations

import json

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_images
from ansible_collections.strata.virt.plugins.module_utils.engines.podman import Each
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_image import PodmanImage

ID = "1" * 64


class Service:
    """Images, as the real one lists them."""

    def __init__(self, *images: dict, registry: dict | None = None) -> None:
        self.kept, self.registry = list(images), registry or {}

    def images(self):
        return self.kept

    def containers(self):
        return []

    def published(self, reference, tls_verify=None):
        return self.registry.get(reference)

    published_id = published


def image(*tags: str, **more) -> dict:
    return {"Id": ID, "RepoTags": list(tags), "RepoDigests": [], "Labels": None, "Size": 42, **more}


def plan(service: Service, **options):
    resource = PodmanImage({"name": "web:1", **options})
    return resource.plan(read_one(resource, service))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("web", "web:latest"),
        ("localhost/web", "web:latest"),
        ("docker.io/library/web:1", "docker.io/library/web:1"),
        ("registry.example.com:5000/team/web", "registry.example.com:5000/team/web:latest"),
    ],
)
def test_what_was_built_here_goes_without_its_registry(name, reference):
    assert PodmanImage({"name": name}).name == reference


def test_a_stack_knows_it_by_both_names():
    assert PodmanImage({"name": "web:1"}).provides() == [("podman_image", "localhost/web:1"), ("podman_image", "web:1")]


def test_a_short_name_is_that_of_what_was_built_here_else_of_what_was_pulled():
    pulled, built = image("docker.io/library/web:1"), image("localhost/web:1", Id="2" * 64)
    assert not plan(Service(pulled))
    assert PodmanImage.read_many(Service(pulled, built), ["web:1"])["web:1"].facts["id"] == "2" * 64
    assert plan(Service(pulled), name="localhost/team/web:1").steps == ("create",)
    assert plan(Service(image("quay.io/team/myweb:1"))).steps == ("create",)


def test_pushed_by_the_id_of_the_image_because_no_digest_is_noted():
    there = "registry.example.com/web:1"
    assert not plan(Service(image(there), registry={there: ID}), name=there, push=True)
    changes = plan(Service(image(there), registry={there: "2" * 64}), name=there, push=True).changes
    assert [change.field for change in changes] == ["pushed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"push": True}, "name: names no registry to push to"),
        ({"push": True, "repository": ["web:2"]}, "repository: names no registry to push to"),
        (
            {"build": {"path": "/srv/web", "network": "none", "etc_hosts": {"db": "192.0.2.7"}}},
            "etc_hosts: can't go with network: none",
        ),
        (
            {"build": {"path": "/srv/web", "platform": "linux/amd64,linux/arm64"}, "archive_path": "/srv/web.tar"},
            "build.platform: are several, and an archive",
        ),
        (
            {"build": {"path": "/srv/web", "platform": ["linux/amd64", "linux/arm64"], "cache_from": ["web"]}},
            "build.cache_from: can't go with several of build.platform",
        ),
        (
            {"build": {"path": "/srv/web", "platform": ["linux/amd64", "arm64"]}},
            "build.platform: are several, of which one doesn't name its processor",
        ),
        (
            {"build": {"path": "/srv/web", "platform": ["linux/arm64", "linux/aarch64"]}},
            "build.platform: are several, of which two are the same to Podman",
        ),
        (
            {"build": {"path": "/srv/web", "secrets": [{"id": "token", "type": "file", "value": "x"}]}},
            "of type file has src, and none of the others",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options, said):
    with pytest.raises(StrataError, match=said):
        plan(Service(), **options)


def test_where_nobody_can_ask_a_registry_that_is_said():
    with pytest.raises(StrataError, match=r"can't be asked for in a registry.*skopeo"):
        plan(Service(image("localhost/web:1"), registry={"web:1": ""}), force_source=True)


def test_options_of_a_build_as_the_service_reads_them(monkeypatch):
    asked = {}
    engine = podman_images.PodmanImages.__new__(podman_images.PodmanImages)
    monkeypatch.setattr(engine, "_follow", lambda path, query, what, body: asked.update(query))
    options = {"dockerfile": "Containerfile", "networkmode": "none", "pull": True, "outputformat": "x"}
    engine.build("web:1", None, options)
    assert asked == {
        "dockerfile": "Containerfile",
        "outputformat": "x",
        "t": "localhost/web:1",
        "layers": True,
        "forcerm": True,
        "pullpolicy": "always",
        "nsoptions": [{"Name": "network", "Host": False}],
        "networkmode": "1",
    }


def test_secrets_of_a_build_go_beside_its_context_and_into_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "key").write_text("f1le")
    monkeypatch.setenv("TOKEN", "v4riable")
    secrets = [
        {"id": "a", "type": "value", "value": "v4lue"},
        {"id": "b", "type": "file", "src": str(tmp_path / "key")},
        {"id": "c", "type": "env", "env": "TOKEN"},
    ]
    with_them = PodmanImage({"name": "web", "build": {"path": str(tmp_path), "secrets": secrets}})
    without = PodmanImage({"name": "web", "build": {"path": str(tmp_path)}})
    build = with_them.spec["build"]
    assert with_them.beside(build) == {
        ".strata-secret-a": b"v4lue",
        ".strata-secret-b": b"f1le",
        ".strata-secret-c": b"v4riable",
    }
    assert with_them.for_builder(build)["secrets"] == [f"id={one},src=.strata-secret-{one}" for one in "abc"]
    assert with_them._recipe == without._recipe
    monkeypatch.delenv("TOKEN")
    with pytest.raises(StrataError, match="is to come from TOKEN, which isn't in"):
        with_them.beside(build)


# Lists of images, one a platform.


class Lists(podman_images.PodmanImages):
    """A service that has what Podman 5.4 said of a list, and notes what it is asked to do."""

    def __init__(self, *images: dict, **lists: list) -> None:
        self.there, self.lists = list(images), lists
        self.done: list[tuple] = []
        self.registry: dict[str, dict] = {}

    def _ask(self, path, query=None, missing=False):
        if path == "/images/json":
            dangling = (query or {}).get("filters")
            return [one for one in self.there if not dangling or (not one["RepoTags"] and one["Labels"])]
        if path.endswith("/history"):
            (one,) = [one for one in self.there if one["Id"] == path.split("/")[2]]
            return [{"CreatedBy": f"/bin/sh -c #(nop) LABEL {one['Labels']}"}, {"CreatedBy": "COPY"}]
        if path.startswith("/manifests/"):
            return {"manifests": self.lists[path.split("/")[2]]}
        assert path == "/containers/json"
        return []

    def _said(self, method, path, query=None, body=None, timeout=None, missing=False):
        self.done.append((method, path))

    def _follow(self, path, query, what, body=None):
        self.done.append((path, query))

    def settle(self):
        pass

    def published_id(self, reference, tls_verify=None):
        return self.registry.get(reference, {}).get("id")

    def _inspected(self, reference, tls_verify, *options):
        manifests = [{"digest": digest} for digest in self.registry.get(reference, {}).get("digests", ())]
        return json.dumps({"manifests": manifests})


AMD64, ARM = "sha256:1d99d054", "sha256:abb134e6"


def entry(digest: str, machine: str, **more) -> dict:
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    return {
        "mediaType": kind,
        "size": 420,
        "digest": digest,
        "platform": {"architecture": machine, "os": "linux", **more},
    }


def a_list(*names: str, **more) -> dict:
    return image(*names, Id="list", IsManifestList=True, Digest="sha256:20b959ad", **more)


def inside(name: str, digest: str, labels: dict, **more) -> dict:
    return image(Id=name, RepoTags=None, Digest=digest, IsManifestList=False, Labels=labels, **more)


@pytest.fixture
def declared(tmp_path):
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    return {"name": "web:1", "build": {"path": str(tmp_path), "platform": ["linux/amd64", "linux/arm"]}}


@pytest.fixture
def built(declared):
    """A service in whose list is what was declared."""
    resource = PodmanImage(declared)
    labels = resource.labels(resource.plan(read_one(resource, Lists())))
    images = inside("amd64", AMD64, labels), inside("arm", ARM, labels)
    return Lists(a_list("localhost/web:1"), *images, list=[entry(AMD64, "amd64"), entry(ARM, "arm", variant="v7")])


def changed(service, options) -> list[str]:
    resource = PodmanImage(options)
    return [change.field for change in resource.plan(read_one(resource, service)).changes]


def test_a_list_is_what_was_declared(built, declared):
    assert changed(built, declared) == []
    state = PodmanImage.read_many(built, ["web:1"])["web:1"]
    assert state.facts["platforms"] == {"linux/amd64": "amd64", "linux/arm/v7": "arm"}
    assert (state.facts["id"], state.facts["size"]) == ("list", 84)
    (built.lists["list"][1]["platform"]).update(architecture="s390x", variant="")
    assert changed(built, declared) == ["platforms"]


def test_a_list_without_one_of_its_images_is_built_anew(built, declared):
    gone = built.lists["list"].pop()
    assert changed(built, declared) == ["platforms"]
    built.lists["list"].append(gone)
    gone = built.there.pop()
    assert changed(built, declared) == ["context", "recipe"]
    built.there.append({**gone, "Labels": {}})
    assert changed(built, declared) == ["context", "recipe"]


def test_from_several_platforms_to_one_and_back(built, declared):
    one = {**declared, "build": {**declared["build"], "platform": ["linux/amd64"]}}
    assert changed(built, one) == ["platforms", "recipe"]
    resource = PodmanImage(one)
    labels = resource.labels(resource.plan(read_one(resource, built)))
    single = Lists(image("localhost/web:1", Id="single", Labels=labels, IsManifestList=False))
    assert changed(single, one) == []
    assert changed(single, declared) == ["platforms", "recipe"]


def test_a_list_gets_its_name_once_it_is_whole(built, declared):
    resource = PodmanImage(declared)
    assert resource.for_builder(resource.spec["build"])["platform"] == Each(("linux/amd64", "linux/arm"))
    engine, fresh = Lists(), podman_images.fresh("web:1")
    engine.build("web:1", None, {"platform": Each(("linux/amd64", "linux/arm"))})
    (path, query), tagged = engine.done
    assert (path, query["manifest"], query["layers"], "t" in query) == ("/build", fresh, False, False)
    assert tagged == ("POST", f"/images/{fresh}/tag")
    # One that was killed before it took the first name away is done again.
    built.there[0]["RepoTags"].append(fresh)
    assert changed(built, declared) == ["context"]


def test_what_a_list_alone_has_goes_with_it(built, declared):
    built.remove_list("web:1")
    assert built.done == [
        ("DELETE", f"/{path}") for path in ("images/amd64", "images/arm", "manifests/localhost/web:1")
    ]
    built.done.clear()
    built.there.append({**a_list("localhost/other:1"), "Id": "other"})
    built.lists["other"] = [entry(ARM, "arm", variant="v7")]
    built.remove_list("web:1")
    assert built.done == [("DELETE", "/images/amd64"), ("DELETE", "/manifests/localhost/web:1")]
    built.done.clear()
    built.there[0]["RepoTags"].append("localhost/web:2")
    built.remove_list("web:1")
    assert built.done == [("DELETE", "/manifests/localhost/web:1")]


def test_what_was_replaced_goes_and_what_a_list_has_stays(built):
    built.there += [
        inside("old", "sha256:3", {"a": "b"}),
        {**a_list(History=[podman_images.fresh("web:1")]), "Id": "was"},
    ]
    built.lists["was"] = [entry("sha256:3", "amd64")]
    built.sweep("strata.image.name=web:1")
    assert built.done == [("DELETE", "/manifests/was"), ("DELETE", "/images/old")]


def test_a_list_is_pushed_where_the_registry_lacks_one_of_its_images(built, declared):
    there = "registry.example.com/web:1"
    built.there[0]["RepoTags"].append(there)
    options = {**declared, "repository": [there], "push": True}
    assert changed(built, options) == ["pushed"]
    built.push(there)
    assert built.done[-1][0] == f"/manifests/{there}/registry/{there}"
    assert built.done[-1][1]["all"] is True
    built.registry = {
        there: {"digests": ["a", "b"]},
        "registry.example.com/web@a": {"id": "amd64"},
        "registry.example.com/web@b": {"id": "arm"},
    }
    assert changed(built, options) == []
    built.registry[there]["digests"].pop()
    assert changed(built, options) == ["pushed"]


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/amd64", "linux/amd64"),
    ],
)
def test_platforms_as_lists_have_them(written, listed):
    assert podman_images.platform(written) == listed

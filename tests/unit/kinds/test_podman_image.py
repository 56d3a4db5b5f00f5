# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_image: what is otherwise than with docker_image, from documents as Podman (5.4) says them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_images
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

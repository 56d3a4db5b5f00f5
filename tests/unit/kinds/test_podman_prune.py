# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_prune, planned from what Podman (5.4) answers."""

from __future__ import annotations

import time

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines.podman_yard import PodmanYard
from ansible_collections.strata.virt.plugins.module_utils.kinds import prune
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_prune import PodmanPrune

NOW = 1_790_000_000
ANONYMOUS = "cb46ebad3fa1883a7d8d8bb35dcde0537bc9c30b049fa4184eb9aee59f08b863"


def stamp(age: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.175229012Z", time.gmtime(NOW - age))


def container(name: str, state: str = "exited", image: str = "old", **more) -> dict:
    return {
        "Id": f"id-{name}",
        "Names": [name],
        "State": state,
        "ImageID": image,
        "Created": stamp(7200),
        "IsInfra": False,
        "Pod": "",
        "Labels": None,
        "Mounts": [],
        "Networks": ["podman"],
        **more,
    }


def image(name: str, *tags: str, **more) -> dict:
    empty = {"RepoTags": None, "RepoDigests": [], "Labels": None}
    return {**empty, "Id": name, "Created": NOW - 90000, "Size": 100, **({"RepoTags": [*tags]} if tags else {}), **more}


def volume(name: str, **more) -> dict:
    return {"Name": name, "Labels": {}, **more}


class Service(PodmanYard):
    """A service that answers from lists, and notes what it is asked to remove."""

    def __init__(self) -> None:
        self._images = {}
        self.there = {
            "/containers/json": [
                container("job"),
                container("web", "running", "web"),
                container("held", "exited", "web", Pod="p-half"),
                container("half-infra", "running", "pause", Pod="p-half", IsInfra=True, Networks=["front"]),
                container("over-infra", "created", "pause", Pod="p-over", IsInfra=True, Networks=["back"]),
                container("over-web", "created", "shop", Pod="p-over", Networks=[]),
            ],
            "/pods/json": [
                {"Id": "p-half", "Name": "half", "Status": "Degraded", "Labels": {}, "Created": stamp(60)},
                {"Id": "p-over", "Name": "over", "Status": "Created", "Labels": {"a": "b"}, "Created": stamp(60)},
            ],
            "/networks/json": [
                {"name": name, "id": f"n-{name}", "driver": "bridge", "created": stamp(3600)}
                for name in ("podman", "front", "back", "lonely")
            ],
            "/volumes/json": [volume("kept"), volume("named"), volume(ANONYMOUS, Anonymous=True)],
            "/images/json": [
                image("old"),
                image("web", "localhost/web:1"),
                image("shop", "localhost/shop:1"),
                image("pause", "localhost/podman-pause:5.4.2"),
                image("digest", RepoDigests=["registry.example.com/web@sha256:04bf"]),
                image("idle", "localhost/idle:1", "localhost/idle:2"),
            ],
            "/system/df": {
                "Containers": [{"ContainerID": "id-job", "RWSize": 7}, {"ContainerID": "id-over-web", "RWSize": 9}],
                "Volumes": [{"VolumeName": ANONYMOUS, "Size": 11}],
                "Images": [{"ImageID": "old", "SharedSize": 40}],
            },
        }
        self.mounted = {"kept": ["web"], ANONYMOUS: ["job"]}
        self.lists: dict[str, list[str]] = {}
        self.told: list[tuple[str, str]] = []

    def _ask(self, path, query=None, missing=False):
        wanted = (query or {}).get("filters", {}).get("volume")
        if wanted:
            names = self.mounted.get(wanted[0], [])
            return [one for one in self.there[path] if one["Names"][0] in names]
        if path.startswith("/images/") and path != "/images/json":
            return next((one for one in self.there["/images/json"] if path == f"/images/{one['Id']}/json"), None)
        if path.startswith("/manifests/"):
            return {"manifests": [{"digest": digest} for digest in self.lists[path.split("/")[2]]]}
        return self.there[path]

    def _said(self, method, path, query=None, body=None, timeout=None, missing=False):
        assert not (query or {}).get("force")
        self.told.append((method, path))


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(prune.time, "time", lambda: NOW)
    return Service()


def drawn(service, **options):
    resource = PodmanPrune({"user_scope": "deploy", **options})
    return resource, resource.plan(read_one(resource, service))


def found(service, **options) -> dict:
    return {change.field: change.before for change in drawn(service, **options)[1].changes}


def test_what_is_in_a_pod_goes_with_it_alone(service):
    assert found(service, containers=True) == {"unused_containers": ["job"]}
    assert found(service, pods=True) == {"unused_pods": ["over"]}
    assert found(service, pods=True, pods_filters={"label": "a=c"}) == {}
    assert found(service, pods=True, pods_filters={"until": "1h"}) == {}


def test_what_only_a_pod_needed_goes_with_it(service):
    assert found(service, networks=True) == {"unused_networks": ["lonely"]}
    assert found(service, networks=True, pods=True)["unused_networks"] == ["back", "lonely"]
    named = {"images": True, "images_filters": {"dangling": False}}
    idle = "localhost/idle:1, localhost/idle:2"
    assert found(service, **named) == {"unused_images": ["digest", idle]}
    assert found(service, **named, pods=True)["unused_images"] == ["digest", idle, "localhost/shop:1"]


def test_networks_have_an_age(service):
    assert found(service, networks=True, networks_filters={"until": "2h"}) == {}


def test_images_without_a_name(service):
    assert found(service, images=True) == {}
    assert found(service, images=True, containers=True)["unused_images"] == ["old"]


def test_images_of_a_list(service):
    """A list has no labels, and its images have no names."""
    labels = {"a": "b"}
    service.there["/images/json"] = [
        image("list", "localhost/list:1", IsManifestList=True),
        image("amd64", Digest="sha256:1", Labels=labels),
        image("arm64", Digest="sha256:2", Labels=labels),
    ]
    service.lists["list"] = ["sha256:1", "sha256:2", "sha256:gone"]
    assert found(service, images=True) == {}
    assert found(service, images=True, images_filters={"label": "a"}) == {}
    named = {"images": True, "images_filters": {"dangling": False}}
    assert found(service, **named)["unused_images"] == ["amd64", "arm64", "localhost/list:1"]
    resource, plan = drawn(service, **named)
    resource.update(service, plan)
    assert ("DELETE", "/manifests/localhost/list:1") in service.told
    service.there["/containers/json"].append(container("of-list", "running", "amd64"))
    assert found(service, **named) == {}
    service.there["/containers/json"].pop()
    service.there["/images/json"][0]["RepoTags"] = None
    assert found(service, images=True)["unused_images"] == ["amd64", "arm64", "list"]


def test_volumes(service):
    assert found(service, volumes=True) == {}
    assert found(service, volumes=True, containers=True)["unused_volumes"] == [ANONYMOUS]
    assert found(service, volumes=True, volumes_filters={"all": True}) == {"unused_volumes": ["named"]}


def test_a_run_takes_away_what_was_told_and_says_how_much(service):
    asked = {"containers": True, "pods": True, "networks": True, "volumes": True, "images": True}
    resource, plan = drawn(service, **asked, images_filters={"dangling": False})
    before = resource.outcome(plan.state)
    resource.update(service, plan)
    assert service.told == [
        ("DELETE", "/pods/p-over"),
        ("DELETE", "/containers/id-job"),
        ("DELETE", "/networks/n-back"),
        ("DELETE", "/networks/n-lonely"),
        ("DELETE", f"/volumes/{ANONYMOUS}"),
        ("DELETE", "/images/old"),
        ("DELETE", "/images/localhost/shop:1"),
        ("DELETE", "/images/digest"),
        ("DELETE", "/images/localhost/idle:1"),
        ("DELETE", "/images/localhost/idle:2"),
    ]
    assert before["pods"] == ["p-over"]
    assert (before["pods_space_reclaimed"], before["containers_space_reclaimed"]) == (9, 7)
    assert (before["volumes_space_reclaimed"], before["images_space_reclaimed"]) == (11, 360)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "says nothing that may go: give one of pods, containers"),
        ({"pods": True, "pods_filters": {"age": "1h"}}, "pods_filters: knows no filter 'age'"),
        ({"images": True, "images_filters": {"until": "soon"}}, "images_filters: is no time"),
    ],
)
def test_bad_input(service, options, words):
    with pytest.raises(StrataError, match=words):
        drawn(service, **options)


def test_whose_it_is():
    assert PodmanPrune({"user_scope": "deploy", "pods": True}).name == "deploy"
    assert PodmanPrune({"pods": True}).name

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_prune, planned from lists as a daemon (26.1) says them."""

from __future__ import annotations

import time

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Effect
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines.docker_carry import seconds
from ansible_collections.strata.virt.plugins.module_utils.kinds import prune
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_prune import DockerPrune

NOW = 1_790_000_000
STAMP = time.strftime("%Y-%m-%dT%H:%M:%S.123456789+02:00", time.gmtime(NOW - 3600 + 7200))
ANONYMOUS = "a" * 64


def container(name: str, state: str = "exited", image: str = "sha256:old", **more) -> dict:
    return {
        "Id": f"id-{name}",
        "Names": [f"/{name}"],
        "State": state,
        "ImageID": image,
        "Created": NOW - 7200,
        "Labels": {"job": name},
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n-bridge"}}},
        **more,
    }


def network(name: str, **more) -> dict:
    return {"Id": f"n-{name}", "Name": name, "Scope": "local", "Labels": {}, "Created": STAMP, **more}


def image(name: str, *tags: str, **more) -> dict:
    return {"Id": f"sha256:{name}", "RepoTags": list(tags), "Labels": None, "Created": NOW - 90000, "Size": 100, **more}


class Daemon:
    """What there is, and what was taken away."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict]] = {
            "containers": [
                container("job"),
                container("web", "running", "sha256:web", Mounts=[{"Type": "volume", "Name": "kept"}]),
                container("fresh", "created", "sha256:new", Created=NOW - 60),
            ],
            "networks": [network("bridge"), network("host"), network("lonely"), network("far", Scope="swarm")],
            "volumes": [
                {"Name": "kept", "Labels": None},
                {"Name": "named", "Labels": {"project": "spring"}},
                {"Name": ANONYMOUS, "Labels": {}},
            ],
            "images": [image("old"), image("web", "web:1"), image("new", "new:1"), image("idle", "idle:1", "idle:2")],
        }
        self.sizes = {
            "Containers": [{"Id": "id-job", "SizeRw": 7}],
            "Volumes": [{"Name": ANONYMOUS, "UsageData": {"Size": 11}}],
            "Images": [{"Id": "sha256:old", "SharedSize": 40}],
            "BuildCache": [
                {"ID": "b1", "InUse": False, "Type": "regular", "Size": 5, "Shared": False, "Description": "RUN make"},
                {"ID": "b2", "InUse": True, "Type": "regular", "Size": 6},
                {"ID": "b3", "InUse": False, "Type": "frontend", "Size": 8, "Shared": False},
            ],
        }
        self.told: list[tuple[str, object]] = []

    def __getattr__(self, name):
        if name in self.lists:
            return lambda: self.lists[name]
        return lambda what: self.told.append((name, what))

    def used(self):
        return self.sizes


@pytest.fixture
def daemon(monkeypatch):
    monkeypatch.setattr(prune.time, "time", lambda: NOW)
    return Daemon()


def drawn(daemon, **options):
    resource = DockerPrune(options)
    return resource, resource.plan(read_one(resource, daemon))


def found(daemon, **options) -> dict:
    return {change.field: change.before for change in drawn(daemon, **options)[1].changes}


def test_what_ended_goes_and_what_only_it_needed_with_it(daemon):
    assert found(daemon, containers=True) == {"unused_containers": ["fresh", "job"]}
    assert found(daemon, images=True) == {}
    assert found(daemon, containers=True, images=True)["unused_images"] == ["sha256:old"]
    assert found(daemon, images=True, images_filters={"dangling": False}) == {"unused_images": ["idle:1, idle:2"]}


def test_a_stopped_container_keeps_its_network(daemon):
    place = {"Networks": {"lonely": {"NetworkID": "n-lonely"}}}
    daemon.lists["containers"].append(container("idle", NetworkSettings=place))
    assert found(daemon, networks=True) == {}
    assert found(daemon, networks=True, containers=True)["unused_networks"] == ["lonely"]


def test_volumes_with_a_name_go_only_where_that_is_said(daemon):
    assert found(daemon, volumes=True) == {"unused_volumes": [ANONYMOUS]}
    assert found(daemon, volumes=True, volumes_filters={"all": True}) == {"unused_volumes": [ANONYMOUS, "named"]}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"until": "1h"}, ["job"]),
        ({"until": str(NOW - 7201)}, []),
        ({"until": "2026-12-01T00:00:00Z"}, ["fresh", "job"]),
        ({"label": "job"}, ["fresh", "job"]),
        ({"label": ["job=job"]}, ["job"]),
        ({"label!": "job=job"}, ["fresh"]),
    ],
)
def test_filters(daemon, filters, names):
    assert found(daemon, containers=True, containers_filters=filters).get("unused_containers", []) == names


def test_times_have_their_zone(daemon):
    assert seconds(STAMP) == pytest.approx(NOW - 3600 + 0.123456789)
    assert found(daemon, networks=True, networks_filters={"until": "30m"}) == {"unused_networks": ["lonely"]}
    assert found(daemon, networks=True, networks_filters={"until": "2h"}) == {}


def test_the_builders_own_cache_stays_unless_it_is_named(daemon):
    assert found(daemon, builder_cache=True) == {"unused_builder_cache": ["RUN make"]}
    assert len(found(daemon, builder_cache=True, builder_cache_all=True)["unused_builder_cache"]) == 2


def test_a_run_takes_away_what_was_told_and_says_how_much(daemon):
    asked = {"containers": True, "volumes": True, "images": True, "builder_cache": True}
    resource, plan = drawn(daemon, **asked)
    assert {change.effect for change in plan.changes} == {Effect.REMOVE}
    before = resource.outcome(plan.state)
    resource.update(daemon, plan)
    assert daemon.told == [
        ("remove_ended", "id-job"),
        ("remove_ended", "id-fresh"),
        ("remove_volume", ANONYMOUS),
        ("remove_unused_image", "sha256:old"),
        ("prune_builds", False),
    ]
    assert resource.outcome(read_one(resource, daemon)) == before
    assert before == {
        "containers": ["id-fresh", "id-job"],
        "containers_space_reclaimed": 7,
        "volumes": [ANONYMOUS],
        "volumes_space_reclaimed": 11,
        "images": ["sha256:old"],
        "images_space_reclaimed": 60,
        "builder_cache_caches_deleted": ["b1"],
        "builder_cache_space_reclaimed": 5,
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "says nothing that may go"),
        ({"containers": True, "containers_filters": {"age": "1h"}}, "containers_filters: knows no filter 'age'"),
        ({"images": True, "images_filters": {"until": "soon"}}, "images_filters: is no time"),
    ],
)
def test_bad_input(daemon, options, words):
    with pytest.raises(StrataError, match=words):
        drawn(daemon, **options)

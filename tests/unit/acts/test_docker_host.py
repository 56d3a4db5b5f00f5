# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_host_info: what is asked for, and how much of it is told."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.acts import docker_host
from ansible_collections.strata.virt.plugins.module_utils.core.field import decode


class Daemon:
    asked: list

    def __init__(self, _url):
        Daemon.asked = []

    def info(self):
        return {"ID": "d1"}

    def listed(self, sort, filters, whole):
        Daemon.asked.append((sort, filters, whole))
        return [{"Id": "1", "Name": "one", "Driver": "local", "Labels": {}}]

    def used(self):
        return {"LayersSize": 7, "Images": []}


@pytest.fixture(autouse=True)
def _daemon(monkeypatch):
    monkeypatch.setattr(docker_host, "DockerImages", Daemon)


def tell(**options):
    given = {field.name: field.given for field in docker_host.FIELDS if field.given is not None}
    return docker_host.tell(decode(docker_host.FIELDS, {**given, **options}), False)


def test_nothing_is_asked_that_is_not_wanted():
    assert tell() == {"changed": False, "can_talk_to_docker": True, "host_info": {"ID": "d1"}}
    assert Daemon.asked == []


def test_filters_are_lists_of_texts():
    filters = {"label": "a=b", "status": ["exited", 1]}
    tell(containers=True, containers_all=True, containers_filters=filters, images=True)
    assert Daemon.asked == [
        ("containers", {"label": ["a=b"], "status": ["exited", "1"]}, True),
        ("images", {}, True),
    ]
    tell(volumes=True, volumes_filters={"dangling": True})
    assert Daemon.asked == [("volumes", {"dangling": ["true"]}, False)]


def test_how_much_is_told():
    brief = tell(volumes=True, networks=True, disk_usage=True)
    assert (brief["volumes"], brief["disk_usage"]) == ([{"Driver": "local", "Name": "one"}], {"LayersSize": 7})
    assert brief["networks"] == [{"Id": "1", "Driver": "local", "Name": "one", "Scope": None}]
    whole = tell(volumes=True, disk_usage=True, verbose_output=True)
    assert (whole["volumes"][0]["Labels"], whole["disk_usage"]) == ({}, {"LayersSize": 7, "Images": []})

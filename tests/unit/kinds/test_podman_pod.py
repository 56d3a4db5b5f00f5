# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_pod, read and planned from what Podman (5.4) says of a pod."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_pod import PodmanPod

POD = {
    "Id": "448a",
    "Name": "shop",
    "ExitPolicy": "continue",
    "State": "Running",
    "Hostname": "hh",
    "Labels": {"a": "b", "strata.owner": ""},
    "CgroupPath": "machine.slice/machine-libpod_pod_448a.slice",
    "InfraContainerID": "1e04",
    "InfraConfig": {
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8099"}]},
        "DNSServer": ["192.0.2.1"],
        "DNSSearch": None,
        "DNSOption": None,
        "HostAdd": ["db:192.0.2.7"],
        "Networks": ["podman"],
    },
    "SharedNamespaces": ["ipc", "net", "uts"],
    "Containers": [{"Id": "1e04", "Name": "448a-infra", "State": "running"}],
    "cpu_period": 100000,
    "cpu_quota": 50000,
    "memory_limit": 67108864,
    "RestartPolicy": "always",
}
AS_IT_IS = {
    "hostname": "hh",
    "labels": {"a": "b"},
    "published_ports": ["127.0.0.1:8099:8080"],
    "dns_servers": ["192.0.2.1"],
    "etc_hosts": {"db": "192.0.2.7"},
    "networks": ["podman"],
    "cpus": 0.5,
    "memory": "64M",
    "restart_policy": "always",
}
WEB = {"Id": "77", "Name": "web", "State": "running"}


class Service:
    def __init__(self, *pods: dict, lingers: bool = True) -> None:
        self.there = {pod["Name"]: copy.deepcopy(pod) for pod in pods}
        self.service = SimpleNamespace(user=SimpleNamespace(lingers=lingers))
        self.told: list[tuple] = []

    def pods(self):
        return list(self.there.values())

    def pod(self, name):
        return self.there.get(name)

    def __getattr__(self, verb):
        return lambda *what, **more: self.told.append((verb, *what))


def declared(**options) -> PodmanPod:
    return PodmanPod({"name": "shop", **options})


def plan(service, resource):
    return resource.plan(read_one(resource, service))


def test_as_declared_is_unchanged_and_exported():
    assert not plan(Service(POD), declared(**AS_IT_IS))
    exported = PodmanPod.export("shop", read_one(declared(), Service(POD)))
    assert exported == {"name": "shop", "state": "started", **AS_IT_IS}


def test_a_pod_as_it_is_asked_for():
    service = Service()
    resource = declared(**AS_IT_IS, share=["net"])
    done = plan(service, resource)
    assert done.steps == ("create", "start")
    resource.create(service, done)
    assert service.told == [
        (
            "create_pod",
            {
                "name": "shop",
                "labels": {"strata.owner": "", "a": "b"},
                "hostname": "hh",
                "shared_namespaces": ["net"],
                "portmappings": [
                    {"container_port": 8080, "protocol": "tcp", "host_ip": "127.0.0.1", "host_port": 8099}
                ],
                "netns": {"nsmode": "bridge"},
                "Networks": {"podman": {}},
                "dns_server": ["192.0.2.1"],
                "hostadd": ["db:192.0.2.7"],
                "resource_limits": {"memory": {"limit": 67108864}, "cpu": {"quota": 50000, "period": 100000}},
                "restart_policy": "always",
            },
        )
    ]


def test_a_change_needs_a_new_one_that_has_to_be_allowed():
    held = plan(Service(POD), declared(hostname="other"))
    assert (held.steps, held.restart_required) == ((), ["hostname"])
    service, resource = Service(POD), declared(hostname="other", recreate="if_needed")
    done = plan(service, resource)
    assert done.steps == ("recreate",)
    resource.recreate(service, done)
    (gone, made, started) = service.told
    assert (gone, started) == (("remove_pod", "shop"), ("pod_does", "shop", "start"))
    assert (made[1]["hostname"], made[1]["hostadd"]) == ("other", ["db:192.0.2.7"])
    assert made[1]["labels"] == {"a": "b", "strata.owner": ""}


@pytest.mark.parametrize("options", [{"state": "absent"}, {"hostname": "other", "recreate": "if_needed"}])
def test_what_holds_containers_stays(options):
    full = {**POD, "Containers": [*POD["Containers"], WEB]}
    with pytest.raises(StrataError, match=r"holds web.*force: true"):
        plan(Service(full), declared(**options))
    assert plan(Service(full), declared(**options, force=True)).steps
    # In a stack, its containers may go before it does; whether they did shows when it is its turn.
    mine = PodmanPod({"name": "shop", **options}, owner="site")
    owned = {**full, "Labels": {"strata.owner": "site"}}
    done = plan(Service(owned), mine)
    with pytest.raises(StrataError, match="holds web"):
        mine.remove(Service(owned), done)


@pytest.mark.parametrize(
    ("said", "wanted", "steps"),
    [
        ("Created", "started", ("start",)),
        ("Exited", "started", ("start",)),
        ("Degraded", "started", ()),
        ("Paused", "started", ("unpause",)),
        ("Paused", "stopped", ("unpause", "stop")),
        ("Running", "stopped", ("stop",)),
        ("Running", "present", ()),
    ],
)
def test_the_way_to_a_state(said, wanted, steps):
    assert plan(Service({**POD, "State": said}), declared(state=wanted)).steps == steps

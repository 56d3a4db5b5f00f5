# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swarms, their nodes, services, secrets and configs, read and planned from documents as a daemon (26.1) says them."""

from __future__ import annotations

import base64
import copy

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.fingerprint import fingerprint
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.kinds import docker_service as service_kind
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_config import DockerConfig
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_node import DockerNode
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_secret import DockerSecret
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_service import DockerService
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_swarm import DockerSwarmMember
from ansible_collections.strata.virt.plugins.module_utils.kinds.swarm_data import DIGEST

SALT = b"salt".hex()
MANAGER = {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "n1", "NodeAddr": "127.0.0.1", "Nodes": 1}
SWARM = {
    "ID": "s1",
    "Version": {"Index": 9},
    "Spec": {
        "Name": "default",
        "Labels": {"strata.owner": "site", "site": "lab"},
        "Orchestration": {"TaskHistoryRetentionLimit": 5},
        "Raft": {"SnapshotInterval": 10000, "KeepOldSnapshots": 0, "LogEntriesForSlowFollowers": 500},
        "Dispatcher": {"HeartbeatPeriod": 5_000_000_000},
        "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000},
        "EncryptionConfig": {"AutoLockManagers": False},
    },
    "JoinTokens": {"Worker": "SWMTKN-w", "Manager": "SWMTKN-m"},
}
NODE = {
    "ID": "n1",
    "Version": {"Index": 8},
    "Spec": {"Labels": {"disk": "ssd"}, "Role": "manager", "Availability": "active"},
    "Description": {"Hostname": "lab1", "Engine": {"EngineVersion": "26.1.5"}},
    "Status": {"State": "ready", "Addr": "127.0.0.1"},
    "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "127.0.0.1:2377"},
}
SERVICE = {
    "ID": "v1",
    "Version": {"Index": 20},
    "Spec": {
        "Name": "web",
        "Labels": {"strata.owner": ""},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "web:1.0@sha256:" + "1" * 64,
                "Env": ["A=1"],
                "StopGracePeriod": 1_000_000_000,
                "Secrets": [
                    {
                        "File": {"Name": "token", "UID": "0", "GID": "0", "Mode": 0o400},
                        "SecretID": "k1",
                        "SecretName": "token",
                    }
                ],
                "Isolation": "default",
            },
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 67_108_864}},
            "Networks": [{"Target": "net1", "Aliases": ["www"]}],
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {
            "Mode": "vip",
            "Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 80, "PublishMode": "ingress"}],
        },
    },
    "Endpoint": {"Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 80, "PublishMode": "ingress"}]},
}
AS_IT_IS = {
    "image": "web:1.0",
    "env": {"A": "1"},
    "stop_timeout": "1s",
    "secrets": [{"name": "token", "mode": "0400"}],
    "cpus": 0.5,
    "memory": "64M",
    "networks": [{"name": "back", "aliases": ["www"]}],
    "replicas": 2,
    "published_ports": [{"target": 8080, "published": 80}],
}


def task(state: str = "running", error: str = "", **container) -> dict:
    template = SERVICE["Spec"]["TaskTemplate"]
    spec = {**template, "ContainerSpec": {**template["ContainerSpec"], **container}}
    status = {"State": state, **({"Err": error} if error else {})}
    return {"ServiceID": "v1", "Spec": spec, "Status": status, "UpdatedAt": "2026-01-01T00:00:00Z"}


class Daemon:
    """A swarm as the real one tells of it, and notes what it is told."""

    def __init__(self, member: dict | None = None, **objects: list) -> None:
        self.member = MANAGER if member is None else member
        self.there = {"services": [], "tasks": [], "nodes": [], "secrets": [], "configs": [], **copy.deepcopy(objects)}
        self.told: list[tuple] = []

    def membership(self):
        return self.member

    @property
    def manages(self):
        return bool(self.member.get("ControlAvailable"))

    def swarm(self):
        return copy.deepcopy(SWARM)

    def networks(self):
        return [{"Id": "net1", "Name": "back"}]

    def objects(self, sort, filters=None):
        return self.there[sort]

    def __getattr__(self, verb):
        return lambda *what: self.told.append((verb, *what))


def kept(name: str, data: bytes | None = None, identity: str = "k1") -> dict:
    labels = {} if data is None else {DIGEST: fingerprint(data, SALT), "strata.owner": ""}
    return {"ID": identity, "Version": {"Index": 3}, "Spec": {"Name": name, "Labels": labels}}


def plan(daemon, resource):
    return resource.plan(read_one(resource, daemon))


def changed(daemon, resource) -> set[str]:
    return {change.name for change in plan(daemon, resource).changes}


# The swarm itself.


def test_a_daemon_in_no_swarm_begins_or_joins_one():
    outside = Daemon({"LocalNodeState": "inactive"})
    begin = DockerSwarmMember({"advertise_addr": "eth0", "default_addr_pool": ["10.9.0.0/16"], "labels": {"a": "b"}})
    done = plan(outside, begin)
    outside.member = MANAGER  # what waiting for it finds
    begin.create(outside, done)
    assert outside.told == [
        (
            "init",
            {
                "ListenAddr": "0.0.0.0:2377",
                "AdvertiseAddr": "eth0",
                "DefaultAddrPool": ["10.9.0.0/16"],
                "Spec": {"Labels": {"strata.owner": "", "a": "b"}},
            },
        )
    ]
    outside = Daemon({"LocalNodeState": "inactive"})
    join = DockerSwarmMember({"remote_addrs": ["192.0.2.1:2377"], "join_token": "SWMTKN-w"})
    done = plan(outside, join)
    outside.member = MANAGER
    join.create(outside, done)
    assert outside.told[0][1] == {
        "ListenAddr": "0.0.0.0:2377",
        "RemoteAddrs": ["192.0.2.1:2377"],
        "JoinToken": "SWMTKN-w",
    }


def test_settings_are_a_managers():
    assert not plan(Daemon(), DockerSwarmMember({"labels": {"site": "lab"}, "dispatcher_heartbeat_period": "5s"}))
    resource = DockerSwarmMember({"task_history_retention_limit": 2, "labels": {"site": None}})
    daemon = Daemon()
    done = plan(daemon, resource)
    assert {change.name for change in done.changes} == {"task_history_retention_limit", "labels[site]"}
    resource.update(daemon, done)
    ((_verb, version, spec),) = daemon.told
    assert (version, spec["Orchestration"], spec["Labels"]) == (
        9,
        {"TaskHistoryRetentionLimit": 2},
        {"strata.owner": "site"},
    )
    worker = Daemon({**MANAGER, "ControlAvailable": False})
    assert not plan(worker, DockerSwarmMember({}))
    with pytest.raises(StrataError, match=r"labels: can only be set by a manager"):
        plan(worker, DockerSwarmMember({"labels": {"a": "b"}}))


def test_tokens_are_told_only_to_who_asks():
    state = read_one(DockerSwarmMember({}), Daemon())
    assert DockerSwarmMember({}).outcome(state) == {}
    tokens = DockerSwarmMember({"join_tokens": True}).outcome(state)["join_tokens"]
    assert tokens == {"worker": "SWMTKN-w", "manager": "SWMTKN-m"}
    assert not DockerSwarmMember({}).prunable(state)


# Nodes.


def test_a_node_by_its_hosts_name():
    daemon = Daemon(nodes=[NODE])
    assert not plan(daemon, DockerNode({"name": "lab1", "role": "manager", "labels": {"disk": "ssd"}}))
    resource = DockerNode({"name": "lab1", "availability": "drain"})
    resource.update(daemon, plan(daemon, resource))
    assert daemon.told[0][3] == {"Labels": {"disk": "ssd"}, "Role": "manager", "Availability": "drain"}
    with pytest.raises(StrataError, match="is no node of this swarm"):
        plan(daemon, DockerNode({"name": "lab2", "availability": "active"}))


def test_a_host_that_left_and_joined_again_is_the_node_that_is_up():
    left = {**NODE, "ID": "a-left", "Status": {"State": "down"}}
    again = {**NODE, "ID": "z-left", "Status": {"State": "down"}}
    daemon = Daemon(nodes=[left, NODE, again])
    told = DockerNode.read_many(daemon, None)
    assert {name: state.facts["id"] for name, state in told.items()} == {
        "lab1": NODE["ID"],
        "a-left": "a-left",
        "z-left": "z-left",
    }
    resource = DockerNode({"name": "a-left", "state": "absent"})
    resource.remove(daemon, plan(daemon, resource))
    assert daemon.told == [("remove_object", "nodes", "a-left", False)]


# Services.


def test_a_service_that_is_as_declared():
    daemon = Daemon(services=[SERVICE], secrets=[kept("token")], tasks=[task()])
    assert changed(daemon, DockerService({"name": "web", **AS_IT_IS})) == set()
    state = read_one(DockerService({"name": "web"}), daemon)
    assert (state.facts["running"], state.facts["ports"]) == (1, {"8080/tcp": 80})
    exported = DockerService.export("web", state)
    assert exported["secrets"] == [{"name": "token", "target": "token", "uid": "0", "gid": "0", "mode": "0400"}]
    assert changed(daemon, DockerService({**exported, "image": "web:1.0"})) == set()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"replicas": 3}, "replicas"),
        ({"cpus": "max"}, "cpus"),
        ({"published_ports": [{"target": 8080, "published": 81}]}, "published_ports[8080/tcp]"),
        ({"networks": []}, "networks[back]"),
        ({"mode": "global"}, "mode"),
        ({"restart_policy": {"condition": "none"}}, "restart_policy[condition]"),
        ({"update_config": {"order": "start-first"}}, "update_config[order]"),
        ({"healthcheck": {"test": ["CMD", "true"]}}, "healthcheck[test]"),
        ({"mounts": [{"type": "tmpfs", "target": "/tmp"}]}, "mounts[/tmp]"),
        ({"etc_hosts": {"db": "192.0.2.7"}}, "etc_hosts"),
        ({"container_labels": {"a": "b"}}, "container_labels[a]"),
    ],
)
def test_what_is_otherwise_is_told_by_its_name(options, name):
    daemon = Daemon(services=[SERVICE], secrets=[kept("token")])
    assert name in changed(daemon, DockerService({"name": "web", **options}))


def test_a_secret_that_was_made_anew_is_given_anew():
    daemon = Daemon(services=[SERVICE], secrets=[kept("token", identity="k2")])
    assert changed(daemon, DockerService({"name": "web", **AS_IT_IS})) == {"secrets[token]"}
    with pytest.raises(StrataError, match=r"configs: is not in this swarm \(got 'none'\)"):
        plan(daemon, DockerService({"name": "web", "configs": [{"name": "none"}]}))


def test_a_change_keeps_what_nobody_declared():
    daemon = Daemon(services=[SERVICE])
    resource = DockerService({"name": "web", "memory": "96M", "wait": False})
    resource.update(daemon, plan(daemon, resource))
    spec = daemon.told[0][3]
    wanted = copy.deepcopy(SERVICE["Spec"])
    wanted["TaskTemplate"]["Resources"]["Limits"]["MemoryBytes"] = 96 << 20
    assert spec == wanted


def test_it_has_settled_when_all_tasks_are_of_it_as_it_is_and_run():
    resource = DockerService({"name": "web"})
    for tasks, settled in (
        ([task(), task()], True),
        ([task()], False),
        ([task(), task("preparing")], False),
        ([task(), task(Env=["A=0"])], False),
        ([task(), task(), task(Env=["A=0"])], False),
    ):
        assert resource._settled(Daemon(services=[SERVICE], tasks=tasks)) is settled
    paused = {**SERVICE, "UpdateStatus": {"State": "paused", "Message": "update paused due to failure"}}
    with pytest.raises(StrataError, match="the update ended as paused: update paused due to failure"):
        resource._settled(Daemon(services=[paused], tasks=[task(), task()]))


def test_what_failing_tasks_say(monkeypatch):
    monkeypatch.setattr(service_kind, "_MONITOR", 0)
    daemon = Daemon(services=[SERVICE], tasks=[task("failed", "task: non-zero exit (1)"), task("preparing")])
    with pytest.raises(StrataError, match=r"waited 0 seconds for its tasks to run; they say: task: non-zero exit"):
        DockerService({"name": "web", "timeout": "0"})._wait(daemon)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "global", "replicas": 2}, "replicas: can't go with mode: global"),
        ({"published_ports": [{"target": 70000}]}, "is no port"),
        ({"secrets": [{"name": "a", "mode": "rw"}]}, "is no mode"),
        ({"replicas": -1}, "must not be negative"),
        ({"update_config": {"max_failure_ratio": 2}}, "must be from 0 to 1"),
    ],
)
def test_what_can_not_be_is_refused(options, said):
    with pytest.raises(StrataError, match=said):
        DockerService({"name": "web", **options})


def test_without_a_swarm_nothing_is_there_and_nothing_is_made():
    outside = Daemon({"LocalNodeState": "inactive"})
    assert not plan(outside, DockerService({"name": "web", "state": "absent"}))
    with pytest.raises(StrataError, match=r"needs a swarm.*Declare docker_swarm"):
        plan(outside, DockerService({"name": "web", "image": "web:1.0"}))


# What a swarm keeps.


@pytest.mark.parametrize(("kind", "sort"), [(DockerSecret, "secrets"), (DockerConfig, "configs")])
def test_what_is_kept_is_told_by_its_digest(kind, sort):
    daemon = Daemon(**{sort: [kept("token", b"horse")]})
    assert changed(daemon, kind({"name": "token", "data": "horse"})) == set()
    assert changed(daemon, kind({"name": "token", "labels": {"a": "b"}})) == {"labels[a]"}
    resource = kind({"name": "token", "data": base64.b64encode(b"staple").decode(), "data_is_b64": True})
    done = plan(daemon, resource)
    assert "staple" not in str([change.as_result() for change in done.changes])
    resource.recreate(daemon, done)
    (_remove, _make) = daemon.told
    assert (_remove[1:], _make[2]["Data"]) == ((sort, "k1"), base64.b64encode(b"staple").decode())
    assert _make[2]["Labels"][DIGEST] == fingerprint(b"staple", SALT)
    assert changed(Daemon(**{sort: [kept("token")]}), kind({"name": "token", "data": "horse"})) == {"data"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "data: is needed for a new one"),
        ({"data": ""}, "is of 0 bytes"),
        ({"data": "x" * (501 << 10)}, "a swarm keeps from 1 to 512000"),
        ({"data": "x", "data_is_b64": True}, "is not what data_is_b64 says"),
        ({"data": "x", "data_src": "/srv/x"}, "data_src: can't go with data"),
        ({"data_src": "/srv/not/there"}, "data_src: can't be read"),
    ],
)
def test_what_can_not_be_kept_is_refused(options, said):
    with pytest.raises(StrataError, match=said):
        plan(Daemon(), DockerSecret({"name": "token", **options}))

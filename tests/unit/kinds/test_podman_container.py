# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_container, read and planned from what Podman 5.4 said. The engine is a folder of its answers."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_networks, podman_spec, podman_words
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_container import PodmanContainer

ANSWERS = Path(__file__).parents[1] / "fixtures" / "podman_container"
IMAGE = "localhost/web:1.0"
USUAL = [
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP"),
    *("SETUID", "SYS_CHROOT"),
]


def said(name: str) -> dict:
    return json.loads((ANSWERS / f"{name}.json").read_text())


class Podman:
    """Answers like the real one, and notes what it is told."""

    title, program = "Podman 5.4.2", "podman"

    def __init__(self, uid: int = 0, lingers: bool = True, **containers: str) -> None:
        self.told: list[tuple] = []
        self.service = SimpleNamespace(user=SimpleNamespace(uid=uid, name="deploy", lingers=lingers or uid == 0))
        self.documents = {}
        for name, answer in containers.items():
            document = podman_words.container(said(answer), uid)
            self.documents[name] = {**document, "Name": f"/{name}"}
        picture = podman_words.image(said("image"))
        self.pictures = {IMAGE: picture, picture["Id"]: picture}
        for document in self.documents.values():
            self.pictures.setdefault(document["Image"], {**picture, "Id": document["Image"]})
            self.pictures[IMAGE] = self.pictures[document["Image"]]

    def containers(self, _names=None):
        return [
            {"Id": name, "Names": [f"/{name}"], "Labels": document["Config"]["Labels"]}
            for name, document in self.documents.items()
        ]

    def inspect(self, container):
        return self.documents.get(container)

    def image(self, reference):
        return self.pictures.get(reference)

    def info(self):
        own = ["cpu", "memory", "pids"]  # what systemd delegates to a user by itself
        return {"host": {"cgroupControllers": own if self.service.user.uid else [*own, "cpuset", "io"]}}

    def create(self, name, body):
        self.told.append(("create", name, podman_spec.spec(body)))
        return "new", []

    def pod(self, name):
        return f"{name}-id"

    def __getattr__(self, verb):
        return lambda *args, **more: self.told.append((verb, *args, *more.items()))


def state_of(engine, resource):
    return resource.observe(engine, resource.read_many(engine, [resource.name]).get(resource.name, ABSENT))


def planned(engine, **options):
    resource = PodmanContainer({"name": "web", "image": IMAGE, **options})
    return resource, resource.plan(state_of(engine, resource))


def fields(plan) -> list[str]:
    return [change.name for change in plan.changes]


def request_for(**options) -> dict:
    """What Podman is asked for a new one."""
    engine = Podman()
    resource, plan = planned(engine, **options)
    resource.create(engine, plan)
    return next(body for verb, *_name, body in engine.told if verb == "create")


HAND = {
    "read_only": True,
    "tmpfs": ["/tmp"],
    "cap_drop": ["ALL"],
    "capabilities": ["NET_BIND_SERVICE"],
    "security_opts": ["no-new-privileges"],
    "user": "65534:65534",
    "memory": "512m",
    "cpus": 1.5,
    "pids_limit": 256,
    "published_ports": ["127.0.0.1:8090:8080"],
    "volumes": ["/srv/www:/srv/www:ro"],
    "state": "present",
}
EVERY = {
    "entrypoint": ["/bin/busybox"],
    "command": "httpd -f",
    "working_dir": "/srv/www",
    "env": {"A": "1"},
    "labels": {"x": "y"},
    "user": "5:6",
    "groups": ["100", "44"],
    "hostname": "inner",
    "interactive": True,
    "tty": True,
    "stop_signal": "quit",
    "stop_timeout": 3,
    "restart_policy": "on-failure",
    "restart_retries": 4,
    "log_driver": "k8s-file",
    "log_options": {"max-size": "1m"},
    "memory": "64m",
    "memory_swap": "96m",
    "memory_reservation": "32m",
    "oom_score_adj": 500,
    "shm_size": "32m",
    "cpus": 0.5,
    "cpu_shares": 512,
    "pids_limit": 64,
    "ulimits": ["nofile:1024:2048"],
    "published_ports": ["127.0.0.1:8081:81/udp", "9000-9001:90-91"],
    "exposed_ports": ["53/udp"],
    "dns_servers": ["192.0.2.2", "192.0.2.1"],
    "dns_search_domains": ["b.example", "a.example"],
    "dns_opts": ["ndots:2"],
    "etc_hosts": {"db": "192.0.2.7"},
    "cpuset_cpus": "0",
    "cpuset_mems": "0",
    "volumes": ["/srv/www:/a:ro", "/unnamed"],
    "mounts": [
        {"target": "/b", "source": "/srv/www", "type": "bind", "read_only": True},
        {"target": "/scratch", "type": "tmpfs", "tmpfs_size": "1m", "tmpfs_mode": "1777"},
    ],
    "tmpfs": ["/t:size=1m"],
    "read_only": True,
    "capabilities": ["NET_ADMIN"],
    "cap_drop": ["ALL"],
    "security_opts": ["no-new-privileges"],
    "cgroupns_mode": "host",
    "ipc_mode": "shareable",
    "pid_mode": "host",
    "devices": ["/dev/null:/dev/x:r"],
    "sysctls": {"net.core.somaxconn": "1024"},
    "healthcheck": {"interval": "5s", "timeout": "2s", "retries": 2, "start_period": "1s", "test_cli_compatible": True},
    "state": "present",
}


@pytest.mark.parametrize(("answer", "options"), [("hand", HAND), ("every", EVERY)])
def test_what_podman_run_made_by_hand_is_what_is_declared(answer, options):
    assert fields(planned(Podman(web=answer), **options)[1]) == []


def test_the_example_of_a_plain_user_is_what_was_made_by_hand():
    """On a host without SELinux, Podman forgets that a label was asked for; what is made anew is asked for it again."""
    options = {
        "userns_mode": "keep-id",
        "published_ports": ["8092:8080"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "volumes": ["/srv/www:/srv/www:ro,Z"],
        "memory": "64m",
    }
    engine = Podman(uid=1000, web="rootless_keep")
    assert fields(planned(engine, **options)[1]) == []
    resource, plan = planned(engine, **{**options, "env": {"A": "1"}})
    assert fields(plan) == ["env"]
    resource._finish = lambda *args: None
    resource.recreate(engine, plan)
    made = next(body for verb, *_name, body in engine.told if verb == "create")
    assert {"type": "bind", "source": "/srv/www", "destination": "/srv/www", "options": ["Z", "ro"]} in made["mounts"]
    assert (made["userns"], made["netns"]) == ({"nsmode": "keep-id"}, {"nsmode": "pasta"})
    assert made["portmappings"] == [
        {"container_port": 8080, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 8092}
    ]
    loosened = {**options, "volumes": ["/srv/www:/srv/www:Z"]}
    assert fields(planned(engine, **loosened)[1]) == ["volumes"]


@pytest.mark.parametrize("answer", ["plain", "plain_created", "hand", "every", "loose", "net", "net_created"])
def test_an_export_declares_what_is_there(answer):
    engine = Podman(web=answer)
    state = PodmanContainer.read_many(engine, ["web"])["web"]
    options = PodmanContainer.export("web", state)
    resource = PodmanContainer(options)
    assert fields(resource.plan(state_of(engine, resource))) == []


@pytest.mark.parametrize("answer", ["rootless_keep", "rootless_plain", "rootless_kid", "rootless_nomap"])
def test_an_export_of_a_plain_users(answer):
    engine = Podman(uid=1000, web=answer)
    state = PodmanContainer.read_many(engine, ["web"])["web"]
    options = PodmanContainer.export("web", state)
    modes = {"keep": "keep-id", "kid": "keep-id:uid=5,gid=6", "nomap": "nomap"}
    assert options.get("userns_mode") == modes.get(answer.partition("_")[2])
    resource = PodmanContainer(options)
    assert fields(resource.plan(state_of(engine, resource))) == []


def test_what_podman_gives_by_itself_is_not_told():
    state = PodmanContainer.read_many(Podman(web="plain"), None)["web"]
    assert PodmanContainer.export("web", state) == {
        "name": "web",
        "image": IMAGE,
        "ulimits": ["nofile:1048576:1048576", "nproc:1048576:1048576"],
        "state": "started",
    }


def test_the_request_of_the_example():
    made = request_for(**HAND)
    assert made["resource_limits"] == {
        "memory": {"limit": 512 << 20, "swap": 1024 << 20},
        "cpu": {"quota": 150_000, "period": 100_000},
        "pids": {"limit": 256},
    }
    assert made["portmappings"] == [
        {"container_port": 8080, "protocol": "tcp", "host_ip": "127.0.0.1", "host_port": 8090}
    ]
    assert made["mounts"] == [
        {"type": "bind", "source": "/srv/www", "destination": "/srv/www", "options": ["ro"]},
        {"type": "tmpfs", "source": "tmpfs", "destination": "/tmp", "options": []},
    ]
    assert (made["cap_drop"], made["cap_add"], made["no_new_privileges"]) == (["ALL"], ["NET_BIND_SERVICE"], True)
    assert (made["read_only_filesystem"], made["read_write_tmpfs"]) == (True, False)
    assert (made["env"], made["httpproxy"]) == ({}, False)


def test_the_long_form_of_a_mount_is_asked_for():
    long = [
        {"target": "/b", "source": "/srv/www", "type": "bind", "read_only": True},
        {"target": "/scratch", "type": "tmpfs", "tmpfs_size": "1m"},
    ]
    request = request_for(mounts=long, volumes=["/srv/www:/a:ro"], tmpfs=["/t"])
    assert {one["destination"]: one["type"] for one in request["mounts"]} == {
        "/a": "bind",
        "/b": "bind",
        "/scratch": "tmpfs",
        "/t": "tmpfs",
    }


def test_the_request_of_everything():
    made = request_for(
        **{**EVERY, "blkio_weight": 0},
        userns_mode="keep-id:uid=5,gid=6",
        device_cgroup_rules=["c 42:* rmw"],
    )
    assert made["stop_signal"] == 3
    assert made["userns"] == {"nsmode": "keep-id", "value": "uid=5,gid=6"}
    assert made["idmappings"] == {"HostUIDMapping": False, "HostGIDMapping": False, "AutoUserNs": False}
    assert made["annotations"] == {"io.podman.annotations.userns": "keep-id:uid=5,gid=6"}
    assert made["pidns"] == {"nsmode": "host"}
    assert made["log_configuration"] == {"driver": "k8s-file", "size": 1_000_000, "options": {}}
    assert made["r_limits"] == [{"type": "nofile", "soft": 1024, "hard": 2048}]
    assert made["devices"] == [{"path": "/dev/null:/dev/x:r"}]
    assert made["device_cgroup_rule"] == [{"allow": True, "type": "c", "major": 42, "access": "rmw"}]
    assert made["hostadd"] == ["db:192.0.2.7"]
    assert {"Dest": "/unnamed", "IsAnonymous": True} in made["volumes"]
    assert made["restart_policy"], made["restart_tries"] == ("on-failure", 4)
    assert made["expose"]["53"] == "udp"


@pytest.mark.parametrize(
    ("options", "netns", "networks"),
    [
        ({}, None, None),
        ({"network_mode": "host"}, {"nsmode": "host"}, None),
        ({"network_mode": "bridge"}, {"nsmode": "bridge"}, {"podman": {}}),
        ({"network_mode": "pasta"}, {"nsmode": "pasta"}, None),
        ({"network_mode": "container:db"}, {"nsmode": "container", "value": "db"}, None),
        (
            {"networks": [{"name": "front", "ipv4_address": "192.0.2.9", "aliases": ["www"]}]},
            {"nsmode": "bridge"},
            {"front": {"static_ips": ["192.0.2.9"], "aliases": ["www"]}},
        ),
        ({"networks": []}, {"nsmode": "none"}, None),
    ],
)
def test_how_it_is_connected(options, netns, networks):
    engine = Podman()
    engine.networks = lambda: [{"Name": "front"}]
    resource, plan = planned(engine, **options)
    resource.create(engine, plan)
    made = engine.told[-1][-1]
    assert (made.get("netns"), made.get("networks")) == (netns, networks)


def test_limits_are_live_and_all_else_is_not():
    options = {"memory": "64M", "cpus": 0.5, "pids_limit": 64, "restart_policy": "always", "cpu_shares": 256}
    engine = Podman(web="plain")
    resource, plan = planned(engine, **options)
    assert {change.effect for change in plan.changes} == {Effect.LIVE}
    resource.update(engine, plan)
    _verb, _name, body = engine.told[-1]
    assert podman_spec.resources(body)["cpu"] == {"quota": 50_000, "period": 100_000, "shares": 256}
    assert planned(Podman(web="plain"), env={"A": "1"})[1].steps == ("recreate",)
    assert planned(Podman(web="plain_updated"), cpus="max")[1].steps == ("recreate",), "Podman makes 1% of no limit"


def test_lifted_limits_are_none():
    config = PodmanContainer.read_many(Podman(web="plain_lifted"), None)["web"].config
    assert [config[name] for name in ("memory", "memory_swap", "cpus", "pids_limit")] == ["max", 0, "max", "max"]


@pytest.mark.parametrize(("answer", "status"), [("plain_paused", "paused"), ("plain_stopped", "stopped")])
def test_statuses(answer, status):
    assert PodmanContainer.read_many(Podman(web=answer), None)["web"].status == status


def test_whatever_was_loosened_is_seen():
    told = set(fields(planned(Podman(web="loose"), hardening="restricted")[1]))
    assert told >= {"pid_mode", "ipc_mode", "uts", "cgroupns_mode", "network_mode", "security_opts", "devices"}
    assert told >= {"capabilities", "cap_drop", "volumes", "read_only", "user", "memory", "pids_limit"}
    kept = planned(Podman(web="priv"), hardening="baseline", recreate="never", state="present")[1]
    assert kept.restart_required == ["privileged"]


@pytest.mark.parametrize(
    ("adds", "drops", "spelled"),
    [
        ([], [], ((), ())),
        (["SYS_ADMIN"], ["CHOWN"], (("SYS_ADMIN",), ("CHOWN",))),
        (["CHOWN"], [], ((), ())),
        ([], ["ALL"], ((), ("ALL",))),
        (["CHOWN"], ["ALL"], (("CHOWN",), ("ALL",))),
        ([], USUAL, ((), ("ALL",))),
        ([], USUAL[:7], (tuple(USUAL[7:]), ("ALL",))),
        (USUAL, ["ALL"], ((), ())),
    ],
)
def test_capabilities_by_what_is_left(adds, drops, spelled):
    _resource, plan = planned(Podman(web="plain"), capabilities=adds, cap_drop=drops)
    assert (plan.want["capabilities"], plan.want["cap_drop"]) == spelled
    assert bool(plan) == (spelled != ((), ()))


def test_dropping_all_lets_others_add():
    assert fields(planned(Podman(web="hand"), cap_drop=["ALL"], state="present")[1]) == []
    assert fields(planned(Podman(web="plain"), cap_drop=["ALL"], state="present")[1]) == ["cap_drop"]


def test_what_is_replaced_is_carried_over():
    engine = Podman(web="every")
    resource, plan = planned(engine, env={"B": "2"}, state="present")
    resource._finish = lambda *args: None
    resource.recreate(engine, plan)
    made = next(body for verb, *_name, body in engine.told if verb == "create")
    theirs = said("every")
    assert made["env"] == {"B": "2"}
    assert (made["hostname"], made["user"], made["stop_signal"]) == ("inner", "5:6", 3)
    assert made["resource_limits"]["memory"] == {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}
    names = {bind.split(":")[0] for bind in theirs["HostConfig"]["Binds"] if len(bind.split(":")[0]) == 64}
    assert {volume["Name"] for volume in made["volumes"]} == names
    assert all(volume["IsAnonymous"] for volume in made["volumes"])
    assert {mount["destination"] for mount in made["mounts"]} == {"/a", "/b", "/t", "/scratch"}
    assert "annotations" not in made
    assert made["portmappings"][0]["host_port"] == 8081


def test_a_plain_users_goes_on_without_a_session():
    engine = Podman(uid=1000, lingers=False)
    _resource, plan = planned(engine)
    assert plan.steps == ("outlive", "create", "start")
    assert fields(plan)[0] == "linger"
    assert planned(engine, linger=False)[1].steps == ("create", "start")
    assert planned(engine, state="present")[1].steps == ("create",)
    assert planned(Podman(uid=1000))[1].steps == ("create", "start")


def test_a_registry_that_is_to_be_asked_is_named():
    with pytest.raises(StrataError, match="image: doesn't say which registry to ask"):
        planned(Podman(), pull="always")


def test_a_controller_that_was_not_delegated():
    with pytest.raises(StrataError, match=r"Podman 5.4.2 has no controller cpuset for deploy.*Delegate="):
        planned(Podman(uid=1000), cpuset_cpus="0")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"links": ["db"]}, "links: Podman has no links"),
        ({"domainname": "example.com"}, "domainname: Podman has no NIS"),
        ({"networks": [{"name": "a", "gw_priority": 1}]}, "networks.gw_priority: Podman has nothing"),
        ({"mounts": [{"target": "/x", "type": "image", "source": "a"}]}, "mounts.type: Podman has no such"),
        ({"published_ports": ["8000-8010:80"]}, "chooses no port from a range"),
        ({"security_opts": ["seccomp={}"]}, "wants the path of the profile"),
        ({"userns_mode": "keep"}, "is no mode"),
    ],
)
def test_what_podman_has_not(options, words):
    with pytest.raises(StrataError, match=words):
        PodmanContainer({"name": "web", "image": IMAGE, **options})


def test_a_range_of_its_own():
    made = request_for(userns_mode="auto:size=4096")
    assert made["idmappings"]["AutoUserNsOpts"] == {"Size": 4096}
    assert made["userns"] == {"nsmode": "auto", "value": "size=4096"}


def test_a_security_option_that_is_none():
    with pytest.raises(StrataError, match="is no security option of Podman's"):
        request_for(security_opts=["writable-cgroups=true"])


@pytest.mark.parametrize(
    ("given", "name", "number"),
    [("9", "SIGKILL", 9), ("term", "SIGTERM", 15), ("SIGRTMIN+3", "SIGRTMIN+3", 37), ("37", "SIGRTMIN+3", 37)],
)
def test_signals(given, name, number):
    assert podman_words.signal_name(given) == name
    assert podman_words.signal_number(name) == number


def test_networks_and_back():
    back = next(one for one in map(podman_networks.network, said("networks")) if one["Name"] == "back")
    pool = {"Subnet": "10.90.9.0/24", "Gateway": "10.90.9.1", "IPRange": "10.90.9.128/25"}
    assert back["IPAM"] == {"Driver": "default", "Config": [pool]}
    made = podman_networks.request(back)
    assert made["subnets"][0]["lease_range"] == {"start_ip": "10.90.9.129", "end_ip": "10.90.9.255"}
    assert (made["dns_enabled"], made["driver"]) == (True, "bridge")


def test_one_with_secrets_is_not_replaced():
    engine = Podman(web="plain")
    engine.documents["web"]["Podman"]["Config"]["Secrets"] = [{"Name": "key", "ID": "1", "UID": 0}]
    assert planned(engine, memory="64M")[1].steps == ("update",)
    with pytest.raises(StrataError, match=r"has secrets.*recreate: never"):
        planned(engine, env={"A": "1"})


def test_what_a_container_has_of_its_pod_is_not_asked_for():
    host = {"NetworkMode": "container:infra", "IpcMode": "container:infra", "PidMode": "host"}
    made = podman_spec.spec({"Pod": "shop", "HostConfig": host})
    assert (made["pod"], made["pidns"]) == ("shop", {"nsmode": "host"})
    assert not {"netns", "networks", "ipcns"} & made.keys()


def test_a_pod_is_known_by_its_id():
    made = request_for(pod="shop")
    assert made["pod"] == "shop-id"
    engine = Podman(web="plain")
    document = copy.deepcopy(engine.documents["web"])
    document["Config"]["Pod"] = "shop-id"
    engine.documents["web"] = document
    assert fields(planned(engine, pod="shop")[1]) == []

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container: what it is mounted and connected to, what is refused, and what looking at it costs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import docker, docker_carry
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer

BASE = {"name": "web", "image": "web:1.0"}


@pytest.fixture(name="daemon")
def _daemon(Daemon, answer):
    return Daemon(web=answer("plain"))


def observed(daemon, resource):
    return resource.observe(daemon, resource.read_many(daemon, [resource.name]).get(resource.name, ABSENT))


def planned(daemon, **options):
    resource = DockerContainer({**BASE, **options})
    return resource.plan(observed(daemon, resource))


def names(plan) -> list[str]:
    return [change.name for change in plan.changes]


def verbs(daemon) -> list[str]:
    return [told[0] for told in daemon.told]


def set_there(daemon, **host) -> None:
    daemon.documents["web"]["HostConfig"].update(host)


# Mounts and volumes that have no name.


def test_volumes_without_a_name_go_over_and_are_no_mounts(daemon, answer):
    document = answer("plain")
    carried = docker_carry.carry(document, daemon.pictures["web:1.0"], {})
    (volume,) = carried["HostConfig"]["Mounts"]
    assert (volume["Target"], len(volume["Source"])) == ("/data", 64)
    set_there(daemon, Mounts=[volume])
    assert not planned(daemon, mounts=[])
    assert not docker_carry.carry(document, daemon.pictures["web:1.0"], {}, volumes=False)["HostConfig"]["Mounts"]


def test_a_declared_volume_without_a_name_keeps_its_data(daemon):
    document = daemon.documents["web"]
    set_there(daemon, Mounts=[{"Type": "volume", "Target": "/own"}, {"Type": "bind", "Source": "/a", "Target": "/a"}])
    document["Mounts"].append({"Type": "volume", "Name": "f" * 64, "Destination": "/own", "RW": True})
    resource = DockerContainer({**BASE, "mounts": [{"target": "/own"}], "user": "7"})
    plan = resource.plan(observed(daemon, resource))
    assert names(plan) == ["user", "mounts[/a]"]
    body = resource.body(docker_carry.carry(document, daemon.pictures["web:1.0"], plan.want, ["/data"]), plan)
    found = {mount["Target"]: mount.get("Source") for mount in body["HostConfig"]["Mounts"]}
    assert found["/own"] == "f" * 64
    assert set(found) == {"/own", "/data"}
    set_there(daemon, Mounts=body["HostConfig"]["Mounts"])
    document["Config"]["User"] = "7"
    assert not resource.plan(observed(daemon, resource))


def test_what_has_no_name_goes_with_its_container_where_the_task_says_so(daemon):
    carried = {"Type": "volume", "Source": "a" * 64, "Target": "/data"}
    named = {"Type": "volume", "Source": "named", "Target": "/named"}
    set_there(daemon, Mounts=[carried, named])
    resource = DockerContainer({**BASE, "state": "absent", "keep_volumes": False, "removal_wait_timeout": 5})
    daemon.documents[daemon.documents["web"]["Id"]] = daemon.documents["web"]
    resource.remove(daemon, resource.plan(resource.read_many(daemon, ["web"])["web"]))
    container = daemon.documents["web"]["Id"]
    assert daemon.told == [
        ("stop", container, None),
        ("remove", container, ("volumes", True), ("timeout", 5.0)),
        ("remove_volume", "a" * 64),
    ]


def test_a_volume_without_a_name_that_nobody_has_a_say_for_stays_behind(daemon):
    document, image = daemon.documents["web"], daemon.pictures["web:1.0"]
    document["Config"]["Volumes"]["/asked"] = {}
    document["Mounts"].append({"Type": "volume", "Name": "f" * 64, "Destination": "/asked", "RW": True})

    def carried(want, given=("/data",)):
        return {mount["Target"] for mount in docker_carry.carry(document, image, want, given)["HostConfig"]["Mounts"]}

    assert carried({}) == carried({}, ()) == carried({"mounts": ()}) == {"/data", "/asked"}
    assert carried({"volumes": ()}) == {"/data"}
    assert carried({"mounts": ()}, ()) == {"/asked"}
    assert carried({"mounts": (), "volumes": ()}, ()) == set()


def test_what_is_carried_gives_way_to_what_is_declared(daemon):
    set_there(daemon, Binds=["/a:/x", "/b:/y"], Tmpfs={"/z": ""})
    mounts = [{"target": path, "type": "bind", "source": "/new"} for path in ("/x", "/z")]
    resource = DockerContainer({**BASE, "mounts": mounts})
    plan = resource.plan(observed(daemon, resource))
    base = docker_carry.carry(daemon.documents["web"], daemon.pictures["web:1.0"], plan.want, ["/data"])
    host = resource.body(base, plan)["HostConfig"]
    assert (host["Binds"], host["Tmpfs"]) == (["/b:/y"], {})
    assert [mount["Target"] for mount in host["Mounts"]] == ["/x", "/z", "/data"]


# Networks.


@pytest.mark.parametrize(
    ("member", "worker"),
    [
        ({"LocalNodeState": "active", "ControlAvailable": False}, True),
        ({"LocalNodeState": "active", "ControlAvailable": True}, False),
        ({"LocalNodeState": "inactive", "ControlAvailable": False}, False),
        (None, False),
    ],
)
def test_a_worker_of_a_swarm_gets_networks_from_its_manager(Daemon, member, worker):
    daemon = Daemon()
    daemon.networks = list
    told = {**daemon.info(), "Swarm": member}
    asked = SimpleNamespace(info=lambda: told)
    daemon.works_for_others = docker.Docker.works_for_others.fget(asked)
    if worker:
        assert planned(daemon, networks=[{"name": "back"}]).want["networks"] == ({"name": "back"},)
    else:
        with pytest.raises(StrataError, match=r"networks: is not on this host.*docker_network"):
            planned(daemon, networks=[{"name": "back"}])


def test_networks_and_their_mode_agree(Daemon):
    daemon = Daemon()
    daemon.networks = lambda: [{"Name": "front"}]
    front = [{"name": "front"}]
    for more, places, mode in (
        ({}, ["front"], "front"),
        ({"network_mode": "bridge"}, ["bridge", "front"], "bridge"),
        ({"networks_cli_compatible": False}, ["bridge", "front"], "bridge"),
    ):
        plan = planned(daemon, networks=front, **more)
        body = DockerContainer({**BASE, "networks": front, **more}).body({}, plan)
        assert sorted(body["NetworkingConfig"]["EndpointsConfig"]) == places
        assert body["HostConfig"]["NetworkMode"] == mode


def test_a_mac_address_of_one_that_was_stopped_is_not_known(daemon):
    place = daemon.documents["web"]["NetworkSettings"]["Networks"]["bridge"]
    mac = place["MacAddress"]
    spec = {"networks": [{"name": "bridge", "mac_address": mac}], "mac_address": mac, "state": "present"}
    assert not planned(daemon, **spec)
    other = {**spec, "networks": [{"name": "bridge", "mac_address": "02:42:00:00:00:01"}], "mac_address": None}
    assert planned(daemon, **other).steps == ("recreate",), "it can't be given while it runs"
    place["MacAddress"] = ""
    daemon.documents["web"]["State"]["Running"] = False
    assert not planned(daemon, **spec)
    anew = planned(daemon, **spec, user="7")
    assert (anew.want["networks"][0]["mac_address"], anew.want["mac_address"]) == (mac, mac)


def test_defaults_by_their_names(daemon):
    assert not planned(daemon, network_mode="default", ipc_mode="", pid_mode="", uts="", userns_mode="")


def test_a_network_of_another_container_is_known_by_its_id(daemon, answer):
    daemon.put("db", {**answer("plain"), "Id": "d" * 64})
    set_there(daemon, NetworkMode=f"container:{'d' * 64}", PidMode=f"container:{'d' * 64}")
    assert not planned(daemon, network_mode="container:db", pid_mode="container:db")


def test_a_stack_makes_first_what_others_need(daemon):
    spec = {
        "network_mode": "container:a",
        "links": ["b:bee"],
        "volumes_from": ["c:ro"],
        "volumes": ["data:/x", "/srv:/y"],
        "mounts": [{"target": "/z", "source": "more"}, {"target": "/anonymous"}],
        "env_file": "/etc/web.env",
    }
    needs = DockerContainer({**BASE, **spec}).needs()
    assert sorted(needs) == [
        *(("docker_container", name) for name in "abc"),
        ("docker_image", "web:1.0"),
        *(("docker_volume", name) for name in ("data", "more")),
        ("path", "/etc/web.env"),
    ]
    assert DockerContainer(BASE).provides() == [("docker_container", "web")]


# Refusals.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel_memory": "8m"}, r"kernel_memory: Docker 26.1.5 \(API 1.45\) has no limits of kernel memory"),
        ({"memory_swappiness": 10}, "memory_swappiness: Docker 26.1.5"),
        ({"oom_killer": True}, "oom_killer: Docker 26.1.5"),
        ({"runtime": "nvidia"}, "runtime: Docker 26.1.5 .* has no such runtime"),
        ({"log_driver": "splunk"}, "log_driver: Docker 26.1.5"),
        ({"networks": [{"name": "bridge", "gw_priority": 1}]}, "networks.gw_priority: .* came with API 1.48"),
        ({"mounts": [{"target": "/a", "type": "image", "source": "x"}]}, "mounts.type: .* came with API 1.47"),
        (
            {"mounts": [{"target": "/a", "type": "tmpfs", "tmpfs_options": [{"noswap": None}]}]},
            "mounts.tmpfs_options: .* API 1.46",
        ),
    ],
)
def test_what_the_engine_cannot_honour_is_refused_before_anything_is_touched(daemon, options, said):
    with pytest.raises(StrataError, match=said):
        planned(daemon, **options)
    assert daemon.told == []


def test_what_the_engine_leaves_out_is_an_error_and_leaves_nothing(Daemon):
    daemon = Daemon()
    daemon.left_out = ["Block I/O weight discarded."]
    resource = DockerContainer({**BASE, "blkio_weight": 100})
    with pytest.raises(StrataError, match=r"Docker 26.1.5 .* does not do all that is declared: Block I/O weight"):
        resource.create(daemon, resource.plan(observed(daemon, resource)))
    assert verbs(daemon) == ["create", "remove"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("privileged", True),
        ("pid_mode", "host"),
        ("network_mode", "host"),
        ("devices", ["/dev/fuse"]),
        ("device_cgroup_rules", ["a *:* rwm"]),
        ("mounts", [{"target": "/host", "type": "bind", "source": "/"}]),
    ],
)
def test_a_profile_forbids_it_unless_excepted(daemon, option, value):
    options = {**BASE, "hardening": "baseline", option: value}
    with pytest.raises(StrataError, match=f"{option}: breaks the profile baseline"):
        DockerContainer(options)
    DockerContainer({**options, "hardening_exceptions": [option]})
    group = {"pid_mode": "host_namespaces", "network_mode": "host_namespaces"}.get(option, option)
    assert DockerContainer({**options, "hardening_exceptions": [group]})


# What a daemon said of containers that were run by hand.


def test_every_option_of_one_made_by_hand_is_read(Daemon, answer):
    daemon = Daemon(every=answer("every"))
    daemon.pictures = {"web:1.0": answer("imported")}
    daemon.pictures[answer("imported")["Id"]] = answer("imported")
    state = DockerContainer.read_many(daemon, ["every"])["every"]
    export = DockerContainer.export("every", state)
    some = {
        "cpus": 0.5,
        "devices": ["/dev/null:/dev/x:r"],
        "exposed_ports": ["53/udp"],
        "healthcheck": {
            "test": ["CMD-SHELL", "/bin/busybox true"],
            "interval": "5s",
            "timeout": "2s",
            "retries": 2,
            "start_period": "1s",
            "start_interval": "500ms",
        },
        "hostname": "inner",
        "memory_swap": "96M",
        "mounts": [
            {"target": "/b", "source": "/srv/www", "type": "bind", "read_only": True},
            {"target": "/scratch", "type": "tmpfs", "tmpfs_size": "1M", "tmpfs_mode": "1777"},
        ],
        "published_ports": ["127.0.0.1:8081:81/udp", "9000:90", "9001:91"],
        "restart_retries": 4,
        "security_opts": ["no-new-privileges"],
        "state": "stopped",
        "ulimits": ["nofile:1024:2048"],
        "volumes": ["/srv/www:/a:ro", "/unnamed"],
    }
    assert {option: export.get(option) for option in some} == some
    resource = DockerContainer(export)
    assert not resource.plan(observed(daemon, resource))


def test_the_last_words_of_a_check_are_told(Daemon, answer):
    daemon = Daemon(sick=answer("sick"))
    daemon.pictures[answer("sick")["Image"]] = answer("imported")
    resource = DockerContainer({"name": "sick", "image": "web:1.0", "state": "healthy"})
    state = observed(daemon, resource)
    assert "its health check fails, saying: OCI runtime exec failed" in resource.explain(daemon, state)


def test_no_daemon_is_told_without_asking(monkeypatch, tmp_path):
    monkeypatch.setattr(docker, "library", lambda *_names: None)
    with pytest.raises(StrataError, match=r"docker_host: no Docker daemon answers there .*systemctl start docker"):
        DockerContainer.open({"docker_host": f"unix://{tmp_path}/nothing.sock"})


# What it costs to find that nothing changed.


class Session:
    """The SDK's client, with answers instead of a daemon."""

    def __init__(self, answers: dict) -> None:
        self.answers, self.asked, self.hooks, self._version = answers, [], {"response": []}, docker.OLDEST
        self._url = lambda path, *parts, versioned_api=True: (
            f"/v{self._version}{path.format(*parts)}" if versioned_api else path.format(*parts)
        )

    def ask(self, url: str):
        self.asked.append(url)
        for hook in self.hooks["response"]:
            hook(self)
        return self.answers[url.rpartition("/v1.45")[2]]

    headers = {"Api-Version": "1.45", "Server": "Docker/26.1.5+dfsg1 (linux)"}

    def containers(self, **_filters):
        return self.ask(self._url("/containers/json"))

    def inspect_container(self, name):
        return self.ask(self._url("/containers/{0}/json", name))

    def inspect_image(self, name):
        return self.ask(self._url("/images/{0}/json", name))


def test_an_unchanged_one_costs_three_calls_and_the_version_is_known(answer, monkeypatch):
    there, image, listed = answer("sick"), answer("imported"), answer("containers")
    container = next(one for one in listed if one["Names"] == ["/sick"])
    session = Session(
        {
            "/containers/json": listed,
            f"/containers/{container['Id']}/json": there,
            "/images/web:1.0/json": image,
        }
    )
    errors = SimpleNamespace(APIError=LookupError, NotFound=KeyError, DockerException=RuntimeError)
    monkeypatch.setattr(docker, "library", lambda *_names: SimpleNamespace(errors=errors))
    monkeypatch.setattr(docker.Docker, "_knock", lambda self: None)
    engine = DockerContainer.open({})
    engine._local.client = session
    engine._meet(session)
    resource = DockerContainer({"name": "sick", "image": "web:1.0", "hardening": "privileged"})
    assert not resource.plan(observed(engine, resource))
    assert session.asked == [
        "/containers/json",
        f"/v1.45/containers/{container['Id']}/json",
        "/v1.45/images/web:1.0/json",
    ]
    assert (engine.api, engine.title) == ((1, 45), "Docker 26.1.5+dfsg1 (API 1.45)")

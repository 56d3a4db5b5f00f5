# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container: how it is compared, pulled, run to its end, replaced and refused. No option of its own."""

from __future__ import annotations

import json
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


# Comparing.


def set_there(daemon, **host) -> None:
    daemon.documents["web"]["HostConfig"].update(host)


def test_security_is_compared_strictly(daemon):
    set_there(daemon, CapAdd=["SYS_ADMIN", "CHOWN"])
    assert names(planned(daemon, capabilities=["CHOWN"])) == ["capabilities"]
    assert not planned(daemon, capabilities=["CHOWN"], comparisons={"capabilities": "allow_more_present"})
    assert names(planned(daemon, capabilities=["KILL"], comparisons={"capabilities": "allow_more_present"})) == [
        "capabilities"
    ]


@pytest.mark.parametrize("words", [{"dns_servers": "ignore"}, {"*": "ignore"}])
def test_what_is_ignored_stays_until_something_else_needs_a_new_one(daemon, words):
    assert not planned(daemon, dns_servers=["192.0.2.1"], comparisons=words)
    more = {"comparisons": {**words, "user": "strict"}, "user": "7"}
    plan = planned(daemon, dns_servers=["192.0.2.1"], **more)
    assert names(plan) == ["user", "dns_servers"]
    assert plan.want["dns_servers"] == ("192.0.2.1",)


def test_an_ignored_image_is_not_replaced(daemon):
    daemon.pictures["web:1.0"] = {**daemon.pictures["web:1.0"], "Id": "sha256:new"}
    assert names(planned(daemon)) == ["image"]
    assert not planned(daemon, comparisons={"image": "ignore"})


def test_more_of_everything_is_left(daemon):
    set_there(daemon, Dns=["192.0.2.1", "192.0.2.2"], Sysctls={"a": "1", "b": "2"})
    more = dict.fromkeys(("dns_servers", "sysctls", "env", "networks"), "allow_more_present")
    spec = {"dns_servers": ["192.0.2.2"], "sysctls": {"b": "2"}, "env": {}, "networks": []}
    assert not planned(daemon, **spec, comparisons=more)
    assert planned(daemon, **spec)
    assert not planned(daemon, networks=[], purge_networks=False)
    assert names(planned(daemon, networks=[], networks_cli_compatible=False, purge_networks=True))
    plan = planned(daemon, dns_servers=["192.0.2.3"], comparisons=more)
    assert plan.want["dns_servers"] == ("192.0.2.1", "192.0.2.2", "192.0.2.3")


def test_labels_can_be_exactly_those(daemon):
    daemon.documents["web"]["Config"]["Labels"]["theirs"] = "1"
    assert not planned(daemon, labels={})
    assert names(planned(daemon, labels={}, comparisons={"labels": "strict"})) == ["labels[theirs]"]
    with pytest.raises(StrataError, match=r"labels: .*the image has made.by"):
        planned(daemon, labels={}, comparisons={"labels": "strict"}, image_label_mismatch="fail")


def test_a_profile_is_compared_whatever_is_said(daemon):
    set_there(daemon, Privileged=True)
    assert "privileged" in names(planned(daemon, hardening="baseline", comparisons={"*": "ignore"}))


def test_an_alias_names_its_option(daemon):
    assert not planned(daemon, comparisons={"ports": "ignore"}, published_ports=["80"])
    assert planned(daemon, comparisons={"ports": "allow_more_present"}, published_ports=["80"])


def test_another_name_of_the_same_image(daemon):
    daemon.pictures["other:latest"] = daemon.pictures["web:1.0"]
    assert not planned(daemon, image="other")
    assert names(planned(daemon, image="other", image_name_mismatch="recreate")) == ["image"]
    assert not planned(daemon, image_name_mismatch="recreate")


def test_without_an_image_it_keeps_its_own(daemon):
    assert not planned(daemon, image=None)
    plan = planned(daemon, image=None, user="7")
    resource = DockerContainer({"name": "web", "user": "7"})
    assert resource.body({}, plan)["Image"] == "web:1.0"
    daemon.documents.clear()
    with pytest.raises(StrataError, match="image: is required where there is no such container"):
        planned(daemon, image=None)


def test_old_defaults(daemon):
    set_there(daemon, ReadonlyRootfs=True, Memory=1 << 30)
    assert not planned(daemon)
    assert names(planned(daemon, container_default_behavior="compatibility")) == ["memory", "read_only"]
    plan = planned(daemon, command=["sleep 5", "'a b'"], entrypoint=[], command_handling="compatibility")
    assert plan.want["command"] == ("sleep", "5", "a b")
    assert "entrypoint" not in plan.want


# Pulling.


def pullable(daemon, name: str) -> dict:
    image = {**daemon.pictures["web:1.0"], "Id": "sha256:pulled", "RepoTags": [name], "RepoDigests": [f"{name}@d1"]}
    daemon.registry[name] = image
    return image


def test_a_missing_image_is_pulled_first_and_what_it_gives_is_known_then(daemon):
    image = pullable(daemon, "far:1")
    image["Config"] = {**image["Config"], "User": "7"}
    resource = DockerContainer({"name": "new", "image": "far:1", "hardening": "restricted", "platform": "amd64"})
    plan = resource.plan(observed(daemon, resource))
    assert plan.steps == ("pull", "create", "start")
    assert "far:1 (pulled)" in [change.after for change in plan.changes]
    resource.pull(daemon, plan)
    resource.create(daemon, plan)
    assert ("pull", "far:1", "linux/amd64") in daemon.told
    body = next(told[2] for told in daemon.told if told[0] == "create")
    assert (body["Image"], body.get("User")) == ("far:1", None), "the image's own user, which is not root"


def test_what_another_resource_made_meanwhile_is_not_pulled(daemon):
    resource = DockerContainer({"name": "new", "image": "built:1"})
    plan = resource.plan(observed(daemon, resource))
    daemon.pictures["built:1"] = daemon.pictures["web:1.0"]
    resource.pull(daemon, plan)
    assert "pull" not in verbs(daemon)
    assert ("docker_image", "built:1") in resource.needs()


def test_the_registry_is_asked_whether_there_is_another_one(daemon):
    daemon.published = lambda name: "sha256:d2"
    daemon.pictures["web:1.0"]["RepoDigests"] = ["web@sha256:d2"]
    assert not planned(daemon, pull=True)
    daemon.pictures["web:1.0"]["RepoDigests"] = ["web@sha256:d1"]
    plan = planned(daemon, pull="always")
    assert (names(plan), plan.steps) == (["image"], ("pull", "recreate"))
    assert not planned(daemon, pull="always", comparisons={"image": "ignore"})
    daemon.published = lambda name: None
    with pytest.raises(StrataError, match="image: is not in its registry"):
        planned(daemon, pull="always")


def test_what_was_pulled_may_be_what_it_was_made_from(daemon):
    image = daemon.pictures.pop("web:1.0")
    daemon.registry["web:1.0"] = image
    resource = DockerContainer(BASE)
    plan = resource.plan(observed(daemon, resource))
    assert plan.steps == ("pull", "recreate")
    resource.pull(daemon, plan)
    resource.recreate(daemon, plan)
    assert "create" not in verbs(daemon)


def test_an_id_is_never_pulled(daemon):
    with pytest.raises(StrataError, match=r"image: is not on this host"):
        planned(daemon, image=f"sha256:{'0' * 64}", pull="always")


# Running to the end.


def test_a_job_runs_each_time_and_tells_what_it_said(daemon):
    daemon.wait, daemon.logs = (lambda _id: 0), (lambda _id, since: "done\n")
    resource = DockerContainer({**BASE, "detach": False})
    plan = resource.plan(observed(daemon, resource))
    assert plan.steps == ("run",), "it runs already"
    daemon.documents["web"]["State"]["Running"] = False
    plan = resource.plan(observed(daemon, resource))
    assert (plan.steps, names(plan)) == (("start", "run"), ["state"])
    resource.run(daemon, plan)
    state = observed(daemon, resource)
    assert not resource.settled().plan(state)
    told = resource.outcome(state)
    assert (told["status"], told["container"]["Output"], told["container"]["Name"]) == (0, "done\n", "/web")
    assert json.dumps(told)


def test_a_job_that_fails(daemon):
    daemon.wait, daemon.logs = (lambda _id: 3), (lambda _id, since: "no way\n")
    resource = DockerContainer({**BASE, "detach": False, "cleanup": True})
    with pytest.raises(StrataError, match="it left with status 3, saying: no way"):
        resource.run(daemon, resource.plan(observed(daemon, resource)))
    assert ("remove", daemon.documents["web"]["Id"]) in daemon.told
    assert not resource.settled().plan(ABSENT)


def test_a_job_that_removes_itself_is_removed_once_its_output_is_known(daemon):
    resource = DockerContainer({**BASE, "detach": False, "auto_remove": True})
    assert (resource.spec["auto_remove"], resource.spec["cleanup"]) == (False, True)
    assert resource.settled().target == "absent"


def test_a_job_that_is_replaced_runs_once(daemon):
    assert planned(daemon, detach=False, user="7").steps == ("recreate", "start", "run")


# States.


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"paused": True}, ("pause",)),
        ({"paused": False}, ()),
        ({"restart": True}, ("restart",)),
        ({"recreate": True}, ("recreate",)),
        ({"recreate": True, "restart": True}, ("recreate",)),
        ({"recreate": True, "state": "present"}, ("recreate",)),
        ({"recreate": True, "state": "stopped"}, ("recreate",)),
        ({"restart": True, "state": "stopped"}, ("stop",)),
        ({"state": "absent"}, ("remove",)),
    ],
)
def test_steps_of_one_that_runs(daemon, options, steps):
    assert planned(daemon, **options).steps == steps


def test_forced_ones_settle(daemon):
    for options in ({"recreate": True}, {"restart": "always"}):
        resource = DockerContainer({**BASE, **options})
        assert not resource.settled().plan(observed(daemon, resource))


def test_it_is_stopped_as_the_task_says(daemon):
    DockerContainer({**BASE, "stop_timeout": 3}).stop(daemon, None)
    assert daemon.told == [("stop", "web", 3)]
    daemon.told.clear()
    daemon.documents["web"]["State"]["Running"] = False
    DockerContainer({**BASE, "force_kill": True, "kill_signal": "SIGINT"}).stop(daemon, None)
    assert daemon.told == [("kill", "web", "SIGINT")]


def test_one_that_is_being_removed_is_waited_for(daemon):
    daemon.documents["web"]["State"]["Status"] = "removing"
    resource = DockerContainer({**BASE, "removal_wait_timeout": 5})
    plan = resource.plan(observed(daemon, resource))
    assert plan.steps == ("create", "start")
    resource.create(daemon, plan)
    assert daemon.told[0] == ("gone", daemon.documents["web"]["Id"], 5.0)
    assert not planned(daemon, state="absent")


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
            "test": ["CMD-SHELL", "/bin/busybox true"], "interval": "5s", "timeout": "2s",
            "retries": 2, "start_period": "1s", "start_interval": "500ms",
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

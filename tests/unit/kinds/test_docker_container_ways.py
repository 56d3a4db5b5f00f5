# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container: how it is compared, pulled, run to its end and replaced. No option of its own."""

from __future__ import annotations

import json

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
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
    with pytest.raises(StrataError, match="image: is not in its registry"):
        observed(daemon, resource)
    resource.promised = frozenset({("docker_image", "built:1")})
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
    daemon.wait, daemon.logs = (lambda _id: 0), (lambda _id: "done\n")
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
    daemon.wait, daemon.logs = (lambda _id: 3), (lambda _id: "no way\n")
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

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_swarm, docker_node, docker_secret, docker_config and docker_service, looked at through Docker's own client."""

from __future__ import annotations

import base64
import json

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.docker_containers import make_images
from tests.lab.driver import Failed, call, run

LOCAL = {"advertise_addr": "127.0.0.1"}


def leave() -> None:
    run("docker", "swarm", "leave", "--force", check=False)


def swarm() -> dict:
    return json.loads(run("docker", "info", "--format", "{{json .Swarm}}"))


@pytest.fixture(scope="module")
def member():
    make_images()
    leave()
    run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
    yield
    leave()


def test_a_swarm_is_begun_changed_and_left():
    leave()
    spec = {**LOCAL, "labels": {"site": "lab"}, "task_history_retention_limit": 2}
    try:
        foretold = call("docker_swarm", spec, check=True)
        assert swarm()["LocalNodeState"] == "inactive"
        with pytest.raises(Failed, match="needs a swarm"):
            call("docker_secret", {"name": "strata-token", "data": "x"})
        done = call("docker_swarm", {**spec, "join_tokens": True})
        assert foretold["changes"] == done["changes"]
        assert done["join_tokens"]["worker"] == run("docker", "swarm", "join-token", "--quiet", "worker").strip()
        assert "join_tokens" not in call("docker_swarm", spec)
        for check in (True, False):
            assert call("docker_swarm", spec, check=check)["changes"] == []
        kept = swarm()["Cluster"]["Spec"]
        assert (kept["Labels"]["site"], kept["Orchestration"]["TaskHistoryRetentionLimit"]) == ("lab", 2)
        run("docker", "swarm", "update", "--task-history-limit", "7")
        (change,) = call("docker_swarm", spec)["changes"]
        assert (change["before"], change["after"], change["effect"]) == (7, 2, "live")
        assert swarm()["Cluster"]["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 2
        (told,) = call("docker_swarm_info", {})["resources"]
        assert call("docker_swarm", told["options"])["changes"] == []
        with pytest.raises(Failed, match="force: true"):
            call("docker_swarm", {"state": "absent"})
        assert swarm()["LocalNodeState"] == "active"
        for changed in (True, False):
            assert call("docker_swarm", {"state": "absent", "force": True})["changed"] is changed
        assert swarm()["LocalNodeState"] == "inactive"
    finally:
        leave()


def test_one_that_joins_says_where_and_with_what():
    for options, words in (
        ({"remote_addrs": ["192.0.2.1:2377"]}, "join_token: is needed"),
        ({"remote_addrs": ["192.0.2.1:2377"], "join_token": "x", "labels": {"a": "b"}}, "labels: is a setting of the"),
    ):
        with pytest.raises(Failed, match=words):
            call("docker_swarm", options)


@pytest.mark.usefixtures("member")
def test_a_node_is_marked_and_drained():
    (name,) = run("docker", "node", "ls", "--format", "{{.Hostname}}").split()
    spec = {"name": name, "availability": "drain", "labels": {"disk": "ssd"}}
    assert {change["effect"] for change in call("docker_node", spec, check=True)["changes"]} == {"live"}
    assert call("docker_node", spec)["changed"]
    assert call("docker_node", spec)["changed"] is False
    by_hand = json.loads(run("docker", "node", "inspect", "self"))[0]["Spec"]
    assert (by_hand["Availability"], by_hand["Labels"]) == ("drain", {"disk": "ssd"})
    assert call("docker_node", {"name": name, "availability": "active", "labels": {"disk": None}})["changed"]
    (told,) = call("docker_node_info", {})["resources"]
    assert (told["facts"]["state"], told["options"]["role"]) == ("ready", "manager")
    with pytest.raises(Failed, match="is no node of this swarm"):
        call("docker_node", {"name": "nobody", "availability": "active"})
    with pytest.raises(Failed):
        call("docker_node", {"name": name, "state": "absent"})


def inspected(sort: str, name: str) -> dict | None:
    done = run("docker", sort, "inspect", name, check=False)
    found = json.loads(done) if done.startswith("[") else []
    return found[0] if found else None


def labels(spec: dict) -> dict:
    return {key: value for key, value in spec.get("Labels", {}).items() if not key.startswith("strata.")}


def look_secret(name: str) -> dict | None:
    found = inspected("secret", name)
    return found and {"ID": found["ID"], "Labels": labels(found["Spec"])}


def look_config(name: str) -> dict | None:
    found = inspected("config", name)
    return found and {"Data": base64.b64decode(found["Spec"]["Data"]).decode(), "Labels": labels(found["Spec"])}


TOUCHES = tuple(
    f"engines.docker_swarm.DockerSwarm.{verb}" for verb in ("create_object", "update_object", "remove_object")
)
BAD = (("data", ""), ("data_src", "relative"), ("nonsense", "1"))


@pytest.mark.usefixtures("member")
class TestDockerSecret(Convergence):
    case = Case(
        kind="docker_secret",
        info="docker_secret_info",
        a={"data": "correct horse", "labels": {"tier": "back"}},
        b={"data": "battery staple", "labels": {"tier": "front"}},
        look=lambda name: {key: value for key, value in (look_secret(name) or {}).items() if key != "ID"} or None,
        seen_a={"Labels": {"tier": "back"}},
        seen_b={"Labels": {"tier": "front"}},
        drifts={
            "forgotten": lambda name: run("docker", "secret", "rm", name),
            "made anew by hand": lambda name: (
                run("docker", "secret", "rm", name),
                run("docker", "secret", "create", name, "/etc/hostname"),
            ),
        },
        touches=TOUCHES,
        bad=BAD,
    )

    def test_of_a_file_and_told_by_its_digest_alone(self, tmp_path):
        file = tmp_path / "token"
        file.write_bytes(b"\xff\x00secret")
        spec = {"data_src": str(file)}
        self.foretold(spec)
        first = look_secret(self.case.name)["ID"]
        self.unchanged(spec)
        self.unchanged({"data": base64.b64encode(b"\xff\x00secret").decode(), "data_is_b64": True})
        file.write_bytes(b"another")
        (change,) = self.foretold(spec)["changes"]
        assert (change["field"], change["effect"], "another" in str(change)) == ("data", "recreate", False)
        assert look_secret(self.case.name)["ID"] != first
        never = self.apply({"data": "third", "recreate": "never"})
        assert (never["changed"], never["restart_required"]) == (False, ["data"])


@pytest.mark.usefixtures("member")
class TestDockerConfig(Convergence):
    case = Case(
        kind="docker_config",
        info="docker_config_info",
        a={"data": "one\n", "labels": {"tier": "back"}},
        b={"data": "two\n", "labels": {"tier": "front"}},
        look=look_config,
        seen_a={"Data": "one\n", "Labels": {"tier": "back"}},
        seen_b={"Data": "two\n", "Labels": {"tier": "front"}},
        drifts={"forgotten": lambda name: run("docker", "config", "rm", name)},
        touches=TOUCHES,
        bad=BAD,
    )


def look_service(name: str) -> dict | None:
    found = inspected("service", name)
    if found is None:
        return None
    task, mode = found["Spec"]["TaskTemplate"], found["Spec"]["Mode"]
    container = task["ContainerSpec"]
    return {
        "Image": container["Image"],
        "Args": container.get("Args"),
        "Env": container.get("Env") or None,
        "ReadOnly": container.get("ReadOnly", False),
        "Labels": labels(found["Spec"]),
        "Limits": task.get("Resources", {}).get("Limits", {}),
        "Replicas": mode.get("Replicated", {}).get("Replicas"),
    }


def running(name: str) -> int:
    states = run("docker", "service", "ps", "--filter", "desired-state=running", "--format", "{{.CurrentState}}", name)
    return sum(state.startswith("Running") for state in states.splitlines())


STAYS = {
    "image": "web:1.0",
    "stop_timeout": "1s",
    "endpoint_mode": "dnsrr",
    "restart_policy": {"delay": "1s"},
    "update_config": {"monitor": "1s"},
}


@pytest.mark.usefixtures("member")
class TestDockerService(Convergence):
    case = Case(
        kind="docker_service",
        info="docker_service_info",
        a={**STAYS, "replicas": 1, "memory": "64M", "cpus": 0.5, "env": {"A": "1"}, "labels": {"tier": "back"}},
        b={
            **STAYS,
            "memory": "96M",
            "cpus": "max",
            "env": {},
            "read_only": True,
            "replicas": 2,
            "labels": {"tier": "front"},
        },
        look=look_service,
        seen_a={
            "Image": "web:1.0",
            "Env": ["A=1"],
            "ReadOnly": False,
            "Labels": {"tier": "back"},
            "Limits": {"MemoryBytes": 64 << 20, "NanoCPUs": 500_000_000},
            "Replicas": 1,
        },
        seen_b={
            "Image": "web:1.0",
            "Env": None,
            "ReadOnly": True,
            "Labels": {"tier": "front"},
            "Limits": {"MemoryBytes": 96 << 20},
            "Replicas": 2,
        },
        drifts={
            "removed": lambda name: run("docker", "service", "rm", name),
            "scaled by hand": lambda name: run("docker", "service", "scale", "--detach", f"{name}=3"),
            "other limits": lambda name: run("docker", "service", "update", "--detach", "--limit-memory", "32M", name),
        },
        touches=TOUCHES,
        bad=(("memory", "12X"), ("cpus", "-1"), ("nonsense", "1"), ("published_ports", [{"target": 70000}])),
    )

    def test_its_tasks_run_when_it_returns_with_what_they_are_given(self):
        run("docker", "secret", "rm", "strata-token", check=False)
        call("docker_secret", {"name": "strata-token", "data": "correct horse"})
        call("docker_config", {"name": "strata-motd", "data": "hello\n"})
        try:
            spec = {
                **STAYS,
                "replicas": 2,
                "secrets": [{"name": "strata-token", "mode": "0400"}],
                "configs": [{"name": "strata-motd", "target": "/srv/motd"}],
                "healthcheck": {"test": ["CMD", "/bin/busybox", "true"], "interval": "1s"},
                "mounts": [{"type": "tmpfs", "target": "/scratch"}],
                "constraints": ["node.role == manager"],
                "update_config": {"order": "start-first", "delay": "1s", "monitor": "1s"},
                "etc_hosts": {"db": "192.0.2.7"},
            }
            done = self.foretold(spec)
            assert (running(self.case.name), done["resource"]["facts"]["running"]) == (2, 2)
            self.unchanged(spec)
            (one, *_more) = run("docker", "ps", "--quiet", "--filter", f"name={self.case.name}.").split()
            inside = ["docker", "exec", one, "/bin/busybox"]
            assert run(*inside, "cat", "/run/secrets/strata-token", "/srv/motd") == "correct horsehello"
            assert "192.0.2.7" in run(*inside, "cat", "/etc/hosts")
            with pytest.raises(Failed, match=r"is in use by the following service.*another name"):
                call("docker_secret", {"name": "strata-token", "data": "battery staple"})
            assert {change["effect"] for change in self.foretold({**spec, "env": {"B": "2"}})["changes"]} == {"live"}
            assert running(self.case.name) == 2
            (told,) = call("docker_service_info", {"name": [self.case.name]})["resources"]
            assert self.apply(told["options"])["changes"] == []
        finally:
            self.apply({"state": "absent"})
            for kind, name in (("docker_secret", "strata-token"), ("docker_config", "strata-motd")):
                call(kind, {"name": name, "state": "absent"})

    def test_what_failing_tasks_say_is_told(self):
        with pytest.raises(Failed, match=r"waited 8 seconds for its tasks to run; they say: .*(exit|No such image)"):
            self.apply({**STAYS, "entrypoint": ["/bin/busybox", "false"], "timeout": "8"})
        for options, words in (
            ({"mode": "global", "replicas": 2}, "replicas: can't go with mode: global"),
            ({"secrets": [{"name": "strata-none"}]}, "secrets: is not in this swarm"),
            ({"image": None}, "image: is needed"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({**STAYS, **options}, "strata-other")

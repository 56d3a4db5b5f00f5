# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_pod, looked at through Podman's own API and the kernel's files."""

from __future__ import annotations

import json

import pytest

from tests.lab import cgroups, podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images


@pytest.fixture(scope="session", autouse=True)
def _images():
    with podman_api.service() as at:
        make_images(at, ("web:1.0",))
        yield


def port(name: str) -> str:
    """Each has its own."""
    number = name.rpartition("-")[2]
    return str(8095 + (int(number) if number.isdigit() else 0))


def look(name: str) -> dict | None:
    found = podman_api.ask(f"/pods/{name}/json")
    if found is None:
        return None
    limits = cgroups.limits(found["CgroupPath"])
    return {
        "State": found["State"],
        "Hostname": found["Hostname"],
        "Labels": {key: value for key, value in found["Labels"].items() if not key.startswith("strata.")},
        "Ports": json.loads(json.dumps(found["InfraConfig"]["PortBindings"]).replace(port(name), "ITS OWN")),
        "Memory": limits and limits["memory.max"],
        "Exit": found["ExitPolicy"],
    }


class TestPodmanPod(Convergence):
    case = Case(
        kind="podman_pod",
        info="podman_pod_info",
        a={
            "hostname": "one",
            "labels": {"tier": "back"},
            "memory": "64M",
            "recreate": "if_needed",
        },
        b={
            "hostname": "two",
            "labels": {"tier": "front"},
            "published_ports": [],
            "memory": "96M",
            "exit_policy": "stop",
            "recreate": "if_needed",
        },
        look=look,
        seen_a={
            "State": "Running",
            "Hostname": "one",
            "Labels": {"tier": "back"},
            "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "ITS OWN"}]},
            "Memory": str(64 << 20),
            "Exit": "continue",
        },
        seen_b={
            "State": "Running",
            "Hostname": "two",
            "Labels": {"tier": "front"},
            "Memory": str(96 << 20),
            "Exit": "stop",
        },
        drifts={
            "stopped": lambda name: podman_api.ask(f"/pods/{name}/stop", "POST"),
            "paused": lambda name: podman_api.ask(f"/pods/{name}/pause", "POST"),
            "removed": lambda name: podman_api.ask(f"/pods/{name}?force=true", "DELETE"),
        },
        touches=tuple(f"engines.podman_pods.PodmanPods.{verb}" for verb in ("create_pod", "pod_does", "remove_pod")),
        own=lambda name: {"published_ports": [f"127.0.0.1:{port(name)}:8080"]},
        idle={"state": "stopped"},
        bad=(("memory", "12X"), ("cpus", "-1"), ("nonsense", "1")),
    )

    def test_what_it_holds_is_never_lost_unless_it_was_said(self):
        self.apply(self.case.a)
        run("podman", "create", "--name", "strata-held", "--pod", "strata-test", "localhost/web:1.0")
        try:
            for spec in ({"state": "absent"}, self.case.b):
                for check in (True, False):
                    with pytest.raises(Failed, match="holds strata-held"):
                        self.apply(spec, check=check)
            held = self.apply({**self.case.b, "recreate": "never"})
            assert "hostname" in held["restart_required"]
            (told,) = call("podman_pod_info", {})["resources"]
            assert list(told["facts"]["containers"]) == ["strata-held"]
            assert self.apply({"state": "absent", "force": True})["changed"]
            assert podman_api.container("strata-held") is None
        finally:
            podman_api.remove("strata-held")

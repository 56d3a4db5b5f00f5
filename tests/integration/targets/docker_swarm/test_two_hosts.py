# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A swarm of two daemons, each with addresses, a firewall and containers of its own, and a network that spans both."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.lab.docker_containers import PAGES, make_images
from tests.lab.driver import Failed, call, run

pytestmark = pytest.mark.machine  # the kernel's module vxlan
NAME = "strata-two"
HERE, THERE = "192.0.2.1", "192.0.2.2"
PLACE = Path(f"/run/{NAME}")
SOCKET = f"unix://{PLACE}/docker.sock"
ON = {"docker_host": SOCKET}
BOX = "/bin/busybox"


def on_two(*argv: str, check: bool = True) -> str:
    return run("docker", "--host", SOCKET, *argv, check=check)


@pytest.fixture(scope="module")
def _two_daemons():
    """The second one is in a network namespace, with a cable to this host."""
    make_images()
    run("docker", "swarm", "leave", "--force", check=False)
    try:
        run("ip", "netns", "add", NAME)
        run("ip", "link", "add", "strata-cable", "type", "veth", "peer", "name", "eth0", "netns", NAME)
        run("ip", "address", "add", f"{HERE}/24", "dev", "strata-cable")
        run("ip", "link", "set", "strata-cable", "up")
        for words in (f"address add {THERE}/24 dev eth0", "link set eth0 up", "link set lo up"):
            run("ip", "-netns", NAME, *words.split())
        daemon = ["dockerd", "--host", SOCKET, "--containerd-namespace", NAME]
        daemon += [f"--{word}={PLACE}/{word}" for word in ("data-root", "exec-root", "pidfile")]
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', NAME, *daemon]
        # Not NetworkNamespacePath=, which hides its mounts from the containerd that it shares with the other one.
        there = ["nsenter", f"--net=/run/netns/{NAME}", *named]
        run("systemd-run", "--quiet", "--collect", f"--unit={NAME}", "--property=Type=notify", *there)
        run("sh", "-c", f"docker save busybox:latest web:1.0 | docker --host {SOCKET} load --quiet")
        yield
    finally:
        on_two("swarm", "leave", "--force", check=False)
        run("docker", "swarm", "leave", "--force", check=False)
        run("systemctl", "stop", NAME, check=False)
        run("ip", "link", "delete", "strata-cable", check=False)
        run("ip", "netns", "delete", NAME, check=False)
        # Of a daemon that never started there is nothing, and of one that was killed there may be mounts, which go with
        # the host: neither is to stand before what went wrong.
        shutil.rmtree(PLACE, ignore_errors=True)


@pytest.fixture(scope="module")
def _swarm(_two_daemons):
    begun = call("docker_swarm", {"advertise_addr": HERE, "join_tokens": True})
    spec = {**ON, "advertise_addr": THERE, "remote_addrs": [f"{HERE}:2377"]}
    with pytest.raises(Failed, match="invalid join token"):
        call("docker_swarm", {**spec, "join_token": "SWMTKN-1-none"})
    spec["join_token"] = begun["join_tokens"]["worker"]
    assert call("docker_swarm", spec, check=True)["changed"]
    assert on_two("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "inactive"
    assert call("docker_swarm", spec)["changed"]
    assert call("docker_swarm", spec)["changed"] is False


@pytest.mark.usefixtures("_swarm")
def test_one_that_joined_is_a_node():
    nodes = [node["facts"] for node in call("docker_node_info", {})["resources"]]
    assert sorted((node["state"], node["address"]) for node in nodes) == [("ready", HERE), ("ready", THERE)]
    assert run("docker", "node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"]


def attached(spec: dict) -> None:
    """Declare a container on a network of the swarm.

    A daemon gives its manager 20 seconds to attach it (moby: daemon/cluster/networks.go), which a busy emulated host
    may exceed: then that is an error, and it is declared again.
    """
    for _attempt in range(4):
        foretold = call("docker_container", spec, check=True)
        try:
            done = call("docker_container", spec)
        except Failed as late:
            if "context deadline exceeded" not in late.result["msg"]:
                raise
            continue
        assert foretold["changes"] == done["changes"]
        return
    raise AssertionError("the manager never attached it")


@pytest.mark.usefixtures("_swarm")
def test_containers_of_both_find_each_other_on_an_overlay_network():
    network = {
        "name": "strata-back",
        "driver": "overlay",
        "attachable": True,
        "ipam_config": [{"subnet": "10.99.0.0/24"}],
    }
    web = {
        "name": "strata-web",
        "image": "web:1.0",
        "networks": [{"name": "strata-back", "aliases": ["site"]}],
        "volumes": [f"{PAGES}:{PAGES}:ro"],
    }
    asks = {
        **ON,
        "name": "strata-asks",
        "image": "web:1.0",
        "entrypoint": [BOX],
        "command": ["sleep", "600"],
        "networks": [{"name": "strata-back"}],
    }
    try:
        for check in (True, False):
            assert call("docker_network", network, check=check)["changed"]
        assert call("docker_network", network)["changed"] is False
        for spec in (web, asks):
            attached(spec)
            assert call("docker_container", spec)["changes"] == []
        end = time.monotonic() + 60
        while "hello" not in (
            said := on_two("exec", "strata-asks", BOX, "wget", "-qO-", "http://site:8080/", check=False)
        ):
            assert time.monotonic() < end, said
            time.sleep(1)
    finally:
        for options in ({**ON, "name": "strata-asks"}, {"name": "strata-web"}):
            call("docker_container", {**options, "state": "absent"})
        assert call("docker_network", {"name": "strata-back", "state": "absent"})["changed"]


@pytest.mark.usefixtures("_swarm")
def test_a_service_runs_on_both_and_not_on_one_that_is_drained():
    spec = {
        "name": "strata-both",
        "image": "web:1.0",
        "mode": "global",
        "mounts": [{"type": "tmpfs", "target": "/scratch"}],
    }
    try:
        assert call("docker_service", spec)["changed"]
        assert call("docker_service", spec)["changed"] is False
        running = [
            on("ps", "--quiet", "--filter", "name=strata-both") for on in (lambda *argv: run("docker", *argv), on_two)
        ]
        assert all(running), running
        assert call("docker_node", {"name": NAME, "availability": "drain"})["changed"]
        end = time.monotonic() + 60
        while on_two("ps", "--quiet", "--filter", "name=strata-both"):
            assert time.monotonic() < end, "it goes on where it was drained"
            time.sleep(1)
        assert call("docker_service", spec)["changed"] is False
    finally:
        call("docker_service", {"name": "strata-both", "state": "absent"})


@pytest.mark.usefixtures("_swarm")
def test_one_that_left_and_joined_again_is_taken_off_the_list():
    def workers(word: str) -> list[str]:
        return run("docker", "node", "ls", "--filter", "role=worker", "--format", f"{{{{.{word}}}}}").split()

    (left,) = workers("ID")
    for changed in (True, False):
        assert call("docker_swarm", {**ON, "state": "absent"})["changed"] is changed
    assert on_two("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "inactive"
    end = time.monotonic() + 60
    while workers("Status") != ["Down"]:
        assert time.monotonic() < end, "it left without a word"
        time.sleep(1)
    token = run("docker", "swarm", "join-token", "--quiet", "worker").strip()
    call("docker_swarm", {**ON, "advertise_addr": THERE, "remote_addrs": [f"{HERE}:2377"], "join_token": token})
    spec = {"name": NAME, "labels": {"disk": "ssd"}}
    assert call("docker_node", spec)["changed"], "of two that are called so, the one that is up"
    assert call("docker_node", spec)["changed"] is False
    assert {NAME, left} <= {node["name"] for node in call("docker_node_info", {})["resources"]}
    for changed in (True, False):
        assert call("docker_node", {"name": left, "state": "absent"})["changed"] is changed
    assert workers("Status") == ["Ready"]

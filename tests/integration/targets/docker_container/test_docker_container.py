# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container, looked at through Docker's own API and the kernel's files."""

from __future__ import annotations

import contextlib
import shlex
import time
import urllib.request
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Convergence
from tests.lab.docker_containers import again, data, differences, drift, leftovers, look, pid
from tests.lab.driver import Failed, Killed, call

IDLE = {"state": "present"}
EXAMPLE = {
    "image": "web:1.0",
    "hardening": "restricted",
    "capabilities": ["NET_BIND_SERVICE"],
    "tmpfs": ["/tmp"],
    "memory": "512m",
    "cpus": 1.5,
    "pids_limit": 256,
    "published_ports": ["127.0.0.1:8080:8080"],
    "volumes": ["/srv/www:/srv/www:ro"],
}
BY_HAND = shlex.split(
    "--read-only --tmpfs /tmp --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt no-new-privileges "
    "--user 65534:65534 --memory 512m --cpus 1.5 --pids-limit 256 --publish 127.0.0.1:8080:8080 "
    "--volume /srv/www:/srv/www:ro"
)
TOUCHES = tuple(
    f"engines.docker.Docker.{verb}" for verb in ("create", "connect", "update", "start", "stop", "rename", "remove")
)
# What it takes to put one on a network is half of what a start takes under emulation.
ALONE = {"network_mode": "none"}
BOTH = {"cpuset_cpus": "0", "memory_reservation": "16M", **ALONE}


def kernel(cpu_max: str, cpu_weight: str, memory: int, swap: int) -> dict:
    """What the files of its control group say; the sizes are in MiB."""
    sizes = {"memory.max": memory, "memory.swap.max": swap, "memory.low": 16}
    files = {name: str(size << 20) for name, size in sizes.items()}
    return {**files, "cpu.max": cpu_max, "cpu.weight": cpu_weight, "cpuset.cpus": "0", "pids.max": "64"}


def served() -> str:
    for _try in range(20):
        with contextlib.suppress(OSError), urllib.request.urlopen("http://127.0.0.1:8080/", timeout=5) as page:
            return page.read().decode()
        time.sleep(0.2)
    raise AssertionError("nothing is served")


class TestDockerContainer(Convergence):
    case = Case(
        kind="docker_container",
        info="docker_container_info",
        a={
            "image": "web:1.0",
            "memory": "64M",
            "cpus": 1,
            "pids_limit": 64,
            "restart_policy": "on-failure",
            "restart_retries": 3,
            "cpu_shares": 512,
            **BOTH,
        },
        b={
            "image": "web:1.0",
            "memory": "96M",
            "memory_swap": "128M",
            "cpus": 0.5,
            "restart_policy": "no",
            "cpu_shares": 256,
            **BOTH,
        },
        look=look,
        seen_a={
            "Memory": 64 << 20,
            "MemorySwap": 128 << 20,
            "NanoCpus": 1_000_000_000,
            "PidsLimit": 64,
            "CpuShares": 512,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "NetworkMode": "none",
            "Running": True,
            "Kernel": kernel(cpu_max="100000 100000", cpu_weight="20", memory=64, swap=64),
        },
        seen_b={
            "Memory": 96 << 20,
            "MemorySwap": 128 << 20,
            "NanoCpus": 500_000_000,
            "CpuShares": 256,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Running": True,
            "Kernel": kernel(cpu_max="50000 100000", cpu_weight="10", memory=96, swap=32),
        },
        drifts={
            "other limits": drift("/update", Memory=32 << 20, MemorySwap=64 << 20, PidsLimit=-1, CpuShares=100),
            "stopped": drift("/stop"),
            "paused": drift("/pause"),
            "removed": drift("?force=1", "DELETE"),
            "made anew, of another image": again("web:2.0"),
        },
        touches=TOUCHES,
        same_process=pid,
        idle=IDLE,
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_the_example_is_what_docker_run_makes_by_hand(self):
        assert self.foretold(EXAMPLE)["changed"]
        self.unchanged(EXAMPLE)
        assert served() == "hello\n"
        ours = look(self.name)
        status = dict(
            line.split(":\t")
            for line in Path(f"/proc/{pid(self.name)}/status").read_text().splitlines()
            if ":\t" in line
        )
        again(*BY_HAND, "web:1.0")(self.name)
        theirs = {**look(self.name), "Running": True, "Kernel": ours["Kernel"]}
        assert differences(ours, theirs) == {}
        seen = {key: status[key].strip() for key in ("CapPrm", "CapBnd", "CapEff", "NoNewPrivs", "Seccomp")}
        # A user other than root has no capabilities but those that a file gives it: it may only ever get this one.
        assert seen["CapBnd"] == f"{1 << 10:016x}"
        assert (seen["CapEff"], seen["NoNewPrivs"], seen["Seccomp"]) == (f"{0:016x}", "1", "2")
        assert status["Uid"].split() == ["65534"] * 4

    def test_a_profile_alone(self):
        spec = {"image": "web:1.0", "hardening": "restricted", **IDLE}
        self.apply(spec)
        self.sees(
            {
                "ReadonlyRootfs": True,
                "CapAdd": None,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "User": "65534:65534",
                "Memory": 512 << 20,
                "NanoCpus": 1_000_000_000,
                "PidsLimit": 256,
            }
        )
        assert set(docker_api.container(self.name)["HostConfig"]["Tmpfs"]) == {"/tmp", "/run"}
        self.unchanged(spec)
        self.apply(
            {**spec, "image": "web:2.0", "capabilities": ["SYS_ADMIN"], "hardening_exceptions": ["capabilities"]}
        )
        self.sees({"User": "1000", "CapAdd": ["SYS_ADMIN"], "CapDrop": ["ALL"]})

    def test_whatever_was_loosened_is_seen_and_repaired(self):
        hardened = {"image": "web:1.0", "hardening": "restricted", **IDLE}
        loose = shlex.split(
            "--privileged --pid host --ipc host --uts host --cgroupns host --network host --cap-add SYS_ADMIN "
            "--security-opt seccomp=unconfined --security-opt systempaths=unconfined --device /dev/null:/dev/x "
            "--device-cgroup-rule 'a *:* rwm' --volume /var/run/docker.sock:/docker.sock "
            "--mount type=bind,source=/proc,target=/host --volume /srv/www:/srv/www"
        )
        again(*loose, "web:1.0")(self.name)
        done = self.foretold(hardened)
        told = {change["field"].partition("[")[0] for change in done["changes"]}
        assert told >= {
            *("privileged", "capabilities", "security_opts", "devices", "device_cgroup_rules", "volumes", "mounts"),
            *("pid_mode", "ipc_mode", "uts", "cgroupns_mode", "network_mode"),
        }
        self.sees(
            {"Privileged": False, "PidMode": "", "IpcMode": "private", "UTSMode": "", "CapAdd": None, "Devices": None}
        )
        self.sees({"Binds": ["/srv/www:/srv/www"], "CgroupnsMode": "private", "Mounts": None, "NetworkMode": "bridge"})
        self.unchanged(hardened)

    def test_a_dropped_profile_goes_as_a_whole(self):
        bare = {"image": "web:1.0", "published_ports": ["127.0.0.1:8080:8080"], **IDLE}
        self.stack({**EXAMPLE, **IDLE})
        self.stack(bare)
        grown = look(self.name)
        self.stack(None)
        self.stack(bare)
        assert differences(grown, look(self.name)) == {}

    def test_a_limit_that_cant_be_lifted_live(self):
        self.apply({**self.case.a, **IDLE})
        lifted = {**self.case.a, **IDLE, "memory": "max", "cpus": "max"}
        kept = self.apply({**lifted, "recreate": "never"})
        assert (kept["changed"], kept["restart_required"]) == (False, ["cpus", "memory"])
        assert self.foretold({**lifted, "recreate": False})["changed"]
        self.sees({"Memory": 0, "MemorySwap": 0, "NanoCpus": 0, "PidsLimit": 64})

    def test_another_image_keeps_what_others_set(self):
        for network in ("strata-front", "strata-back"):
            docker_api.ask("/networks/create", "POST", Name=network)
        try:
            front = "--network strata-front --network-alias www --hostname inner --env THEIRS=1 --label theirs=1"
            front += " --shm-size 32m --workdir /tmp web:1.0"
            again(*front.split(), verb="run --detach")(self.name)
            place = {"Container": self.name, "EndpointConfig": {"Aliases": ["second"]}}
            docker_api.ask("/networks/strata-back/connect", "POST", **place)
            (data(self.name) / "file").write_text("precious")
            old = docker_api.container(self.name)["Id"]
            assert self.foretold({"image": "web:2.0"})["changed"]
            assert self.apply({"image": "web:2.0"}, check=True)["changes"] == []
            new = docker_api.container(self.name)
            assert new["Id"] != old
            assert (data(self.name) / "file").read_text() == "precious"
            networks = new["NetworkSettings"]["Networks"]
            for network, alias in (("strata-front", "www"), ("strata-back", "second")):
                assert alias in networks[network]["Aliases"]
                assert old[:12] not in networks[network]["Aliases"]
            config = new["Config"]
            assert (config["Hostname"], config["WorkingDir"], config["User"]) == ("inner", "/tmp", "1000")
            assert {"THEIRS=1", "SITE=second"} <= set(config["Env"])
            assert config["Labels"]["theirs"] == "1"
            assert "strata.owner" not in config["Labels"], "what somebody else made stays somebody else's"
            assert new["HostConfig"]["ShmSize"] == 32 << 20
            docker_api.ask(f"/containers/{self.name}/stop", "POST")
            self.apply({"image": "web:1.0", **IDLE})
            assert (data(self.name) / "file").read_text() == "precious"
            volume = docker_api.container(self.name)["Mounts"][0]["Name"]
            self.apply({"image": "web:2.0", "keep_volumes": False, "force_kill": True, **IDLE})
            assert not (data(self.name) / "file").exists()
            assert docker_api.volume(volume) is None
        finally:
            docker_api.remove(self.name)
            for network in ("strata-front", "strata-back"):
                docker_api.ask(f"/networks/{network}", "DELETE")

    def test_networks_change_while_it_runs(self):
        pools = {"strata-front": [{"Subnet": "172.30.220.0/24"}], "strata-back": []}
        for network, pool in pools.items():
            docker_api.ask("/networks/create", "POST", Name=network, IPAM={"Config": pool})
        try:
            front = {"name": "strata-front", "ipv4_address": "172.30.220.9", "aliases": ["www"]}
            spec = {"image": "web:1.0", "networks": [front, {"name": "strata-back"}]}
            assert self.foretold(spec)["changed"]
            networks = docker_api.container(self.name)["NetworkSettings"]["Networks"]
            assert set(networks) == {"strata-front", "strata-back"}
            assert networks["strata-front"]["IPAddress"] == "172.30.220.9"
            assert "www" in networks["strata-front"]["Aliases"]
            before = pid(self.name)
            moved = {**spec, "networks": [{**front, "ipv4_address": "172.30.220.10"}, {"name": "bridge"}]}
            done = self.foretold(moved)
            assert {one["effect"] for one in done["changes"]} == {"live"}
            assert pid(self.name) == before
            networks = docker_api.container(self.name)["NetworkSettings"]["Networks"]
            assert set(networks) == {"strata-front", "bridge"}
            assert networks["strata-front"]["IPAddress"] == "172.30.220.10"
            assert "www" in networks["strata-front"]["Aliases"]
            leave = {"Container": self.name, "Force": True}
            docker_api.ask("/networks/strata-front/disconnect", "POST", **leave)
            assert self.apply(moved)["changed"], "taken off by somebody else"
            assert self.apply({**spec, "networks": [], "purge_networks": False})["changed"] is False
            docker_api.ask("/networks/strata-front/disconnect", "POST", **leave)
            docker_api.ask(f"/containers/{self.name}/stop", "POST")
            self.apply({"image": "web:2.0", **IDLE})
            assert set(docker_api.container(self.name)["NetworkSettings"]["Networks"]) == {"bridge"}, (
                "what is carried over"
            )
            assert self.foretold({"image": "web:2.0", "networks": [], **IDLE})["changed"]
            self.sees({"NetworkMode": "none"})
            self.unchanged({"image": "web:2.0", "networks": [], **IDLE})
            place = {"name": "strata-back", "mac_address": "02:42:ac:1e:dc:99"}
            self.apply({"image": "web:2.0", "networks": [place], **IDLE})
            there = docker_api.container(self.name)["NetworkSettings"]["Networks"]["strata-back"]
            assert there["MacAddress"] == place["mac_address"]
            with pytest.raises(Failed, match=r"networks: is not on this host.*strata-nowhere"):
                self.apply({"image": "web:2.0", "networks": [{"name": "strata-nowhere"}]})
        finally:
            docker_api.remove(self.name)
            for network in ("strata-front", "strata-back"):
                docker_api.ask(f"/networks/{network}", "DELETE")

    def test_a_stack_makes_networks_first_and_takes_them_away_last(self):
        entries = [
            {"docker_container": {"name": self.name, "image": "web:1.0", "networks": [{"name": "strata-front"}]}},
            {"docker_network": {"name": "strata-front", "internal": True}},
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        assert set(docker_api.container(self.name)["NetworkSettings"]["Networks"]) == {"strata-front"}
        before = pid(self.name)
        entries[1]["docker_network"]["internal"] = False
        assert call("stack", stack)["changed"]
        assert pid(self.name) == before, "the network was made anew below it"
        assert call("stack", stack)["changed"] is False
        self.stack(None)
        assert look(self.name) is None
        assert docker_api.names("networks", "strata-front") == []

    def test_the_old_one_is_back_if_the_new_one_fails(self):
        self.apply(self.case.a)
        old = docker_api.container(self.name)["Id"]
        bare = {"image": "web:1.0", "restart_policy": "no", "restart_retries": 0}
        for image, words in (("web:broken", "status 3, saying: no way"), ("web:sick", "no pulse")):
            with pytest.raises(Failed) as failed:
                self.apply({**bare, "image": image})
            assert "the old one is back and runs" in failed.value.result["msg"]
            assert words in failed.value.result["msg"]
            assert docker_api.container(self.name)["Id"] == old
            self.sees(self.case.seen_a)
            assert leftovers() == []

    def test_killed_while_it_is_replaced(self):
        """After each touch: create, stop, rename, rename, start, remove; of an idle one all but stop and start."""
        names = self.names(6)
        idle = {names[0]: 1, names[5]: 4}
        running = dict(zip(names[1:5], (2, 3, 4, 5)))
        self.together({"image": "web:1.0", **IDLE}, idle)
        self.together({"image": "web:1.0", **ALONE}, running)
        self._forget()
        # Whichever it was told to be, one that ran runs again: present is tried where only the times tell.
        wanted = {name: {"image": "web:2.0", "state": "started", "env": {"A": "1"}} for name in names}
        for name in (*idle, names[1], names[3]):
            wanted[name]["state"] = "present"
        for name, touch in {**idle, **running}.items():
            if name in running:
                (data(name) / "precious").touch()
            with pytest.raises(Killed):
                self.apply(wanted[name], name, touches=TOUCHES, die_at=touch)
        entries = [{"docker_container": {"name": name, **spec}} for name, spec in wanted.items()]
        stack = {"name": self.owner, "resources": entries}
        forecast = call("stack", stack, check=True)
        assert forecast["resources"] == call("stack", stack)["resources"]
        for name in names:
            self.sees({"Running": name in running, "User": "1000"}, name)
            assert name in idle or (data(name) / "precious").exists()
        assert call("stack", stack)["changed"] is False
        assert leftovers() == []

    def test_killed_while_it_is_replaced_and_then_to_be_absent(self):
        names = self.names(2)
        self.together({"image": "web:1.0", **IDLE}, names)
        self._forget()
        for touch, name in zip((1, 3), names):  # create, rename, rename
            with pytest.raises(Killed):
                self.apply({"image": "web:2.0", **IDLE}, name, touches=TOUCHES, die_at=touch)
        self.together({"state": "absent"}, names)
        assert ([look(name) for name in names], leftovers()) == ([None, None], [])

    def test_a_moved_tag_is_seen(self):
        docker_api.ask("/images/web:1.0/tag?repo=web&tag=moving", "POST")
        self.apply({"image": "web:moving", **IDLE})
        self.unchanged({"image": "web:1.0", **IDLE})
        docker_api.ask("/images/web:2.0/tag?repo=web&tag=moving", "POST")
        changes = self.foretold({"image": "web:moving", **IDLE})["changes"]
        assert [change["field"] for change in changes] == ["image"]
        self.unchanged({"image": "web:2.0", **IDLE})

    def test_a_port_that_is_taken(self):
        port = {"image": "web:1.0", "published_ports": ["127.0.0.1:8080:8080"]}
        self.apply(port)
        with pytest.raises(Failed, match=r"port is already allocated.*docker ps"):
            self.apply(port, name=f"{self.name}2")
        with pytest.raises(Failed, match=r"no Docker daemon answers.*systemctl start docker"):
            self.apply({"image": "web:1.0", "docker_host": "unix:///run/nothing.sock"})

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_container in root's Podman, looked at through Podman's own API and the kernel's files."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.docker_containers import differences
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import again, data, drift, leftovers, look, pid

IDLE = {"state": "present"}
IMAGE = "localhost/web:1.0"
EXAMPLE = {
    "image": IMAGE,
    "hardening": "restricted",
    "capabilities": ["NET_BIND_SERVICE"],
    "tmpfs": ["/tmp"],
    "memory": "512m",
    "cpus": 1.5,
    "pids_limit": 256,
    "published_ports": ["127.0.0.1:8090:8080"],
    "volumes": ["/srv/www:/srv/www:ro"],
}
BY_HAND = shlex.split(
    "--read-only --read-only-tmpfs=false --http-proxy=false --tmpfs /tmp --cap-drop ALL --cap-add NET_BIND_SERVICE "
    "--security-opt no-new-privileges --user 65534:65534 --memory 512m --cpus 1.5 --pids-limit 256 "
    "--publish 127.0.0.1:8090:8080 --volume /srv/www:/srv/www:ro"
)
TOUCHES = tuple(
    f"engines.podman.Podman.{verb}" for verb in ("create", "connect", "update", "start", "stop", "rename", "remove")
)
# Without a network, a start takes half as long.
LIMITS = {"cpuset_cpus": "0", "memory_reservation": "16M", "network_mode": "none"}


def kernel(cpu_max: str, memory: int, swap: int) -> dict:
    """What the files of its control group say; the sizes are in MiB."""
    sizes = {"memory.max": memory, "memory.swap.max": swap, "memory.low": 16}
    files = {name: str(size << 20) for name, size in sizes.items()}
    return {**files, "cpu.max": cpu_max, "cpuset.cpus": "0", "pids.max": "64"}


def seen(name: str) -> dict | None:
    """As it is told; the weight of cpu is the runtime's own conversion."""
    found = look(name)
    if found and found["Kernel"]:
        found["Kernel"].pop("cpu.weight", None)
    return found


class TestPodmanContainer(Convergence):
    case = Case(
        kind="podman_container",
        info="podman_container_info",
        a={
            "image": IMAGE,
            "memory": "64M",
            "cpus": 1,
            "pids_limit": 64,
            "restart_policy": "on-failure",
            "restart_retries": 3,
            "cpu_shares": 512,
            **LIMITS,
        },
        b={
            "image": IMAGE,
            "memory": "96M",
            "memory_swap": "128M",
            "cpus": 0.5,
            "pids_limit": 64,
            "restart_policy": "no",
            "cpu_shares": 256,
            **LIMITS,
        },
        look=seen,
        seen_a={
            "Memory": 64 << 20,
            "MemorySwap": 128 << 20,
            "NanoCpus": 1_000_000_000,
            "PidsLimit": 64,
            "CpuShares": 512,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "Running": True,
            "Kernel": kernel(cpu_max="100000 100000", memory=64, swap=64),
        },
        seen_b={
            "Memory": 96 << 20,
            "MemorySwap": 128 << 20,
            "NanoCpus": 500_000_000,
            "PidsLimit": 64,
            "CpuShares": 256,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Running": True,
            "Kernel": kernel(cpu_max="50000 100000", memory=96, swap=32),
        },
        drifts={
            "other limits": drift("/update", memory={"limit": 32 << 20, "swap": 64 << 20}, pids={"limit": 32}),
            "stopped": drift("/stop?timeout=0"),
            "paused": drift("/pause"),
            "removed": drift("?force=1&timeout=0", "DELETE"),
            "made anew, of another image": again("--network=none", "localhost/web:2.0"),
        },
        touches=TOUCHES,
        same_process=pid,
        idle=IDLE,
        bad=(("memory", "12X"), ("cpus", "-1"), ("nonsense", "1"), ("links", ["db"]), ("userns_mode", "keep")),
    )

    @property
    def name(self) -> str:
        return self.case.name

    @pytest.mark.machine  # where control groups are of version 1, podman run shares the host's namespace of them
    def test_the_example_is_what_podman_run_makes_by_hand(self):
        assert self.foretold(EXAMPLE)["changed"]
        self.unchanged(EXAMPLE)
        ours = look(self.name)
        status = dict(
            line.split(":\t")
            for line in Path(f"/proc/{pid(self.name)}/status").read_text().splitlines()
            if ":\t" in line
        )
        again(*BY_HAND, IMAGE)(self.name)
        theirs = {**look(self.name), "Running": True, "Kernel": ours["Kernel"]}
        assert (differences(ours, theirs), differences(theirs, ours)) == ({}, {})
        assert self.apply({**EXAMPLE, **IDLE}, check=True)["changes"] == []
        assert status["CapBnd"].strip() == f"{1 << 10:016x}"
        # What is added, Podman gives to a user other than root, too.
        assert [status[key].strip() for key in ("CapEff", "NoNewPrivs", "Seccomp")] == [f"{1 << 10:016x}", "1", "2"]
        assert status["Uid"].split() == ["65534"] * 4

    def test_whatever_was_loosened_is_seen_and_repaired(self):
        hardened = {"image": IMAGE, "hardening": "restricted", **IDLE}
        loose = shlex.split(
            "--pid host --ipc host --uts host --cgroupns host --network host --cap-add SYS_ADMIN "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --device /dev/null:/dev/x "
            "--volume /run/podman:/engine --volume /srv/www:/srv/www --user 0"
        )
        again(*loose, IMAGE)(self.name)
        done = self.foretold(hardened)
        told = {change["field"].partition("[")[0] for change in done["changes"]}
        assert told >= {
            *("capabilities", "cap_drop", "security_opts", "devices", "volumes", "read_only", "tmpfs", "user"),
            *("pid_mode", "ipc_mode", "uts", "cgroupns_mode", "network_mode", "memory", "cpus", "pids_limit"),
        }
        found = look(self.name)
        assert (found["BoundingCaps"], found["SecurityOpt"], found["User"]) == (
            [],
            ["no-new-privileges"],
            "65534:65534",
        )
        assert set(found["Tmpfs"]) == {"/tmp", "/run"}
        self.unchanged(hardened)
        again("--privileged", IMAGE)(self.name)
        assert "privileged" in {change["field"] for change in self.apply(hardened)["changes"]}
        assert look(self.name)["BoundingCaps"] == []
        self.unchanged(hardened)

    def test_another_image_keeps_what_others_set(self):
        for network in ("strata-front", "strata-back"):
            podman_api.ask("/networks/create", "POST", name=network)
        try:
            front = "--network strata-front:alias=www --network strata-back:alias=second --hostname inner "
            front += "--env THEIRS=1 --label theirs=1 --shm-size 32m --workdir /tmp --http-proxy=false"
            again(*front.split(), IMAGE, verb="run --detach")(self.name)
            (data(self.name) / "file").write_text("precious")
            old = podman_api.container(self.name)["Id"]
            new = {"image": "localhost/web:2.0"}
            assert self.foretold(new)["changed"]
            self.unchanged(new)
            found = podman_api.container(self.name)
            assert found["Id"] != old
            assert (data(self.name) / "file").read_text() == "precious"
            networks = found["NetworkSettings"]["Networks"]
            for network, alias in (("strata-front", "www"), ("strata-back", "second")):
                assert alias in networks[network]["Aliases"]
                assert old[:12] not in networks[network]["Aliases"]
            config = found["Config"]
            assert (config["Hostname"], config["WorkingDir"], config["User"]) == ("inner", "/tmp", "1000")
            assert {"THEIRS=1", "SITE=second"} <= set(config["Env"])
            assert config["Labels"]["theirs"] == "1"
            assert "strata.owner" not in config["Labels"], "what somebody else made stays somebody else's"
            assert found["HostConfig"]["ShmSize"] == 32 << 20
            before = pid(self.name)
            moved = {**new, "networks": [{"name": "strata-front", "aliases": ["www", "web"]}, {"name": "podman"}]}
            done = self.foretold(moved)
            assert {one["effect"] for one in done["changes"]} == {"live"}
            assert pid(self.name) == before
            assert set(podman_api.container(self.name)["NetworkSettings"]["Networks"]) == {"strata-front", "podman"}
            self.unchanged(moved)
            volume = podman_api.container(self.name)["Mounts"][0]["Name"]
            self.apply({"image": IMAGE, "keep_volumes": False, "force_kill": True, **IDLE})
            assert podman_api.ask(f"/volumes/{volume}/json") is None
        finally:
            podman_api.remove(self.name)
            for network in ("strata-front", "strata-back"):
                podman_api.ask(f"/networks/{network}", "DELETE")

    def test_the_old_one_is_back_if_the_new_one_fails(self):
        self.apply(self.case.a)
        old = podman_api.container(self.name)["Id"]
        bare = {"image": IMAGE, "network_mode": "none", "restart_policy": "no", "restart_retries": 0}
        sick = {"test": ["CMD", "/bin/busybox", "sh", "-c", "echo no pulse; exit 1"], "interval": "1s", "retries": 1}
        for worse, words in (
            ({"image": "localhost/web:broken"}, "status 3, saying: no way"),
            ({"healthcheck": sick}, "no pulse"),
        ):
            with pytest.raises(Failed) as failed:
                self.apply({**bare, **worse})
            assert "the old one is back and runs" in failed.value.result["msg"]
            assert words in failed.value.result["msg"]
            assert podman_api.container(self.name)["Id"] == old
            self.sees(self.case.seen_a)
            assert leftovers() == []

    def test_what_cant_be_honoured_is_told_before_anything_is_touched(self):
        for options, words in (
            ({"kernel_memory": "16M"}, "kernel_memory: Podman has no limits"),
            ({"security_opts": ["seccomp={}"]}, "Podman wants the path"),
            ({"published_ports": ["8000-8010:80"]}, "Podman chooses no port from a range"),
            ({"image": "localhost/web:nowhere", "pull": "never"}, "podman pull"),
            ({"podman_host": "unix:///run/nothing.sock"}, "no service of Podman answers there"),
            ({"networks": [{"name": "strata-nowhere"}]}, r"networks: is not on this host"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({"image": IMAGE, **options})
        assert look(self.name) is None

    def test_no_service_is_needed(self):
        self.apply({"image": IMAGE, **IDLE})
        listens = Path(podman_api.SOCKET)
        hidden = listens.rename(listens.with_suffix(".hidden"))
        try:
            (told,) = call("podman_container_info", {"name": [self.name]})["resources"]
        finally:
            hidden.rename(listens)
        assert told["status"] == "stopped"
        end = time.monotonic() + 20
        while run("pgrep", "--full", "podman system service .*unix:///run/strata/podman/", check=False):
            assert time.monotonic() < end, "the service outlives its task"
            time.sleep(0.2)

    def test_a_volume_of_a_stack_comes_first_and_goes_last(self):
        entries = [
            {"podman_container": {"name": self.name, "image": IMAGE, "volumes": ["strata-data:/data:Z"], **IDLE}},
            {"podman_volume": {"name": "strata-data", "labels": {"tier": "back"}, "keep": False}},
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        assert podman_api.ask("/volumes/strata-data/json")["Labels"]["tier"] == "back"
        assert call("stack", stack)["changed"] is False
        (told,) = call("podman_volume_info", {"name": ["strata-data"]})["resources"]
        assert told["facts"]["containers"] == {self.name: self.owner}
        with pytest.raises(Failed, match="is in use by"):
            call("podman_volume", {"name": "strata-data", "state": "absent"})
        self.stack(None)
        assert (look(self.name), podman_api.ask("/volumes/strata-data/json")) == (None, None)

    def test_every_option_is_what_podman_run_makes_by_hand(self):
        spec = {**EVERYTHING, **IDLE}
        again(*ALL_BY_HAND)(self.name)
        theirs = look(self.name)
        self.unchanged(spec)
        self.apply({"state": "absent", "keep_volumes": False})
        assert self.foretold(spec)["changed"]
        ours = look(self.name)
        assert (differences(ours, theirs), differences(theirs, ours)) == ({}, {})
        self.unchanged(spec)
        (told,) = call("podman_container_info", {"name": [self.name]})["resources"]
        assert call("podman_container", told["options"])["changes"] == []
        run("podman", "rm", "--force", "--time=0", self.name)


BOX = "/bin/busybox"
EVERYTHING = {
    "image": IMAGE,
    "entrypoint": [BOX],
    "command": "httpd -f",
    "working_dir": "/srv/www",
    "env": {"A": "1"},
    "labels": {"x": "y"},
    "user": "5:6",
    "groups": ["100", "44"],
    "hostname": "inner",
    "interactive": True,
    "tty": True,
    "healthcheck": {"test": f"{BOX} true", "interval": "5s", "timeout": "2s", "retries": 2, "start_period": "1s"},
    "stop_signal": "SIGQUIT",
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
    "cpuset_cpus": "0",
    "cpuset_mems": "0",
    "pids_limit": 64,
    "ulimits": ["nofile:1024:2048"],
    "published_ports": ["127.0.0.1:8081:81/udp", "9000-9001:90-91"],
    "exposed_ports": ["53/udp"],
    "dns_servers": ["192.0.2.2", "192.0.2.1"],
    "dns_search_domains": ["b.example", "a.example"],
    "dns_opts": ["ndots:2"],
    "etc_hosts": {"db": "192.0.2.7"},
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
    "devices": ["/dev/null:/dev/x:rwm"],
}
ALL_BY_HAND = shlex.split(
    f"--entrypoint {BOX} --workdir /srv/www --env A=1 --label x=y --user 5:6 --group-add 100 --group-add 44 "
    "--hostname inner --interactive --tty --stop-signal SIGQUIT --stop-timeout 3 --http-proxy=false "
    f"--health-cmd '{BOX} true' --health-interval 5s --health-timeout 2s --health-retries 2 "
    "--health-start-period 1s --restart on-failure:4 --log-driver k8s-file --log-opt max-size=1m "
    "--memory 64m --memory-swap 96m --memory-reservation 32m --oom-score-adj 500 --shm-size 32m --cpus 0.5 "
    "--cpu-shares 512 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 64 --ulimit nofile=1024:2048 "
    "--publish 127.0.0.1:8081:81/udp --publish 9000-9001:90-91 --expose 53/udp "
    "--dns 192.0.2.2 --dns 192.0.2.1 --dns-search b.example --dns-search a.example --dns-option ndots:2 "
    "--add-host db:192.0.2.7 --volume /srv/www:/a:ro --volume /unnamed "
    "--mount type=bind,source=/srv/www,target=/b,readonly "
    "--mount type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=1777 --tmpfs /t:size=1m --read-only "
    "--read-only-tmpfs=false --cap-add NET_ADMIN --cap-drop ALL --security-opt no-new-privileges --cgroupns host "
    f"--ipc shareable --pid host --device /dev/null:/dev/x:rwm {IMAGE} httpd -f"
)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container: every option that this host can honour, against what ``docker run`` makes of it, and its states."""

from __future__ import annotations

import shlex
import subprocess
import time
import urllib.request

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Harness
from tests.lab.docker_containers import again, differences, look, pid
from tests.lab.driver import Failed, call, run

IDLE = {"state": "present"}
ALONE = {"network_mode": "none"}
BOX = "/bin/busybox"
REGISTRY = "127.0.0.1:5018"
EVERYTHING = {
    "image": "web:1.0",
    "entrypoint": [BOX],
    "command": "httpd -f",
    "working_dir": "/srv/www",
    "env": {"A": "1"},
    "labels": {"x": "y"},
    "user": "5:6",
    "groups": ["100", "44"],
    "hostname": "inner",
    "domainname": "example.com",
    "init": True,
    "interactive": True,
    "tty": True,
    "stop_signal": "SIGQUIT",
    "stop_timeout": 3,
    "healthcheck": {
        "test": f"{BOX} true",
        "interval": "5s",
        "timeout": "2s",
        "retries": 2,
        "start_period": "1s",
        "start_interval": "500ms",
    },
    "restart_policy": "on-failure",
    "restart_retries": 4,
    "log_driver": "json-file",
    "log_options": {"max-size": "1m"},
    "runtime": "runc",
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
    "blkio_weight": 300,
    "network_mode": "bridge",
    "published_ports": ["127.0.0.1:8081:81/udp", "9000-9001:90-91"],
    "exposed_ports": ["53/udp"],
    "publish_all_ports": True,
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
    "userns_mode": "host",
    "devices": ["/dev/null:/dev/x:r"],
    "device_cgroup_rules": ["c 42:* rmw"],
    "sysctls": {"net.core.somaxconn": 1024},
    "cgroup_parent": "system.slice",
}
BY_HAND = shlex.split(
    f"--entrypoint {BOX} --workdir /srv/www --env A=1 --label x=y --user 5:6 --group-add 100 --group-add 44 "
    "--hostname inner --domainname example.com --init --interactive --tty --stop-signal SIGQUIT --stop-timeout 3 "
    f"--health-cmd '{BOX} true' --health-interval 5s --health-timeout 2s --health-retries 2 "
    "--health-start-period 1s --health-start-interval 500ms --restart on-failure:4 --log-driver json-file "
    "--log-opt max-size=1m --runtime runc --memory 64m --memory-swap 96m --memory-reservation 32m "
    "--oom-score-adj 500 --shm-size 32m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 --cpuset-mems 0 "
    "--pids-limit 64 --ulimit nofile=1024:2048 --blkio-weight 300 "
    "--network bridge --publish 127.0.0.1:8081:81/udp --publish 9000-9001:90-91 --expose 53/udp --publish-all "
    "--dns 192.0.2.2 --dns 192.0.2.1 --dns-search b.example --dns-search a.example --dns-option ndots:2 "
    "--add-host db:192.0.2.7 --volume /srv/www:/a:ro --volume /unnamed "
    "--mount type=bind,source=/srv/www,target=/b,readonly "
    "--mount type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=1777 --tmpfs /t:size=1m --read-only "
    "--cap-add NET_ADMIN --cap-drop ALL --security-opt no-new-privileges --cgroupns host --ipc shareable "
    "--pid host --userns host --device /dev/null:/dev/x:r --device-cgroup-rule 'c 42:* rmw' "
    "--sysctl net.core.somaxconn=1024 --cgroup-parent system.slice web:1.0 httpd -f"
)


class TestOptions(Harness):
    case = Case("docker_container", {}, {}, look, {}, {}, "docker_container_info")

    @property
    def name(self) -> str:
        return self.case.name

    def test_every_option_is_what_docker_run_makes_by_hand(self):
        spec = {**EVERYTHING, **IDLE, "recreate": False, "restart": False, "pull": False}  # as old tasks have it
        again(*BY_HAND)(self.name)
        theirs = look(self.name)
        self.unchanged(spec)
        self.apply({"state": "absent", "keep_volumes": False})
        assert self.foretold(spec)["changed"]
        ours = look(self.name)
        assert (differences(ours, theirs), differences(theirs, ours)) == ({}, {})
        self.unchanged(spec)
        (told,) = call("docker_container_info", {"name": [self.name]})["resources"]
        assert call("docker_container", told["options"])["changes"] == []
        fewer = {**spec, "published_ports": ["9000:90"], "ulimits": [], "etc_hosts": {}}
        changed = {change["field"] for change in self.foretold(fewer)["changes"]}
        assert changed == {"published_ports", "ulimits", "etc_hosts"}
        self.unchanged(fewer)
        assert set(look(self.name)["ExposedPorts"]) == {"53/udp", "90/tcp", "8080/tcp"}

    def test_dropped_options_go_back(self):
        bare = {"image": "web:1.0", **IDLE}
        self.stack({**EVERYTHING, **IDLE})
        self.stack(bare)
        grown = look(self.name)
        self.stack(None)
        self.stack(bare)
        assert differences(grown, look(self.name)) == {}

    def test_many_in_one_stack(self):
        """Each with one option, beside its siblings: the bulk read tells them apart."""
        alone = {
            name: EVERYTHING[name] for name in ("memory", "env", "healthcheck", "mounts", "devices", "log_options")
        }
        # The command line has options for these, and this version of it leaves them out of what it sends.
        alone["device_read_bps"] = [{"path": "/dev/vda", "rate": "1m"}]
        alone["device_write_iops"] = [{"path": "/dev/vda", "rate": 100}]
        entries = [
            {"docker_container": {"name": name, "image": "web:1.0", option: value, **IDLE}}
            for name, (option, value) in zip(self.names(len(alone)), alone.items())
        ]
        entries.append({"docker_container": {**entries[0]["docker_container"], "name": "strata-test-guest"}})
        entries[-1]["docker_container"].update(
            {"network_mode": f"container:{self.name}-1", "volumes_from": [self.names(2)[1]]}
        )
        self.made.update([*self.names(len(alone)), "strata-test-guest"])
        stack = {"name": self.owner, "resources": entries}
        assert call("stack", stack)["changed"]
        assert call("stack", {**stack, "resources": entries[::-1]})["changed"] is False
        again("--memory", "32m", "web:1.0")(self.names(1)[0])
        changed = [one["name"] for one in call("stack", stack)["resources"] if one["changed"]]
        assert changed == [self.names(1)[0], "strata-test-guest"], "it shared the network of the one that is gone"
        assert call("stack", stack)["changed"] is False
        rates = docker_api.container(self.names(7)[6])["HostConfig"]["BlkioDeviceReadBps"]
        assert rates == [{"Path": "/dev/vda", "Rate": 1 << 20}]

    @pytest.mark.parametrize("option", [{"kernel_memory": "8m"}, {"memory_swappiness": 10}, {"oom_killer": True}])
    def test_what_control_groups_of_version_2_do_not_have_is_refused(self, option):
        for check in (True, False):
            with pytest.raises(Failed, match=rf"{next(iter(option))}: Docker \d+\.\d+.* \(API 1.\d+\) .*version 2"):
                self.apply({"image": "web:1.0", **option}, check=check)
        assert look(self.name) is None

    def test_healthy_and_what_fails(self):
        # Checks come quickly only until it is healthy: each of them costs a process.
        often = {"interval": "60s", "start_period": "60s", "start_interval": "1s"}
        beats = {"test": ["CMD", BOX, "wget", "-qO-", "http://127.0.0.1:8080/"], **often}
        page = ["/srv/www:/srv/www:ro"]
        spec = {"image": "web:1.0", "volumes": page, "healthcheck": beats, "state": "healthy", **ALONE}
        done = self.foretold(spec)
        assert done["container"]["State"]["Health"]["Status"] == "healthy"
        self.unchanged(spec)
        sick = {"image": "web:1.0", "healthcheck": {**beats, "test": ["CMD", BOX, "cat", "/nowhere"]}, **ALONE}
        with pytest.raises(Failed, match=r"waited .* to become healthy: its health check fails, saying: .*nowhere"):
            self.apply({**sick, "state": "healthy", "healthy_wait_timeout": 4}, name=f"{self.name}2")
        with pytest.raises(Failed, match="state is 'stopped'; it left with status 3, saying: no way"):
            self.apply({"image": "web:broken", "recreate": True, **ALONE}, name=f"{self.name}3")

    def test_states_and_how_it_is_stopped(self):
        spec = {"image": "web:1.0", "stop_signal": "SIGUSR1", "stop_timeout": 30, **ALONE}
        self.apply({**spec, **IDLE})
        self.sees({"Running": False})
        assert self.foretold({**spec, "paused": True})["changed"]
        assert docker_api.container(self.name)["State"]["Paused"]
        self.unchanged({**spec, "paused": True})
        assert self.foretold({"paused": False})["changed"], "without an image it keeps its own"
        before = pid(self.name)
        assert self.apply({"restart": True, "force_kill": True})["changed"]
        assert pid(self.name) != before
        began = time.monotonic()
        assert self.apply({"state": "stopped", "force_kill": True})["changed"]
        assert time.monotonic() - began < 25, "it waited for a signal that nobody heeds"
        self.unchanged({"state": "stopped"})

    def test_a_job(self):
        job = {"image": "web:1.0", "command": [BOX, "echo", "done"], "detach": False, **ALONE}
        done = self.foretold(job)
        assert (done["status"], done["container"]["Output"]) == (0, "done\n")
        assert self.apply({**job, "cleanup": True})["container"]["Output"] == "done\n", "of this run alone"
        assert look(self.name) is None
        with pytest.raises(Failed, match="it left with status 3, saying: no way"):
            self.apply({"image": "web:broken", "detach": False, "cleanup": True, **ALONE})
        assert look(self.name) is None

    def test_pulled_from_a_registry(self, registry):
        there = f"{REGISTRY}/team/web"
        for local in ("1.0", "2.0"):
            docker_api.ask(f"/images/web:{local}/tag?repo={there}&tag=latest", "POST")
            run("docker", "push", "--quiet", f"{there}:latest")
            if local == "1.0":
                docker_api.ask(f"/images/{there}:latest", "DELETE")
                with pytest.raises(Failed, match="image: is not on this host"):
                    self.apply({"image": there, "pull": "never", **IDLE})
                done = self.foretold({"image": there, **IDLE})
                assert f"{there} (pulled)" in str(done["changes"])
                self.unchanged({"image": there, "pull": "always", **IDLE})
        docker_api.ask(f"/images/web:1.0/tag?repo={there}&tag=latest", "POST")  # an older one than the registry's
        self.unchanged({"image": there, **IDLE})
        assert self.foretold({"image": there, "pull": True, **IDLE})["changed"]
        self.sees({"User": "1000"})
        self.unchanged({"image": there, "pull": True, **IDLE})
        with pytest.raises(Failed, match="nowhere"):
            self.apply({"image": f"{REGISTRY}/nowhere:1", **IDLE}, name=f"{self.name}2")
        assert look(f"{self.name}2") is None


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry of the test's own, on the loopback, where the daemon needs no TLS."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
    )
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    end = time.monotonic() + 60
    while not answers():
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.2)
    yield
    server.terminate()
    server.wait()


def answers() -> bool:
    try:
        urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=30).close()
    except OSError:
        return False
    return True

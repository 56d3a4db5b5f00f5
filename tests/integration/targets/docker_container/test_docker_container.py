# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container, looked at through Docker's own API and the kernel's files."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, Killed, call, run

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

# busybox as PID 1 ignores SIGTERM: without STOPSIGNAL each stop would take ten seconds.
IMAGES = {
    "web:1.0": """
        FROM scratch
        ADD tree.tar /
        ENV SITE=web
        LABEL made.by=test
        EXPOSE 8080/tcp
        VOLUME /data
        STOPSIGNAL SIGKILL
        CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/srv/www"]
    """,
    "web:2.0": """
        FROM web:1.0
        ENV SITE=second
        USER 1000
    """,
    "web:broken": """
        FROM web:1.0
        CMD ["/bin/busybox", "sh", "-c", "echo no way; exit 3"]
    """,
    "web:sick": """
        FROM web:1.0
        HEALTHCHECK --interval=1s --retries=1 CMD ["/bin/busybox", "false"]
    """,
}


@pytest.fixture(scope="module", autouse=True)
def _images(tmp_path_factory):
    """One file system of busybox alone, and four images of it."""
    context, tree = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("tree")
    for part in ("bin", "srv/www", "tmp", "run", "data"):
        (tree / part).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    shutil.make_archive(str(context / "tree"), "tar", tree)
    for tag, recipe in IMAGES.items():
        (context / "Dockerfile").write_text(textwrap.dedent(recipe))
        # The newer builder is a package of its own.
        run("env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--tag", tag, str(context))
    pages = Path("/srv/www")
    pages.mkdir(parents=True, exist_ok=True)
    (pages / "index.html").write_text("hello\n")


def look(name: str) -> dict | None:
    """What was set for a container, without what is only its own (IDs, times, addresses)."""
    found = docker_api.container(name)
    if found is None:
        return None
    config, host = found["Config"], found["HostConfig"]
    labels = {key: value for key, value in config["Labels"].items() if not key.startswith("strata.")}
    # Spellings that differ between what the command line and others send, and mean the same.
    host = {key: None if value == [] else value for key, value in host.items() if key != "ConsoleSize"}
    for key in ("CapAdd", "CapDrop"):
        host[key] = host[key] and [name.replace("CAP_", "") for name in host[key]]
    host["RestartPolicy"]["Name"] = host["RestartPolicy"]["Name"] or "no"
    return {
        **host,
        **{key: config.get(key) for key in ("Image", "Cmd", "Entrypoint", "User", "ExposedPorts", "Volumes")},
        "Env": sorted(config["Env"]),
        "Labels": labels,
        "Id": found["Image"],
        "Running": found["State"]["Running"],
        "PidsLimit": host["PidsLimit"] or None,
        "Mounts": None,
    }


def pid(name: str) -> int:
    return docker_api.container(name)["State"]["Pid"]


def leftovers() -> list[str]:
    return [name for mark in ("next", "previous") for name in docker_api.names("containers", f"strata-{mark}")]


def drift(action: str, method: str = "POST", **body: object):
    return lambda name: docker_api.ask(f"/containers/{name}{action}", method, **body)


def again(*argv: str, verb: str = "create"):
    """Somebody else makes it anew, by hand."""

    def made(name: str) -> None:
        docker_api.remove(name)
        run("docker", *verb.split(), "--name", name, *argv)

    return made


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
        a={"image": "web:1.0", "memory": "64M", "cpus": 1, "pids_limit": 64, "restart_policy": "on-failure"},
        b={"image": "web:1.0", "memory": "96M", "cpus": 0.5, "restart_policy": "no"},
        look=look,
        seen_a={
            "Memory": 64 << 20,
            "MemorySwap": 128 << 20,
            "NanoCpus": 1_000_000_000,
            "PidsLimit": 64,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 0},
            "Running": True,
        },
        seen_b={
            "Memory": 96 << 20,
            "MemorySwap": 192 << 20,
            "NanoCpus": 500_000_000,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Running": True,
        },
        drifts={
            "less memory": drift("/update", Memory=32 << 20, MemorySwap=64 << 20),
            "no limit of processes": drift("/update", PidsLimit=-1),
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
        theirs = {**look(self.name), "Running": True}
        assert {k: v for k, v in ours.items() if v != theirs[k] and (v or theirs[k])} == {}
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
        self.apply({**spec, "image": "web:2.0"})
        self.sees({"User": "1000"})

    @pytest.mark.parametrize("profile", ["baseline", "restricted"])
    def test_whatever_was_loosened_is_seen_and_repaired(self, profile):
        loose = shlex.split(
            "--privileged --pid host --ipc host --uts host --cgroupns host --network host --cap-add SYS_ADMIN "
            "--security-opt seccomp=unconfined --security-opt systempaths=unconfined --device /dev/null:/dev/x "
            "--volume /var/run/docker.sock:/docker.sock --mount type=bind,source=/proc,target=/host "
            "--volume /srv/www:/srv/www"
        )
        again(*loose, "web:1.0")(self.name)
        done = self.foretold({"image": "web:1.0", "hardening": profile, **IDLE})
        told = {change["field"] for change in done["changes"]}
        assert told >= {
            "privileged",
            "host_namespaces",
            "capabilities",
            "security_opts",
            "devices",
            "volumes",
            "mounts",
        }
        self.sees(
            {"Privileged": False, "PidMode": "", "IpcMode": "private", "UTSMode": "", "CapAdd": None, "Devices": None}
        )
        self.sees({"Binds": ["/srv/www:/srv/www"], "CgroupnsMode": "private"})
        self.unchanged({"image": "web:1.0", "hardening": profile, **IDLE})

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("capabilities", ["SYS_ADMIN"]),
            ("security_opts", ["seccomp=unconfined"]),
            ("volumes", ["/var/run/docker.sock:/docker.sock:ro"]),
            ("volumes", ["/:/host"]),
            ("user", "0"),
            ("read_only", False),
            ("cap_drop", []),
            ("memory", "max"),
        ],
    )
    def test_what_breaks_the_profile_is_refused(self, option, value):
        spec = {"image": "web:1.0", "hardening": "restricted", option: value}
        with pytest.raises(Failed, match=f"{option}: breaks the profile"):
            self.apply(spec)
        assert look(self.name) is None

    def test_an_exception_lets_it_through(self):
        spec = {"image": "web:1.0", "hardening": "restricted", "capabilities": ["SYS_ADMIN"]}
        self.apply({**spec, "hardening_exceptions": ["capabilities"], "state": "present"})
        self.sees({"CapAdd": ["SYS_ADMIN"], "CapDrop": ["ALL"]})

    def test_a_dropped_profile_goes_as_a_whole(self):
        bare = {"image": "web:1.0", "published_ports": ["127.0.0.1:8080:8080"], **IDLE}
        self.stack({**EXAMPLE, **IDLE})
        self.stack(bare)
        grown = look(self.name)
        self.stack(None)
        self.stack(bare)
        fresh = look(self.name)
        assert {key: value for key, value in grown.items() if value != fresh[key] and (value or fresh[key])} == {}

    def test_live_limits_reach_the_kernel(self):
        self.apply(self.case.a)
        group = Path(f"/sys/fs/cgroup/system.slice/docker-{docker_api.container(self.name)['Id']}.scope")
        self.apply(self.case.b)
        read = [(group / file).read_text().strip() for file in ("memory.max", "cpu.max", "pids.max")]
        assert read == [str(96 << 20), "50000 100000", "64"]

    def test_a_limit_that_cant_be_lifted_live(self):
        self.apply({**self.case.a, **IDLE})
        lifted = {**self.case.a, **IDLE, "memory": "max", "cpus": "max"}
        kept = self.apply({**lifted, "recreate": "never"})
        assert (kept["changed"], kept["restart_required"]) == (False, ["cpus", "memory"])
        assert self.foretold(lifted)["changed"]
        self.sees({"Memory": 0, "MemorySwap": 0, "NanoCpus": 0, "PidsLimit": 64})

    def test_another_image_keeps_what_others_set(self):
        run("docker", "network", "create", "strata-front", check=False)
        run("docker", "network", "create", "strata-back", check=False)
        try:
            front = "--network strata-front --network-alias www --hostname inner --env THEIRS=1 --label theirs=1"
            front += " --shm-size 32m --workdir /tmp web:1.0"
            again(*front.split(), verb="run --detach")(self.name)
            run("docker", "network", "connect", "--alias", "second", "strata-back", self.name)
            run("docker", "exec", self.name, "/bin/busybox", "sh", "-c", "/bin/busybox echo precious > /data/file")
            old = docker_api.container(self.name)["Id"]
            assert self.foretold({"image": "web:2.0"})["changed"]
            self.unchanged({"image": "web:2.0"})
            new = docker_api.container(self.name)
            assert new["Id"] != old
            assert run("docker", "exec", self.name, "/bin/busybox", "cat", "/data/file") == "precious"
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
            self.apply({"image": "web:1.0"})
            assert run("docker", "exec", self.name, "/bin/busybox", "cat", "/data/file") == "precious"
        finally:
            docker_api.remove(self.name)
            run("docker", "network", "rm", "strata-front", "strata-back")

    def test_networks_change_while_it_runs(self):
        run("docker", "network", "create", "--subnet", "172.30.220.0/24", "strata-front")
        run("docker", "network", "create", "strata-back")
        try:
            front = {"name": "strata-front", "ipv4_address": "172.30.220.9", "aliases": ["www"]}
            spec = {"image": "web:1.0", "networks": [front, {"name": "strata-back"}]}
            assert self.foretold(spec)["changed"]
            networks = docker_api.container(self.name)["NetworkSettings"]["Networks"]
            assert set(networks) == {"strata-front", "strata-back"}
            assert networks["strata-front"]["IPAddress"] == "172.30.220.9"
            assert "www" in networks["strata-front"]["Aliases"]
            self.unchanged(spec)
            before = pid(self.name)
            moved = {**spec, "networks": [{**front, "ipv4_address": "172.30.220.10"}, {"name": "bridge"}]}
            done = self.foretold(moved)
            assert {one["effect"] for one in done["changes"]} == {"live"}
            assert pid(self.name) == before
            networks = docker_api.container(self.name)["NetworkSettings"]["Networks"]
            assert set(networks) == {"strata-front", "bridge"}
            assert networks["strata-front"]["IPAddress"] == "172.30.220.10"
            assert "www" in networks["strata-front"]["Aliases"]
            run("docker", "network", "disconnect", "strata-front", self.name)
            assert self.foretold(moved)["changed"], "taken off by somebody else"
            run("docker", "network", "disconnect", "strata-front", self.name)
            docker_api.ask(f"/containers/{self.name}/stop", "POST")
            self.apply({"image": "web:2.0", **IDLE})
            assert set(docker_api.container(self.name)["NetworkSettings"]["Networks"]) == {"bridge"}, (
                "what is carried over"
            )
            assert self.foretold({"image": "web:2.0", "networks": []})["changed"]
            assert run("docker", "exec", self.name, "/bin/busybox", "ls", "/sys/class/net") == "lo"
            self.unchanged({"image": "web:2.0", "networks": []})
            self.apply({"image": "web:2.0", "networks": [{"name": "strata-back"}]})
            with pytest.raises(Failed, match=r"networks: is not on this host.*strata-nowhere"):
                self.apply({"image": "web:2.0", "networks": [{"name": "strata-nowhere"}]})
        finally:
            docker_api.remove(self.name)
            run("docker", "network", "rm", "strata-front", "strata-back")

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
        assert run("docker", "network", "ls", "--quiet", "--filter", "name=strata-front") == ""

    def test_the_old_one_is_back_if_the_new_one_fails(self):
        self.apply(self.case.a)
        old = docker_api.container(self.name)["Id"]
        for image, words in (("web:broken", "status 3, saying: no way"), ("web:sick", "health")):
            with pytest.raises(Failed) as failed:
                self.apply({**self.case.a, "image": image, "restart_policy": "no"})
            assert "the old one is back and runs" in failed.value.result["msg"]
            assert words in failed.value.result["msg"]
            assert docker_api.container(self.name)["Id"] == old
            self.sees(self.case.seen_a)
            assert leftovers() == []

    def test_killed_while_it_is_replaced(self):
        names = self.names(6)  # create, stop, rename, rename, start, remove
        self.together({"image": "web:1.0"}, names)
        self._forget()
        # Whichever it was told to be, one that ran runs again: present is tried where only the times tell.
        wanted = {name: {"image": "web:2.0", "state": "started", "env": {"A": "1"}} for name in names}
        for touch in (2, 4):
            wanted[names[touch - 1]]["state"] = "present"
        for touch, name in enumerate(names, start=1):
            run("docker", "exec", "--user", "0", name, "/bin/busybox", "touch", "/data/precious")
            with pytest.raises(Killed):
                self.apply(wanted[name], name, touches=TOUCHES, die_at=touch)
        entries = [{"docker_container": {"name": name, **spec}} for name, spec in wanted.items()]
        stack = {"name": self.owner, "resources": entries}
        forecast = call("stack", stack, check=True)
        assert forecast["resources"] == call("stack", stack)["resources"]
        for name in names:
            self.sees({"Running": True, "User": "1000"}, name)
            run("docker", "exec", name, "/bin/busybox", "test", "-e", "/data/precious")
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

    def test_present_and_stopped_leave_it_as_they_say(self):
        self.apply({"image": "web:1.0", "state": "present"})
        self.sees({"Running": False})
        self.apply({"image": "web:1.0"})
        self.apply({"image": "web:2.0", "state": "present"})
        self.sees({"Running": True, "Image": "web:2.0"})
        self.apply({"image": "web:2.0", "state": "stopped"})
        self.sees({"Running": False})
        self.unchanged({"image": "web:2.0", "state": "stopped"})

    def test_a_moved_tag_is_seen(self):
        run("docker", "tag", "web:1.0", "web:moving")
        self.apply({"image": "web:moving", **IDLE})
        self.unchanged({"image": "web:1.0", **IDLE})
        run("docker", "tag", "web:2.0", "web:moving")
        changes = self.foretold({"image": "web:moving", **IDLE})["changes"]
        assert [change["field"] for change in changes] == ["image"]
        self.unchanged({"image": "web:2.0", **IDLE})

    def test_an_image_that_is_not_there(self):
        for check in (True, False):
            with pytest.raises(Failed, match=r"image: is not on this host.*docker pull nowhere:9"):
                self.apply({"image": "nowhere:9"}, check=check)
        with pytest.raises(Failed, match="image: is required"):
            self.apply({})

    def test_a_container_that_leaves_at_once(self):
        with pytest.raises(Failed, match=r"state is 'stopped'; it left with status 3, saying: no way"):
            self.apply({"image": "web:broken"})

    def test_a_port_that_is_taken(self):
        self.apply({"image": "web:1.0", "published_ports": ["127.0.0.1:8080:8080"]})
        with pytest.raises(Failed, match=r"port is already allocated.*docker ps"):
            self.apply({"image": "web:1.0", "published_ports": ["127.0.0.1:8080:8080"]}, name=f"{self.name}2")

    def test_no_daemon(self):
        with pytest.raises(Failed, match=r"no Docker daemon answers.*systemctl start docker"):
            self.apply({"image": "web:1.0", "docker_host": "unix:///run/nothing.sock"})

    def test_options_that_replace_it(self):
        spec = {
            "image": "web:1.0",
            "command": "/bin/busybox sleep 1000",
            "env": {"SITE": "web", "B": "2"},
            "labels": {"made.by": "test", "x": "y"},
            "published_ports": ["8081:81/udp", "9000-9001:90-91"],
            "volumes": ["/srv/www:/a/:rw,Z", "/unnamed"],
            "tmpfs": ["/scratch:size=1m,mode=700"],
            "user": "5:6",
            "read_only": True,
            "cap_drop": ["CAP_CHOWN"],
            "security_opts": ["no-new-privileges:true"],
            **IDLE,
        }
        self.apply({"image": "web:1.0", **IDLE})
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        self.sees({"Cmd": ["/bin/busybox", "sleep", "1000"], "User": "5:6", "Labels": {"made.by": "test", "x": "y"}})
        assert self.foretold({**spec, "published_ports": ["9000:90"]})["changed"], "a port taken out is noticed"
        (told,) = call("docker_container_info", {"name": [self.name]})["resources"]
        assert call("docker_container", told["options"])["changes"] == []

    def test_fifty_in_one_stack(self):
        spec = {"image": "web:1.0", "state": "present", "user": "7"}
        names = self.names(50)
        self.together(spec, names)
        ids = {name: docker_api.container(name)["Id"] for name in (names[0], names[-1])}
        assert self.together(spec, reversed(names))["changed"] is False
        assert {name: docker_api.container(name)["Id"] for name in ids} == ids
        assert len(run("docker", "ps", "--all", "--quiet", "--filter", f"name={self.name}-").split()) == 50

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxc_container, looked at with LXC's own tools and the kernel's own files.

A start costs seconds here, so that the containers are made from a tree of one program, and each test starts few.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

TOP = Path("/var/lib/lxc")
TREE, WWW = Path("/srv/strata-lxc"), Path("/srv/strata-www")
LIMITS = ("memory.max", "cpu.max", "pids.max", "cgroup.freeze")
TEMPLATE = str(Path(__file__).with_name("template"))
SYS_MODULE, SYS_TIME = 1 << 16, 1 << 25  # linux/capability.h
APPLETS = ("sh", "ip", "ls", "mount", "sleep", "touch", "true")


def plant(tree: Path) -> Path:
    """The smallest tree that boots."""
    for folder in ("bin", "sbin", "etc", "dev", "proc", "sys", "tmp", "run", "root"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "sbin/init").symlink_to("../bin/busybox")
    (tree / "etc/inittab").write_text("::sysinit:/bin/true\n")
    return tree


@pytest.fixture(scope="module", autouse=True)
def _tree():
    for folder in filter(Path.exists, (TREE, WWW)):  # of a run that was cut short
        shutil.rmtree(folder)
    plant(TREE)
    WWW.mkdir()
    yield
    for folder in (TREE, WWW):
        shutil.rmtree(folder)


def config(name: str) -> Path:
    return TOP / name / "config"


def pid(name: str) -> int:
    return int(run("lxc-info", "-n", name, "-pH"))


def status(name: str) -> dict[str, str]:
    """What the kernel says of a container's first process (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid(name)}/status").read_text().splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def inside(name: str, *argv: str) -> str:
    """What a program says inside, on either stream."""
    done = subprocess.run(["lxc-attach", "-n", name, "--", *argv], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def look(name: str) -> dict | None:
    if not (TOP / name).exists():
        return None
    seen = {"state": run("lxc-info", "-n", name, "-sH"), "config": config(name).read_text()}
    seen["config"] = seen["config"].replace(name, "NAME")
    if seen["state"] == "STOPPED":
        return seen
    seen |= {file: Path(f"/sys/fs/cgroup/lxc.payload.{name}/{file}").read_text().strip() for file in LIMITS}
    bounded = int(status(name)["CapBnd"], 16)
    return {**seen, "sys_module": bool(bounded & SYS_MODULE), "sys_time": bool(bounded & SYS_TIME)}


def append(text: str):
    def drift(name: str) -> None:
        with config(name).open("a") as file:
            file.write(text)

    return drift


# Compiling a profile is most of a start, so that only those tests have one that look at it.
BASE = {
    "source": {"rootfs": str(TREE)},
    "networks": [{"type": "veth", "link": "lxcbr0"}],
    "cap_drop": ["sys_module", "mac_admin", "mac_override"],
    "apparmor_profile": "unconfined",
    "config": {"lxc.signal.halt": "SIGUSR1"},
}
A = {**BASE, "memory": "256M", "cpus": 0.5, "pids_limit": 128}
STOPPED = {**A, "state": "stopped"}


class TestLxcContainer(Convergence):
    case = Case(
        kind="lxc_container",
        info="lxc_info",
        a=A,
        b={**BASE, "memory": "128M", "cpus": 1},
        look=look,
        seen_a={
            "state": "RUNNING",
            "memory.max": "268435456",
            "cpu.max": "50000 100000",
            "pids.max": "128",
            "cgroup.freeze": "0",
            "sys_module": False,
            "sys_time": True,
        },
        seen_b={"state": "RUNNING", "memory.max": "134217728", "cpu.max": "100000 100000"},
        drifts={
            "less memory": lambda name: run("lxc-cgroup", "-n", name, "memory.max", "64M"),
            "a later line": append("\n  lxc.cgroup2.memory.max=  64M\n"),
            "frozen": lambda name: run("lxc-freeze", "-n", name),
            "killed": lambda name: run("lxc-stop", "-n", name, "-k"),
            "removed": lambda name: run("lxc-destroy", "-f", "-n", name),
        },
        touches=("core.files.write", "core.command.run", "engines.cgroupfs.write", "engines.trees.sync"),
        same_process=pid,
        bad=(
            ("memory", "12X"),
            ("cpus", "-1"),
            ("nonsense", "1"),
            ("source", {"rootfs": "/srv/nosuch"}),
            ("source", {"container": "nosuch"}),
            ("mounts", [{"source": "/srv/nosuch", "target": "srv"}]),
            ("mounts", [{"source": "/srv", "target": "../etc"}]),
            ("devices", [{"path": "/dev/nosuch"}]),
            ("config", {"lxc.nosuch": "1"}),
            ("config", {"lxc.cgroup2.memory.max": "1G"}),
        ),
    )

    def test_states_and_what_runs_is_told_apart_from_what_is_stored(self):
        self.apply(A)
        before = pid(self.case.name)
        address = "lxc.net.0.hwaddr = 00:16:3e:00:00:07\n"
        append(address + "# theirs\n")(self.case.name)
        wanted = {**A, "networks": [{"type": "veth", "link": "lxcbr0", "name": "lan0", "addresses": ["10.0.3.77/24"]}]}
        for _run in range(2):
            told = self.apply(wanted)
            assert told["restart_required"] == ["networks[0]"]
        assert pid(self.case.name) == before
        assert address in config(self.case.name).read_text()
        assert "# theirs\n" in config(self.case.name).read_text()
        done = self.apply({**wanted, "restart": "if_needed"})
        assert (done["changed"], done["restart_required"]) == (True, [])
        assert pid(self.case.name) != before
        seen = inside(self.case.name, "ip", "addr", "show", "lan0")
        assert "00:16:3e:00:00:07" in seen
        assert "10.0.3.77/24" in seen
        self.unchanged(wanted)
        (told,) = call("lxc_info", {"name": [self.case.name]})["resources"]
        assert (told["facts"]["pid"], told["usage"]["addresses"]["lan0"][0]) == (pid(self.case.name), "10.0.3.77")
        assert told["usage"]["processes"] >= 1
        before = pid(self.case.name)
        assert self.foretold({**wanted, "state": "restarted"})["changed"]
        assert pid(self.case.name) != before
        for state, seen in (("frozen", "FROZEN"), ("started", "RUNNING"), ("frozen", "FROZEN"), ("stopped", "STOPPED")):
            assert self.foretold({**wanted, "state": state})["changed"]
            self.sees({"state": seen})
            self.unchanged({**wanted, "state": state})

    def test_restricted_as_it_is_seen_from_inside(self):
        (WWW / "page").write_text("hello")
        wanted = {
            "source": {"rootfs": str(TREE)},
            "unprivileged": True,
            "autostart": True,
            "start_order": 7,
            "hardening": "restricted",
            "memory": "64M",
            "networks": [
                {"type": "veth", "link": "lxcbr0", "addresses": ["10.0.3.20/24"], "gateway": "auto", "mtu": 1400}
            ],
            "mounts": [{"source": str(WWW), "target": "srv/www", "read_only": True}],
            "config": {"lxc.signal.halt": "SIGUSR1"},
        }
        name = self.case.name
        assert self.foretold(wanted)["changed"]
        seen = status(name)
        assert [seen[key] for key in ("CapBnd", "CapEff", "CapPrm", "CapAmb")] == ["0" * 16] * 4
        assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
        first = int(Path("/etc/subuid").read_text().partition("root:")[2].partition(":")[0])
        assert seen["Uid"].split()[0] == str(first)
        assert Path(f"/proc/{pid(name)}/uid_map").read_text().split() == ["0", str(first), "65536"]
        assert name in Path(f"/proc/{pid(name)}/attr/current").read_text()
        mounts = Path(f"/proc/{pid(name)}/mountinfo").read_text()
        assert re.search(r" / ro[ ,]", mounts)
        assert re.search(r" /srv/www ro[ ,]", mounts)
        assert re.search(r" /tmp rw,nosuid,nodev,noexec.* tmpfs ", mounts)
        assert inside(name, "ls", "/srv/www") == "page"
        assert "Read-only file system" in inside(name, "touch", "/x")
        assert inside(name, "touch", "/tmp/x") == ""
        assert "permission denied" in inside(name, "mount", "-t", "tmpfs", "x", "/root")
        assert os.stat(TOP / name / "rootfs" / "srv").st_uid == 0
        network = run("nsenter", "-t", str(pid(name)), "-n", "ip", "-4", "addr", "show", "dev", "eth0")
        assert "10.0.3.20/24" in network
        assert "mtu 1400" in network
        limits = {file: Path(f"/sys/fs/cgroup/lxc.payload.{name}/{file}").read_text().strip() for file in LIMITS}
        assert limits == {"memory.max": "67108864", "cpu.max": "100000 100000", "pids.max": "256", "cgroup.freeze": "0"}
        assert f"{name} 1" in [
            " ".join(line.split()) for line in run("lxc-ls", "-f", "-F", "NAME,AUTOSTART").splitlines()
        ]
        assert run("systemctl", "is-enabled", "lxc.service") == "enabled"
        self.unchanged(wanted)
        # What lifts it by hand is seen, and taken back.
        text = config(name).read_text()
        config(name).write_text(text.replace("lxc.no_new_privs = 1", "lxc.no_new_privs = 0"))
        assert [change["field"] for change in self.apply(wanted)["changes"]] == ["no_new_privileges"]
        assert "lxc.no_new_privs = 1" in config(name).read_text()

    def test_devices_mounts_and_limits_of_a_root_that_is_the_hosts(self, tmp_path):
        (tmp_path / "file").write_text("")
        wanted = {
            **A,
            "devices": [{"path": "/dev/fuse", "permissions": "rw"}, {"rule": "c 10:200 rwm"}],
            "mounts": [
                {"source": str(tmp_path / "file"), "target": "etc/file", "read_only": True},
                {"type": "tmpfs", "target": "scratch", "options": ["size=1m"]},
            ],
            "memory_high": "128M",
            "cpu_weight": 50,
            "no_new_privileges": True,
            "seccomp_profile": "",
        }
        name = self.case.name
        assert self.foretold(wanted)["changed"]
        mounts = Path(f"/proc/{pid(name)}/mountinfo").read_text()
        for place in ("/etc/file ro", "/scratch rw", "/dev/fuse "):
            assert f" {place}" in mounts
        group = Path(f"/sys/fs/cgroup/lxc.payload.{name}")
        assert (group / "memory.high").read_text().strip() == "134217728"
        assert (group / "cpu.weight").read_text().strip() == "50"
        assert (status(name)["NoNewPrivs"], status(name)["Seccomp"]) == ("1", "0")
        self.unchanged(wanted)
        told = self.apply({**wanted, "mounts": [], "devices": [], "cpu_weight": 60})
        assert told["restart_required"] == [
            "devices[/dev/fuse]",
            "devices[c 10:200 rwm]",
            "mounts[etc/file]",
            "mounts[scratch]",
        ]
        assert (group / "cpu.weight").read_text().strip() == "60"
        assert "/dev/fuse" not in config(name).read_text()

    def test_sources(self, tmp_path):
        """A tree, a copy of it, one of a snapshot, and a template, none of them started."""
        hostile = plant(tmp_path / "tree")
        outside = tmp_path / "outside"
        outside.mkdir()
        (hostile / "etc/hostname").symlink_to(outside / "hostname")
        (hostile / "srv").symlink_to(outside)
        os.mknod(hostile / "null", 0o666 | 0o020000, os.makedev(1, 3))
        (outside / "hostname").write_text("host")
        self.apply({**STOPPED, "source": {"rootfs": str(hostile)}}, "strata-test-a")
        self.apply({**STOPPED, "source": {"container": "strata-test-a"}}, "strata-test-b")
        call("lxc_snapshot", {"container": "strata-test-b", "name": "one"})
        (TOP / "strata-test-b/rootfs/later").touch()
        source = {"container": "strata-test-b", "snapshot": "one"}
        self.apply({**STOPPED, "source": source}, "strata-test-c")
        call("lxc_snapshot", {"container": "strata-test-b", "name": "one", "state": "absent"})
        for name in ("strata-test-a", "strata-test-b", "strata-test-c"):
            root = TOP / name / "rootfs"
            assert os.readlink(root / "srv") == str(outside)
            assert os.readlink(root / "etc/hostname") == str(outside / "hostname")
            assert f"lxc.rootfs.path = dir:{root}\n" in config(name).read_text()
            assert f"lxc.uts.name = {name}\n" in config(name).read_text()
        assert not (TOP / "strata-test-c/rootfs/later").exists()
        # A place to mount upon leads nowhere but into the tree; LXC refuses what goes through a link.
        wanted = {**A, "source": source, "read_only": True, "mounts": [{"source": str(tmp_path), "target": "srv/www"}]}
        with pytest.raises(Failed, match="didn't start"):
            self.apply({**wanted, "timeout": "30"}, "strata-test-c")
        assert sorted(path.name for path in outside.iterdir()) == ["hostname"]
        assert (outside / "hostname").read_text() == "host"
        made = {**STOPPED, "source": None, "template": TEMPLATE, "unprivileged": True}
        self.apply(made, "strata-test-d")
        self.apply({**made, "state": "present"}, "strata-test-d", check=True)
        assert "lxc.idmap = u 0 " in config("strata-test-d").read_text()

    def test_settings_of_the_escape_hatch(self):
        mounts = ["tmpfs mnt tmpfs defaults 0 0", "tmpfs media tmpfs defaults,optional 0 0"]
        wanted = {**STOPPED, "config": {"lxc.mount.entry": mounts, "lxc.uts.name": "other"}}
        self.apply(wanted)
        text = config(self.case.name).read_text()
        assert text.count("lxc.mount.entry =") == 2
        assert "lxc.uts.name = other" in text
        assert "lxc.include = /usr/share/lxc/config/common.conf" in text
        self.unchanged(wanted)

    def test_what_does_not_start_says_why(self):
        with pytest.raises(Failed, match="nosuchbridge"):
            self.apply({**A, "networks": [{"type": "veth", "link": "nosuchbridge"}]})
        init = TOP / self.case.name / "rootfs/sbin/init"
        init.unlink()
        init.write_text("#!/bin/sh\necho no disk\n")
        init.chmod(0o755)
        with pytest.raises(Failed, match=r"its console said last: .*no disk"):
            self.apply(A)

    def test_half_made_is_made_anew(self, tmp_path):
        slow = tmp_path / "slow"
        slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
        slow.chmod(0o755)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            call(self.case.kind, {"name": self.case.name, **A, "source": None, "template": str(slow)})
            os._exit(0)
        while not (tmp_path / "pid").exists():
            time.sleep(0.1)
        os.killpg(child, signal.SIGKILL)  # the module, lxc-create and the template
        os.waitpid(child, 0)
        assert (TOP / self.case.name / "partial").exists()
        time.sleep(0.5)
        self.apply({**STOPPED, "source": None, "template": TEMPLATE})
        self.sees({"state": "STOPPED"})

    def test_a_full_disk_leaves_what_the_next_run_finishes(self, tmp_path):
        run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path))
        try:
            spec = {**STOPPED, "lxc_path": str(tmp_path)}
            with pytest.raises(Failed, match="No space left on device"):
                self.apply(spec)
            run("mount", "-o", "remount,size=16m", str(tmp_path))
            self.apply(spec)
            made = tmp_path / self.case.name / "rootfs"
            assert (made / "bin/busybox").read_bytes() == (TREE / "bin/busybox").read_bytes()
            self.apply({"state": "absent", "lxc_path": str(tmp_path)})
            assert os.listdir(tmp_path) == []
        finally:
            run("umount", str(tmp_path))

    def test_somebody_elses_half_made_one_stays(self):
        (TOP / self.case.name).mkdir()
        config(self.case.name).write_text("lxc.uts.name = x\n")
        (TOP / self.case.name / "partial").touch()
        with pytest.raises(Failed, match="half-made"):
            self.apply(A)
        assert config(self.case.name).read_text() == "lxc.uts.name = x\n"
        shutil.rmtree(TOP / self.case.name)

    def test_what_is_not_its_own_stays(self, tmp_path):
        """A root file system that lies elsewhere, and snapshots."""
        self.apply(STOPPED)
        call("lxc_snapshot", {"container": self.case.name, "name": "one"})
        with pytest.raises(Failed, match=r"has snapshots \(one\)"):
            self.apply({"state": "absent"})
        run("lxc-snapshot", "-n", self.case.name, "-d", "one")
        elsewhere = tmp_path / "rootfs"
        shutil.move(TOP / self.case.name / "rootfs", elsewhere)
        text = config(self.case.name).read_text()
        config(self.case.name).write_text(text.replace(f"dir:{TOP}/{self.case.name}/rootfs", f"dir:{elsewhere}"))
        self.apply({"state": "absent"})
        assert look(self.case.name) is None
        assert (elsewhere / "bin").is_dir()

    def test_an_unchanged_run_starts_no_program(self):
        self.apply(A)
        log = Path("/tmp/strata-lxc.strace")
        code = f"from tests.lab.driver import call; call('lxc_container', {{'name': '{self.case.name}', **{A!r}}})"
        subprocess.run(["strace", "-f", "-e", "trace=execve", "-o", log, "python3", "-c", code], check=True)
        assert "lxc-" not in log.read_text()
        log.unlink()

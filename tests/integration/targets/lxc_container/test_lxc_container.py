# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxc_container, looked at with LXC's own tools and the kernel's own files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

TOP = Path("/var/lib/lxc")
LIMITS = ("memory.max", "cpu.max", "pids.max", "cgroup.freeze")
# lxc-busybox runs a thousand processes; one test is enough of them.
TEMPLATE = str(Path(__file__).with_name("template"))
SYS_MODULE, SYS_TIME = 1 << 16, 1 << 25  # linux/capability.h


def config(name: str) -> Path:
    return TOP / name / "config"


def pid(name: str) -> int:
    return int(run("lxc-info", "-n", name, "-pH"))


def look(name: str) -> dict | None:
    if not (TOP / name).exists():
        return None
    seen = {"state": run("lxc-info", "-n", name, "-sH"), "config": config(name).read_text()}
    seen["config"] = seen["config"].replace(name, "NAME")
    if seen["state"] == "STOPPED":
        return seen
    seen |= {file: Path(f"/sys/fs/cgroup/lxc.payload.{name}/{file}").read_text().strip() for file in LIMITS}
    status = Path(f"/proc/{pid(name)}/status").read_text()
    bounded = int(status.partition("CapBnd:")[2].split()[0], 16)
    return {**seen, "sys_module": bool(bounded & SYS_MODULE), "sys_time": bool(bounded & SYS_TIME)}


def append(text: str):
    def drift(name: str) -> None:
        with config(name).open("a") as file:
            file.write(text)

    return drift


A = {
    "template": TEMPLATE,
    "memory": "256M",
    "cpus": 0.5,
    "pids_limit": 128,
    "networks": [{"type": "veth", "link": "lxcbr0"}],
    "cap_drop": ["sys_module", "mac_admin", "mac_override"],
    "config": {"lxc.apparmor.profile": "generated"},
}


class TestLxcContainer(Convergence):
    case = Case(
        kind="lxc_container",
        info="lxc_info",
        a=A,
        b={**{key: A[key] for key in ("template", "networks", "cap_drop")}, "memory": "128M", "cpus": 1},
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
        touches=("core.files.write", "core.command.run", "engines.cgroupfs.write"),
        same_process=pid,
    )

    def test_what_runs_is_told_apart_from_what_is_stored(self):
        self.apply(A)
        before = pid(self.case.name)
        address = "lxc.net.0.hwaddr = 00:16:3e:00:00:07\n"
        append(address + "# theirs\n")(self.case.name)
        wanted = {**A, "networks": [{"type": "veth", "link": "lxcbr0", "name": "lan0"}]}
        for _run in range(2):
            told = self.apply(wanted)
            assert told["restart_required"] == ["networks[0]"]
        assert pid(self.case.name) == before
        assert address in config(self.case.name).read_text()
        assert "# theirs\n" in config(self.case.name).read_text()
        done = self.apply({**wanted, "restart": "if_needed"})
        assert (done["changed"], done["restart_required"]) == (True, [])
        assert pid(self.case.name) != before
        inside = run("lxc-attach", "-n", self.case.name, "--", "ip", "link", "show", "lan0")
        assert "00:16:3e:00:00:07" in inside
        self.unchanged(wanted)

    def test_a_template_of_lxc(self):
        self.apply({**A, "template": "busybox"})
        self.sees(self.case.seen_a)
        self.unchanged({**A, "template": "busybox"})

    def test_states(self):
        self.apply({**A, "state": "stopped"})
        self.sees({"state": "STOPPED"})
        for state, seen in (("frozen", "FROZEN"), ("started", "RUNNING"), ("frozen", "FROZEN"), ("stopped", "STOPPED")):
            assert self.foretold({**A, "state": state})["changed"]
            self.sees({"state": seen})
            self.unchanged({**A, "state": state})

    def test_settings_of_the_escape_hatch(self):
        mounts = ["tmpfs mnt tmpfs defaults 0 0", "tmpfs media tmpfs defaults,optional 0 0"]
        wanted = {**A, "state": "stopped", "config": {"lxc.mount.entry": mounts, "lxc.uts.name": "other"}}
        self.apply(wanted)
        text = config(self.case.name).read_text()
        assert text.count("lxc.mount.entry =") == 2
        assert "lxc.uts.name = other" in text
        assert "lxc.autodev = 1" in text
        self.unchanged(wanted)

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"template": "nosuch"}, "is no template of this host"),
            ({"config": {"lxc.nosuch": "1"}}, "LXC doesn't take lxc.nosuch"),
            ({"config": {"lxc.cgroup2.memory.max": "1G"}}, "the option memory sets"),
            ({"config": {"lxc.cgroup.memory": "1G"}}, "cgroup v1"),
            ({"config": {"lxc.uts.name": "a\nlxc.hook.start = /bin/x"}}, "one value only"),
            ({"cap_drop": ["no such"]}, "is no capability"),
        ],
    )
    def test_bad_input_touches_nothing(self, more, words):
        for check in (True, False):
            with pytest.raises(Failed, match=words):
                self.apply({**A, **more}, check=check)
        assert look(self.case.name) is None

    def test_what_does_not_start_says_why(self):
        with pytest.raises(Failed, match="nosuchbridge"):
            self.apply({**A, "networks": [{"type": "veth", "link": "nosuchbridge"}]})
        self.apply(A)
        self.sees(self.case.seen_a)

    def test_half_made_is_made_anew(self, tmp_path):
        slow = tmp_path / "slow"
        slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
        slow.chmod(0o755)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            call(self.case.kind, {"name": self.case.name, **A, "template": str(slow)})
            os._exit(0)
        while not (tmp_path / "pid").exists():
            time.sleep(0.1)
        os.killpg(child, signal.SIGKILL)  # the module, lxc-create and the template
        os.waitpid(child, 0)
        assert (TOP / self.case.name / "partial").exists()
        time.sleep(0.5)
        self.apply(A)
        self.sees(self.case.seen_a)

    def test_somebody_elses_half_made_one_stays(self):
        (TOP / self.case.name).mkdir()
        config(self.case.name).write_text("lxc.uts.name = x\n")
        (TOP / self.case.name / "partial").touch()
        with pytest.raises(Failed, match="half-made"):
            self.apply(A)
        assert config(self.case.name).read_text() == "lxc.uts.name = x\n"
        shutil.rmtree(TOP / self.case.name)

    def test_a_root_file_system_elsewhere_stays(self, tmp_path):
        self.apply({**A, "state": "stopped"})
        elsewhere = tmp_path / "rootfs"
        shutil.move(TOP / self.case.name / "rootfs", elsewhere)
        text = config(self.case.name).read_text()
        config(self.case.name).write_text(text.replace(f"dir:{TOP}/{self.case.name}/rootfs", f"dir:{elsewhere}"))
        self.apply({"state": "absent"})
        assert look(self.case.name) is None
        assert (elsewhere / "bin").is_dir()

    def test_snapshots_are_not_lost(self):
        self.apply({**A, "state": "stopped"})
        snapshot = TOP / self.case.name / "snaps" / "snap0"
        snapshot.mkdir(parents=True)
        with pytest.raises(Failed, match="has snapshots"):
            self.apply({"state": "absent"})
        shutil.rmtree(snapshot.parent)

    def test_an_unchanged_run_starts_no_program(self):
        self.apply(A)
        log = Path("/tmp/strata-lxc.strace")
        code = f"from tests.lab.driver import call; call('lxc_container', {{'name': '{self.case.name}', **{A!r}}})"
        subprocess.run(["strace", "-f", "-e", "trace=execve", "-o", log, "python3", "-c", code], check=True)
        assert "lxc-" not in log.read_text()
        log.unlink()

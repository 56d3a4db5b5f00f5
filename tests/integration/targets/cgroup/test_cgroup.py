# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cgroup, looked at through the kernel's own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call

TOP = Path("/sys/fs/cgroup/strata.slice/strata.service")
FILES = ("cpu.max", "memory.max", "pids.max")


def look(name: str) -> dict | None:
    group = TOP / name
    if not group.is_dir():
        return None
    return {file: (group / file).read_text().strip() for file in FILES if (group / file).exists()}


def put(file: str, text: str):
    return lambda name: (TOP / name / file).write_text(text)


class TestCgroup(Convergence):
    case = Case(
        kind="cgroup",
        info="cgroup_info",
        a={"cpus": 2, "memory": "1G", "pids_limit": 512},
        b={"cpus": 0.5, "memory": 300_000_001},
        look=look,
        seen_a={"cpu.max": "200000 100000", "memory.max": "1073741824", "pids.max": "512"},
        seen_b={"cpu.max": "50000 100000", "memory.max": "299999232"},
        drifts={
            "less memory": put("memory.max", "8388608"),
            "no limit of processes": put("pids.max", "max"),
            "another period": put("cpu.max", "100000 10000"),
            "removed": lambda name: (TOP / name).rmdir(),
        },
        touches=("engines.cgroupfs.write", "engines.cgroupfs.make", "engines.cgroupfs.set_owner"),
    )

    def test_a_fresh_b_has_no_limit_of_processes(self):
        self.stack(self.case.a)
        self.stack(self.case.b)
        self.sees({**self.case.seen_b, "pids.max": "max"})

    def test_groups_on_the_way_are_made(self):
        self.apply({"memory": "64M"}, name=f"{self.case.name}/inner")
        self.sees({"memory.max": "67108864"}, name=f"{self.case.name}/inner")

    def test_groups_within_each_other_go_together(self):
        names = [self.case.name, *(f"{self.case.name}/{place}/{place}" for place in range(12))]
        stack = {"name": self.owner, "resources": [{"cgroup": {"name": name}} for name in names], "prune": True}
        call("stack", stack)
        assert (TOP / names[-1]).is_dir()
        call("stack", {**stack, "resources": []})
        assert look(self.case.name) is None

    def test_a_group_with_processes_stays(self):
        self.apply(self.case.a)
        process = subprocess.Popen(["sleep", "60"])
        try:
            (TOP / self.case.name / "cgroup.procs").write_text(str(process.pid))
            for check in (True, False):
                with pytest.raises(Failed, match="still holds processes"):
                    self.apply({"state": "absent"}, check=check)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()

    def test_a_limit_holds_the_processes(self):
        self.apply({"memory": "32M"})
        shell = f"echo $$ > {TOP / self.case.name}/cgroup.procs; exec tail /dev/zero"
        assert subprocess.run(["sh", "-c", shell], check=False).returncode == -9
        assert "oom_kill 1" in (TOP / self.case.name / "memory.events").read_text()

    def test_a_hundred_in_one_stack(self):
        entries = [{"cgroup": {"name": f"{self.case.name}{place}", "pids_limit": 100 + place}} for place in range(100)]
        call("stack", {"name": self.owner, "resources": entries, "prune": True})
        assert call("stack", {"name": self.owner, "resources": entries[::-1], "prune": True})["changed"] is False
        assert (TOP / f"{self.case.name}99" / "pids.max").read_text().strip() == "199"

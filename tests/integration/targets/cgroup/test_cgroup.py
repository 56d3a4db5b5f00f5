# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cgroup, looked at through the kernel's own files and systemctl."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

MOUNT = Path("/sys/fs/cgroup")
TOP = MOUNT / "strata.slice/strata.service"
UNITS = Path("/etc/systemd/system")
FILES = (
    *("cpu.max", "cpu.max.burst", "cpu.weight", "cpu.idle", "cpuset.cpus", "cpuset.mems", "io.max", "io.weight"),
    *("memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max", "memory.oom.group", "pids.max"),
    "cgroup.freeze",
)
DISK = os.path.basename(os.path.realpath(run("findmnt", "--noheadings", "--output", "SOURCE", "/")))
NUMBER = Path(f"/sys/class/block/{DISK}/dev").read_text().strip()


def unit(name: str) -> Path:
    return UNITS / f"strata-cgroup-{run('systemd-escape', '--path', name)}.service"


def look(name: str) -> dict | None:
    group = TOP / name
    if not group.is_dir():
        return None
    seen = {file: (group / file).read_text().strip() for file in FILES if (group / file).exists()}
    return {**seen, "unit": unit(name).exists()}


def put(file: str, text: str):
    return lambda name: (TOP / name / file).write_text(text)


def into(name: str) -> subprocess.Popen:
    process = subprocess.Popen(["sleep", "60"])
    (TOP / name / "cgroup.procs").write_text(str(process.pid))
    return process


def group_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/strata.slice/strata.service/")


@pytest.fixture
def ended():
    """Processes that are killed at the end of a test, whatever becomes of it."""
    processes: list[subprocess.Popen] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", autouse=True)
def weighed():
    """The kernel weighs a disk's io once its cost model is on."""
    (MOUNT / "io.cost.qos").write_text(f"{NUMBER} enable=0")
    with pytest.raises(Failed, match=f"io.weight: the kernel weighs the io of /dev/{DISK} only where"):
        call("cgroup", {"name": "strata-test", "io": [{"device": f"/dev/{DISK}", "weight": 300}]})
    (MOUNT / "io.cost.qos").write_text(f"{NUMBER} enable=1")
    yield
    (MOUNT / "io.cost.qos").write_text(f"{NUMBER} enable=0")


class TestCgroup(Convergence):
    case = Case(
        kind="cgroup",
        info="cgroup_info",
        a={
            "cpus": 2,
            "cpu_period": "100ms",
            "cpu_burst": "50ms",
            "cpu_weight": 50,
            "memory": "1G",
            "memory_high": "900M",
            "memory_low": "8M",
            "memory_min": "4M",
            "memory_swap": 0,
            "oom_group": True,
            "pids_limit": 512,
            "io_weight": 200,
            "io": [{"device": f"/dev/{DISK}", "read_bps": "10M", "write_iops": 100, "weight": 300}],
            "cpuset_cpus": "0",
            "cpuset_mems": "0",
            "frozen": True,
        },
        b={"cpus": 0.5, "memory": 300_000_001, "cpu_weight": "idle", "cpuset_cpus": "0-1"},
        look=look,
        seen_a={
            "cpu.max": "200000 100000",
            "cpu.max.burst": "50000",
            "cpu.weight": "50",
            "memory.max": "1073741824",
            "memory.high": "943718400",
            "memory.low": "8388608",
            "memory.min": "4194304",
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "pids.max": "512",
            "io.weight": f"default 200\n{NUMBER} 300",
            "io.max": f"{NUMBER} rbps=10485760 wbps=max riops=max wiops=100",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
            "cgroup.freeze": "1",
            "unit": False,
        },
        seen_b={"cpu.max": "50000 100000", "memory.max": "299999232", "cpu.idle": "1", "cpuset.cpus": "0-1"},
        drifts={
            "less memory, and no limit of processes": lambda name: (
                put("memory.max", "8388608")(name),
                put("pids.max", "max")(name),
            ),
            "another period": lambda name: (put("cpu.max.burst", "0")(name), put("cpu.max", "100000 10000")(name)),
            "idle": put("cpu.idle", "1"),
            "another limit of the disk": put("io.max", f"{NUMBER} rbps=max wiops=7"),
            "weights": lambda name: (
                put("io.weight", "default 100")(name),
                put("io.weight", f"{NUMBER} default")(name),
            ),
            "other cpus": put("cpuset.cpus", "0-1"),
            "thawed": put("cgroup.freeze", "0"),
            "removed": lambda name: (TOP / name).rmdir(),
        },
        touches=("engines.cgroupfs.write", "engines.cgroupfs.make", "engines.cgroupfs.set_owner"),
        bad=(
            *(("memory", "12X"), ("cpus", "-1"), ("nonsense", "1"), ("cpu_weight", 0), ("cpuset_cpus", "7-9")),
            *(("cpuset_mems", "5"), ("misc", {"nothing": 1}), ("pids", [1]), ("units", ["nowhere.service"])),
            *(
                ("users", ["nobody-here"]),
                ("users", ["root"]),
                ("units", ["strata.service"]),
                ("units", ["a.slice"]),
            ),
            *(("io", [{"device": "/dev/nowhere"}]), ("io", [{"device": "/dev/null"}])),
            *(("io", [{"device": f"/dev/{DISK}", "latency": "25ms"}]), ("cpuset_partition", "root")),
            *(("parent", "/srv"), ("parent", "/sys/fs/cgroup/nowhere"), ("parent", "/sys/fs/cgroup/system.slice")),
        ),
    )

    def test_a_fresh_b_has_no_limit_of_processes(self):
        self.stack(self.case.a)
        self.stack(self.case.b)
        self.sees({**self.case.seen_b, "pids.max": "max", "io.max": "", "cgroup.freeze": "0"})

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

    def test_a_group_with_processes_stays_unless_they_are_to_be_killed(self, ended):
        self.apply({"pids_limit": 9})
        ended.append(into(self.case.name))
        for check in (True, False):
            with pytest.raises(Failed, match="still holds processes"):
                self.apply({"state": "absent"}, check=check)
        with pytest.raises(Failed, match=r"name: .*holds processes itself.*\(memory\)"):
            self.apply({"memory": "64M"}, name=f"{self.case.name}/inner")
        self.made.clear()
        assert ended[0].poll() is None
        self.foretold({"state": "absent", "kill": True})
        assert ended[0].wait(10) == -9
        assert look(self.case.name) is None

    def test_a_limit_holds_the_processes(self):
        self.apply({"memory": "32M"})
        shell = f"echo $$ > {TOP / self.case.name}/cgroup.procs; exec tail /dev/zero"
        assert subprocess.run(["sh", "-c", shell], check=False).returncode == -9
        assert "oom_kill 1" in (TOP / self.case.name / "memory.events").read_text()
        (told,) = call("cgroup_info", {"name": [self.case.name]})["resources"]
        used = told["usage"]
        assert used["memory"]["events"]["oom_kill"] == 1
        assert used["memory"]["peak_bytes"] > 16 << 20
        assert used["pressure"]["memory"]["some"].keys() >= {"avg10_percent", "total_usec"}
        assert (used["processes"], used["events"]["populated"]) == (0, False)
        assert used["cpu"]["usage_usec"] > 0

    def test_a_hundred_in_one_stack(self):
        entries = [{"cgroup": {"name": f"{self.case.name}{place}", "pids_limit": 100 + place}} for place in range(100)]
        call("stack", {"name": self.owner, "resources": entries, "prune": True})
        assert call("stack", {"name": self.owner, "resources": entries[::-1], "prune": True})["changed"] is False
        assert (TOP / f"{self.case.name}99" / "pids.max").read_text().strip() == "199"
        call("stack", {"name": self.owner, "resources": [], "prune": True})

    def test_processes_are_moved_in_and_may_end(self, ended):
        name = self.case.name
        ended.append(subprocess.Popen(["sh", "-c", "sleep 60 & wait"]))
        ended.append(subprocess.Popen(["sleep", "61"], user=pwd.getpwnam("daemon").pw_uid))
        run("systemd-run", "--quiet", "--unit=strata-test-moved", "--property=Type=exec", "sleep", "62")
        main = int(run("systemctl", "show", "--property=MainPID", "--value", "strata-test-moved"))
        try:
            spec = {"pids": [ended[0].pid], "users": ["daemon"], "units": ["strata-test-moved.service"]}
            self.foretold(spec)
            assert [group_of(pid) for pid in (ended[0].pid, ended[1].pid, main)] == [name] * 3
            self.unchanged(spec)
            (MOUNT / "cgroup.procs").write_text(str(ended[0].pid))
            assert self.foretold(spec)["changed"]
            ended[0].kill()
            ended[0].wait()
            self.unchanged(spec)
            assert self.apply(spec)["resource"]["facts"]["ended"] == [ended[0].pid]
        finally:
            run("systemctl", "stop", "strata-test-moved")
            self.apply({"state": "absent", "kill": True})

    def test_what_everything_hangs_on_is_never_moved(self):
        for spec in ({"units": ["init.scope"]}, {"pids": [os.getpid()]}, {"pids": [os.getppid()]}):
            with pytest.raises(Failed, match="is never moved"):
                self.apply(spec, check=True)

    def test_it_is_made_again_at_boot(self, ended):
        """What a boot leaves: the units. The delegated service is started anew, and brings its groups with it."""
        path = next(Path("/dev/disk/by-path").iterdir())
        given = {**self.case.a, "io": [{**self.case.a["io"][0], "device": str(path)}], "persistent": True}
        inner, gone = f"{self.case.name}/in-ner", f"{self.case.name}2"
        self.foretold(given)
        self.unchanged(given)
        self.together({"persistent": True, "memory": "64M"}, [inner])
        self.apply({"memory": "64M"}, gone)
        for name in (self.case.name, inner):
            assert run("systemctl", "is-enabled", unit(name).name) == "enabled"
            assert run("systemd-analyze", "verify", str(unit(name))) == ""
        text = unit(self.case.name).read_text()
        assert f"/io.max {path} " in text
        run("systemctl", "stop", "strata.service")
        assert not (TOP / self.case.name).exists()
        assert call("cgroup", {"name": self.case.name, **given}, check=True)["changed"]
        run("systemctl", "start", "strata.service")
        run("systemctl", "start", unit(self.case.name).name, unit(inner).name)  # waits for what is on its way
        self.sees({**self.case.seen_a, "unit": True})
        self.sees({"memory.max": "67108864"}, inner)
        assert look(gone) is None
        self.unchanged(given)
        assert call("cgroup_info", {"name": [inner]})["resources"][0]["owner"] == self.owner
        # Stored and running are repaired apart, and what was dropped is no longer there at the next boot.
        unit(self.case.name).write_text(text.replace("1073741824", "8388608"))
        (TOP / self.case.name / "pids.max").write_text("7")
        told = self.foretold(given)
        assert [(one["field"], one["layer"]) for one in told["changes"]] == [
            ("memory", "config"),
            ("pids_limit", "running"),
        ]
        assert unit(self.case.name).read_text() == text
        self.foretold({"persistent": False})
        self.sees({"memory.max": "1073741824", "unit": False})
        self.apply({"state": "absent"})
        assert not unit(inner).exists()
        assert "not-found" in run("systemctl", "show", "--property=LoadState", unit(inner).name)

    def test_what_systemd_does_not_pass_on_works_where_somebody_else_did(self):
        """hugetlb, and a partition of cpus: both need writes to groups of systemd's, which the module leaves alone."""
        with pytest.raises(Failed, match="hugetlb: needs the cgroup controller hugetlb"):
            self.apply({"hugetlb": {"2M": "8M"}})
        slices = (TOP.parent, TOP)
        # Whether the root passes it on depends on what else has run on this host.
        ways = [MOUNT] if "hugetlb" not in (MOUNT / "cgroup.subtree_control").read_text() else []
        for way in (*ways, TOP.parent):
            (way / "cgroup.subtree_control").write_text("+hugetlb")
        for group in slices:
            (group / "cpuset.cpus.exclusive").write_text("1")
        try:
            spec = {"hugetlb": {"2M": "9M"}, "cpuset_exclusive": "1", "cpuset_cpus": "1", "cpuset_partition": "root"}
            self.foretold(spec)
            self.unchanged(spec)
            group = TOP / self.case.name
            assert (group / "hugetlb.2MB.max").read_text().strip() == "8388608"
            assert (group / "cpuset.cpus.partition").read_text().strip() == "root"
            with pytest.raises(Failed, match=f"cpu 1 is the group {self.case.name}'s alone"):
                self.apply(spec, f"{self.case.name}2")
            self.foretold({"cpuset_partition": "member"})
        finally:
            self.apply({"state": "absent"})
            for group in slices[::-1]:
                (group / "cpuset.cpus.exclusive").write_text("\n")
            for way in (TOP, TOP.parent, *ways):
                (way / "cgroup.subtree_control").write_text("-hugetlb")

    def test_below_another_delegated_group(self):
        # Until it is executed, a process of systemd's moves itself into the unit's group, also out of another.
        started = ["--property=Type=exec", "--property=Delegate=yes"]
        run("systemd-run", "--quiet", "--unit=strata-test-other", *started, "sleep", "62")
        parent = MOUNT / "system.slice/strata-test-other.service"
        try:
            spec = {"name": "x", "parent": str(parent), "pids_limit": 5}
            with pytest.raises(Failed, match="holds processes itself"):
                call("cgroup", spec)
            (parent / "main").mkdir()
            (parent / "main/cgroup.procs").write_text((parent / "cgroup.procs").read_text().strip())
            assert call("cgroup", spec)["changed"]
            assert (parent / "x/pids.max").read_text().strip() == "5"
            assert call("cgroup", spec)["changed"] is False
            told = call("cgroup_info", {"parent": str(parent)})["resources"]
            assert [one["name"] for one in told] == ["x"]
            assert call("cgroup", {**spec, "state": "absent"})["changed"]
        finally:
            run("systemctl", "stop", "strata-test-other")

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd_resources, looked at through systemctl, the drop-ins and the kernel's own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

MOUNT = Path("/sys/fs/cgroup")
UNITS = Path("/etc/systemd/system")
DROP_IN = "50-strata-resources.conf"
USUAL = {
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "memory.max": "max",
    "memory.high": "max",
    "memory.low": "0",
    "memory.swap.max": "max",
    "pids.max": "max",
    "io.max": "",
    "io.weight": "default 100",
    # cpuset.cpus itself can't be emptied again while there are processes.
    "cpuset.cpus.effective": (MOUNT / "cpuset.cpus.effective").read_text().strip(),
}
DISK = os.path.basename(os.path.realpath(run("findmnt", "--noheadings", "--output", "SOURCE", "/")))
NUMBER = Path(f"/sys/class/block/{DISK}/dev").read_text().strip()


def drop_in(unit: str) -> Path:
    return UNITS / f"{unit}.d" / DROP_IN


def show(unit: str, prop: str) -> str:
    return run("systemctl", "show", f"--property={prop}", "--value", unit)


def kernel(group: Path) -> dict:
    return {file: (group / file).read_text().strip() if (group / file).exists() else USUAL[file] for file in USUAL}


def look(unit: str) -> dict | None:
    if not drop_in(unit).exists():
        return None
    text = drop_in(unit).read_text()
    stale = show(unit, "NeedDaemonReload")
    control = [folder for folder in ("/run", "/etc") if Path(f"{folder}/systemd/system.control/{unit}.d").exists()]
    return {"text": text, "stale": stale, "control": control, **kernel(MOUNT / unit)}


def occupied(unit: str) -> dict:
    """A slice is there while something runs in it."""
    if not (MOUNT / unit / f"in-{unit}.service").is_dir():
        run("systemd-run", "--quiet", f"--unit=in-{unit}.service", f"--slice={unit}", "sleep", "infinity")
    return {}


def sleeper(unit: str) -> str:
    return (MOUNT / unit / f"in-{unit}.service" / "cgroup.procs").read_text()


def edit(unit: str) -> None:
    text = drop_in(unit).read_text()
    assert "TasksMax=256" in text
    drop_in(unit).write_text(text.replace("TasksMax=256", "TasksMax=99"))


@pytest.fixture(scope="module", autouse=True)
def gone():
    yield
    for units in ("in-stratatest*", "stratatest*.slice"):
        run("systemctl", "stop", units)


class TestSystemdResources(Convergence):
    case = Case(
        kind="systemd_resources",
        info="systemd_resources_info",
        identity="unit",
        name="stratatest.slice",
        another=lambda name, mark: name.replace(".slice", f"{mark.strip('-')}.slice"),
        a={
            "cpus": 1.5,
            "cpu_period": "50ms",
            "cpu_weight": 50,
            "memory": "1G",
            "memory_high": "900M",
            "memory_low": "8M",
            "memory_swap": 0,
            "pids_limit": 256,
            "io_weight": 200,
            "io": [{"device": f"/dev/{DISK}", "read_bps": "10M", "write_iops": 100}],
            "cpuset_cpus": "0",
            "properties": {"IPAccounting": True},
        },
        b={"cpus": 0.5, "memory": 300_000_001},
        look=look,
        seen_a={
            "cpu.max": "75000 50000",
            "cpu.weight": "50",
            "memory.max": "1073741824",
            "memory.high": "943718400",
            "memory.low": "8388608",
            "memory.swap.max": "0",
            "pids.max": "256",
            "io.weight": "default 200",
            "io.max": f"{NUMBER} rbps=10485760 wbps=max riops=max wiops=100",
            "cpuset.cpus.effective": "0",
            "stale": "no",
            "control": [],
        },
        seen_b={"memory.max": "299999232", "stale": "no", "control": []},
        drifts={
            "set for now": lambda unit: run(
                "systemctl", "set-property", "--runtime", unit, "MemoryMax=64M", "CPUQuota=20%"
            ),
            "set for good": lambda unit: run("systemctl", "set-property", unit, "TasksMax=77", "IOWeight=7"),
            "written to the kernel": lambda unit: (MOUNT / unit / "memory.high").write_text("99999744"),
            "an edited drop-in": edit,
            "no drop-in": lambda unit: drop_in(unit).unlink(),
        },
        touches=(
            "core.files.write",
            "engines.systemd.set_runtime",
            "engines.systemd.forget_set",
            "engines.systemd.reload",
        ),
        same_process=sleeper,
        own=occupied,
        bad=(
            *(("memory", "12X"), ("cpus", "-1"), ("nonsense", "1"), ("cpuset_cpus", "7"), ("cpuset_mems", "3")),
            *(("properties", {"MemoryMax": "1G"}), ("properties", {"ExecStart": "/bin/true"})),
            *(("io", [{"device": "/dev/nowhere"}]), ("io", [{"device": "/dev/null"}])),
            ("io", [{"device": f"/dev/{DISK}", "latency": "25ms"}]),
        ),
        bad_names=("", "a", "a/b.slice", "a.timer", "getty@.service", "a--b.slice", "-.slice"),
    )

    def test_absent_lets_hold_what_the_other_files_say(self):
        unit = "stratatesttheirs.slice"  # theirs goes on to hold until the slice ends
        occupied(unit)
        theirs = UNITS / f"{unit}.d" / "10-theirs.conf"
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text("[Slice]\nMemoryMax=512M\n")
        run("systemctl", "daemon-reload")
        try:
            self.apply({"memory": "1G", "pids_limit": 9}, unit)
            self.sees({"memory.max": "1073741824", "pids.max": "9"}, unit)
            with pytest.raises(Failed, match=r"none of systemd\.resource-control"):
                self.apply({"properties": {"Nice": 3}}, unit)
            before = look(unit), kernel(MOUNT / unit)
            forecast = self.apply({"state": "absent"}, unit, check=True)
            assert (look(unit), kernel(MOUNT / unit)) == before, "check mode touched the host"
            done = self.apply({"state": "absent"}, unit)
            for key in ("changed", "changes", "diff", "restart_required"):
                assert forecast[key] == done[key], f"check mode foretold another {key}"
            assert kernel(MOUNT / unit) == {**USUAL, "memory.max": str(512 << 20)}
            assert show(unit, "MemoryMax") == str(512 << 20)
            assert sleeper(unit)
            assert theirs.exists()
        finally:
            theirs.unlink()
            theirs.parent.rmdir()

    def test_what_systemd_refuses_is_not_stored(self):
        occupied(self.case.name)
        with pytest.raises(Failed, match="IOSomething"):
            self.apply({"memory": "1G", "properties": {"IOSomething": 1}})
        assert look(self.case.name) is None
        assert kernel(MOUNT / self.case.name)["memory.max"] == "max"

    def test_services_scopes_and_users_in_one_stack(self):
        """A service and a scope that run, a user who isn't there, and a service that comes later."""
        later, scope = "stratatest-later.service", "stratatest-a.scope"
        run("systemd-run", "--quiet", "--unit=in-stratatest-b.service", "--property=MemoryMax=96M", "sleep", "infinity")
        run("sh", "-c", f"systemd-run --quiet --scope --unit={scope} sleep 99 >/dev/null 2>&1 & :")
        run("timeout", "30", "sh", "-c", f"until systemctl is-active --quiet {scope}; do sleep 0.2; done")
        units = ["in-stratatest-b.service", scope, later, "user-54321.slice"]
        entries = [{"systemd_resources": {"unit": unit, "memory": "64M", "pids_limit": 7}} for unit in units]
        stack = {"name": self.owner, "resources": entries, "prune": True}
        try:
            call("stack", stack)
            assert call("stack", stack)["changed"] is False
            for unit in units[:2]:
                group = MOUNT / show(unit, "ControlGroup").lstrip("/")
                assert (group / "memory.max").read_text().strip() == str(64 << 20)
            told = call("systemd_resources_info", {})["resources"]
            states = {one["name"]: one["facts"]["load_state"] for one in told if one["name"] in units}
            assert states[later] == "not-found"
            assert (states["user-54321.slice"], states[scope]) == ("loaded", "loaded")
            (service,) = [one for one in told if one["name"] == units[0]]
            assert service["usage"]["processes"] == 1
            (UNITS / later).write_text("[Service]\nExecStart=/bin/sleep infinity\n")
            run("systemctl", "daemon-reload")
            run("systemctl", "start", later)
            assert (MOUNT / "system.slice" / later / "pids.max").read_text().strip() == "7"
            assert call("stack", stack)["changed"] is False
            call("stack", {**stack, "resources": []})
            assert (MOUNT / "system.slice/in-stratatest-b.service/memory.max").read_text().strip() == str(96 << 20)
        finally:
            call("stack", {**stack, "resources": []})
            run("systemctl", "stop", later, scope, "in-stratatest-b.service", check=False)
            (UNITS / later).unlink(missing_ok=True)
            run("systemctl", "daemon-reload")
        assert not any(drop_in(unit).exists() for unit in units)

    def test_an_unchanged_run_runs_one_program(self, monkeypatch):
        from ansible_collections.strata.virt.plugins.module_utils.core import command
        from ansible_collections.strata.virt.plugins.module_utils.kinds.systemd_resources import SystemdResources

        programs = []
        plain = command.run
        monkeypatch.setattr(command, "run", lambda argv, **more: programs.append(argv) or plain(argv, **more))
        found = SystemdResources.read_many(None, ["cron.service", "user.slice", "nowhere.service"])
        assert (len(found), len(programs)) == (3, 1)

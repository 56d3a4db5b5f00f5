# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel holds a workload to, in the words of control groups of version 2, whichever version this host has."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
V2 = (ROOT / "cgroup.controllers").exists()
_FILES = ("cpu.max", "cpu.weight", "cpuset.cpus", "memory.max", "memory.swap.max", "memory.low", "pids.max")


def group_of(pid: int) -> str:
    """The path of a process's control group, below its hierarchy's root."""
    lines = (line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return next(path for _number, controllers, path in lines if controllers == ("" if V2 else "memory"))


def limits(group: str) -> dict[str, str] | None:
    """The limits of a control group; None: there is none."""
    if not V2:
        return _of_version_1(group)
    files = [ROOT / group.lstrip("/") / file for file in _FILES]
    return {file.name: file.read_text().strip() for file in files if file.exists()} or None


def _of_version_1(group: str) -> dict[str, str] | None:
    def said(controller: str, file: str) -> str:
        return (ROOT / controller / group.lstrip("/") / f"{controller}.{file}").read_text().strip()

    def most(number: int) -> str:
        return str(number) if 0 <= number < 2**62 else "max"

    if not (ROOT / "memory" / group.lstrip("/")).is_dir():
        return None
    memory, both, low = (int(said("memory", f"{file}limit_in_bytes")) for file in ("", "memsw.", "soft_"))
    shares = int(said("cpu", "shares"))
    return {
        "cpu.max": f"{most(int(said('cpu', 'cfs_quota_us')))} {said('cpu', 'cfs_period_us')}",
        # As runc and crun convert it, for hosts that have version 2
        "cpu.weight": str(1 + (shares - 2) * 9999 // 262142),
        "cpuset.cpus": said("cpuset", "cpus"),
        "memory.max": most(memory),
        "memory.swap.max": most(both - memory if both < 2**62 else both),
        "memory.low": "0" if most(low) == "max" else str(low),
        "pids.max": said("pids", "max"),
    }

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control group uses, what happened to it, and how much it waits: numbers, their unit in their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import cgroupfs, iolimits

_MEMORY = ("anon", "file", "kernel", "shmem", "slab", "sock", "pagetables", "file_dirty", "swapcached")
_ONE = {
    ("memory", "current_bytes"): "memory.current",
    ("memory", "peak_bytes"): "memory.peak",
    ("memory", "swap_current_bytes"): "memory.swap.current",
    ("memory", "swap_peak_bytes"): "memory.swap.peak",
    ("pids", "current"): "pids.current",
    ("pids", "peak"): "pids.peak",
}
_FILES = frozenset(
    {
        *_ONE.values(),
        *("cpu.stat", "memory.stat", "memory.events", "pids.events", "io.stat", "cgroup.events", "cgroup.stat"),
        *("cpu.pressure", "memory.pressure", "io.pressure"),
    }
)


def flat(text: str) -> dict[str, int]:
    """A flat keyed file (cgroup-v2.rst, "Format")."""
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def pressure(text: str) -> dict[str, dict[str, float | int]]:
    """Shares of time in which some, or all, waited (Documentation/accounting/psi.rst)."""
    found: dict[str, dict[str, float | int]] = {}
    for first, values in iolimits.keyed(text):
        shares: dict[str, float | int] = {f"{key}_percent": float(values[key]) for key in values if key != "total"}
        found[first] = {**shares, "total_usec": int(values["total"])}
    return found


def _io(text: str) -> dict[str, dict[str, int]]:
    names = {"rbytes": "read_bytes", "wbytes": "written_bytes", "rios": "reads", "wios": "writes"}
    found = {}
    for number, values in iolimits.keyed(text):
        counts = {shown: int(values[key]) for key, shown in names.items() if key in values}
        if counts:
            found[iolimits.name(number)] = counts
    return found


def _counted(texts: Mapping[str, str], file: str) -> dict[str, int]:
    return flat(texts.get(file, ""))


def measure(group: str) -> dict[str, Any]:
    """Everything that the kernel counts of a group; what its controllers don't count is left out."""
    texts = cgroupfs.texts(group, cgroupfs.readable(group, _FILES))
    used: dict[str, Any] = {"cpu": _counted(texts, "cpu.stat")}
    for (part, name), file in _ONE.items():
        if file in texts:
            used.setdefault(part, {})[name] = int(texts[file])
    if "memory" in used:
        stat = _counted(texts, "memory.stat")
        used["memory"].update({f"{key}_bytes": stat[key] for key in _MEMORY if key in stat})
        used["memory"]["events"] = _counted(texts, "memory.events")
    if "pids" in used:
        used["pids"]["events"] = _counted(texts, "pids.events")
    if "io.stat" in texts:
        used["io"] = _io(texts["io.stat"])
    used["pressure"] = {
        part: pressure(texts[f"{part}.pressure"]) for part in ("cpu", "memory", "io") if texts.get(f"{part}.pressure")
    }
    used["events"] = {key: bool(value) for key, value in _counted(texts, "cgroup.events").items()}
    used["processes"] = len(cgroupfs.processes(group))
    used["groups"] = _counted(texts, "cgroup.stat").get("nr_descendants", 0)
    return used

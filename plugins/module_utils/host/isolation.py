# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a workload is isolated, as the kernel has it: who its first process is, what it may do, what it sees and shares.

What may not be read is None; nothing is taken for isolated that was not seen to be.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core import hardening
from ..core.codec import MAX
from ..core.field import encode
from ..engines import capabilities, cgroupfs, cgroupstat, idmaps, mounts
from ..engines.hostfiles import Host, number
from ..kinds import cgroup_fields
from .running import NAMESPACES, Workload, namespaces

Facts = dict[str, Any]

_SETS = {
    "bounding": "CapBnd",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}
_SECCOMP = {"0": "off", "1": "strict", "2": "filter"}  # proc_pid_status(5)
_LABEL = re.compile(r"(.*) \((\w+)\)")
_TICKS = os.sysconf("SC_CLK_TCK")

# File systems of the kernel's own, which belong to a workload where they are at their usual places.
_KERNEL = ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue")
_SETTINGS = ("debugfs", "tracefs", "fusectl", "securityfs", "configfs", "efivarfs", "bpf", "pstore")
# Nodes that reach nothing of the hardware: kind, major, minor (Documentation/admin-guide/devices.txt).
_HARMLESS = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (10, 200), (10, 229)})
_TERMINALS = range(136, 144)
_DEVICE_FOLDERS = 2  # /dev and what is right in it
_NO_DEVICES = ("pts", "shm", "mqueue", "hugepages")

LIMITS = ("memory", "memory_high", "memory_swap", "cpus", "cpu_weight", "cpuset_cpus", "pids_limit", "io")
HELD = ("memory", "cpus", "pids_limit")
"""Of the limits those that a group also has from each group above it."""


class Reader:
    """Reads of each workload what is wanted; what is the host's is read once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.own = namespaces(host, 1) or namespaces(host, "self")
        self.lsm = _lsm(host)
        self.uptime = float((host.line("/proc/uptime") or "0").split()[0])
        self._mounts: mounts.Table | None = None
        self._held: dict[str, Facts] = {}

    @property
    def mounts(self) -> mounts.Table:
        if self._mounts is None:
            # Those of the first process: a service may have others.
            text = self.host.text("/proc/1/mountinfo") or self.host.text("/proc/self/mountinfo") or ""
            self._mounts = mounts.Table(mounts.parse(text))
        return self._mounts

    def read(self, workload: Workload, wanted: Iterable[str]) -> Facts:
        """The facts of some subjects; None where nothing runs, or it may not be seen."""
        pid = workload.init.pid if workload.init else None
        status = _status(self.host, pid)
        return {word: SUBJECTS[word](self, workload, pid, status) for word in wanted}

    def held(self, group: str) -> Facts:
        """The least of what a group and each above it is held to; each group is looked at once."""
        if group in ("", "/"):
            return dict.fromkeys(HELD, MAX)
        if group not in self._held:
            above = self.held(os.path.dirname(group))
            own = cgroup_fields.read(_texts(f"{self.host.root}{cgroupfs.MOUNT}{group}"))
            self._held[group] = {name: _less(own.get(name, MAX), above[name]) for name in HELD}
        return self._held[group]

    def age(self, workload: Workload) -> int | None:
        """For how many seconds it has run."""
        return None if workload.init is None else max(0, round(self.uptime - workload.init.start / _TICKS))


def _status(host: Host, pid: int | None) -> Mapping[str, str]:
    text = host.text(f"/proc/{pid}/status") or "" if pid else ""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def _lsm(host: Host) -> str | None:
    """The security module that confines programs here."""
    there = (host.line("/sys/kernel/security/lsm") or "").split(",")
    if host.line("/sys/fs/selinux/enforce") is not None:
        return "selinux"
    return "apparmor" if "apparmor" in there or host.line("/sys/module/apparmor/parameters/enabled") == "Y" else None


# Of each subject one function: the host, the workload, its first process and what /proc/PID/status says.


def _user(reader: Reader, _workload: Workload, pid: int | None, status: Mapping[str, str]) -> Facts | None:
    if not status:
        return None
    host = reader.host
    uid, gid = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
    texts = {key: host.text(f"/proc/{pid}/{key}") or "" for key in ("uid_map", "gid_map")}
    return {
        "uid": uid,
        "gid": gid,
        "uid_inside": idmaps.inner(texts["uid_map"], uid),
        "gid_inside": idmaps.inner(texts["gid_map"], gid),
        "groups": [int(word) for word in status.get("Groups", "").split()],
        **{key: [[int(word) for word in line.split()] for line in text.splitlines()] for key, text in texts.items()},
    }


def _namespaces(reader: Reader, workload: Workload, pid: int | None, _status: Mapping[str, str]) -> Facts | None:
    ids = namespaces(reader.host, pid) if pid else dict(workload.pins)
    if not ids:
        return None
    return {kind: {"id": ids[kind], "host": ids[kind] == reader.own.get(kind)} for kind in NAMESPACES if kind in ids}


def _capabilities(reader: Reader, _workload: Workload, _pid: int | None, status: Mapping[str, str]) -> Facts | None:
    if not status:
        return None
    found: Facts = {name: capabilities.names(status[key]) for name, key in _SETS.items() if key in status}
    last = reader.host.number("/proc/sys/kernel/cap_last_cap")
    return {**found, "all": last is not None and len(found["bounding"]) == last + 1}


def _confinement(reader: Reader, _workload: Workload, pid: int | None, status: Mapping[str, str]) -> Facts | None:
    if not status:
        return None
    filters = number(status.get("Seccomp_filters"))  # Linux 5.9
    return {
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "seccomp": {"mode": _SECCOMP.get(status.get("Seccomp", ""), "off"), "filters": filters},
        "lsm": _label(reader, pid),
    }


def _label(reader: Reader, pid: int | None) -> Facts:
    """The label of a process, and in which mode it holds it (proc_pid_attr(5))."""
    host = reader.host
    # Where several modules have labels, each has a folder of its own.
    places = (f"/proc/{pid}/attr/{reader.lsm}/current", f"/proc/{pid}/attr/current") if reader.lsm else ()
    label = next((text.strip("\0\n ") for text in map(host.text, places) if text), None)
    facts: Facts = {"module": reader.lsm, "label": label, "profile": None, "mode": None}
    if label is None:
        return facts
    if reader.lsm == "apparmor":
        found = _LABEL.fullmatch(label)
        return {**facts, "profile": found[1] if found else label, "mode": found[2] if found else "unconfined"}
    kind = next(iter(label.split(":")[2:3]), label)
    enforced = host.line("/sys/fs/selinux/enforce") == "1"
    free = kind in ("unconfined_t", "kernel_t", "init_t", "unconfined_service_t", "spc_t")
    return {**facts, "profile": kind, "mode": "unconfined" if free else "enforce" if enforced else "permissive"}


# Mounts and devices


def _read_only(mount: mounts.Mount) -> bool:
    return "ro" in mount.flags or ("ro", None) in mount.options


def _mounts(reader: Reader, workload: Workload, pid: int | None, _status: Mapping[str, str]) -> Facts | None:
    text = reader.host.text(f"/proc/{pid}/mountinfo") if pid and workload.init else None
    if not text or workload.init is None:
        return None
    jail = workload.id if workload.engine == "chroot" else "/"
    # The kernel shows what is below a process's root alone, by the names that the process has for it.
    table = mounts.Table(mounts.parse(text))
    root = reader.mounts.holding(jail) if jail != "/" else next(reversed(table.at("/")), None)
    inside = [(mount, mount.point) for mount in _seen(table)]
    return {
        "root": None if root is None else {"read_only": _read_only(root), "type": root.type, "source": root.source},
        "sensitive": _outermost(row for mount, point in inside for row in _sensitive(reader, mount, point, jail)),
        "kernel": _kernel(inside),
    }


def _outermost(rows: Iterable[Facts]) -> list[Facts]:
    """What is mounted with something else, as with the whole of /, is told of with that."""
    found: list[Facts] = []
    for row in sorted(rows, key=lambda row: str(row["path"])):
        below = (str(one["path"]).rstrip("/") + "/" for one in found)
        if not any(str(row["path"]).startswith(top) for top in below):
            found.append(row)
    return found


def _seen(table: mounts.Table) -> list[mounts.Mount]:
    """The mounts that are seen at their places: not those below others, nor the root."""
    return [mount for mount in table.below("/") if table.at(mount.point)[-1:] == [mount] and mount.point != "/"]


def _kernel(inside: Iterable[tuple[mounts.Mount, str]]) -> Facts:
    """Whether the kernel's own settings can be written, as far as mounts decide; None where they aren't seen at all."""
    by_point = {point: mount for mount, point in inside}
    proc, settings = by_point.get("/proc"), by_point.get("/proc/sys")
    held = settings or proc
    masked = [point for point, mount in by_point.items() if point.startswith("/proc/") and mount.type != "proc"]
    writable = [
        point
        for point, mount in by_point.items()
        if mount.type in _SETTINGS and point.startswith("/sys/") and not _read_only(mount)
    ]
    return {
        "proc_sys_read_only": None if held is None else _read_only(held),
        "sys_read_only": None if "/sys" not in by_point else _read_only(by_point["/sys"]),
        "masked": sorted(masked),
        "writable": sorted(writable),
    }


def _sensitive(reader: Reader, mount: mounts.Mount, point: str, jail: str) -> list[Facts]:
    """What a mount shows of the host that it had better not."""
    if mount.type in (*_KERNEL, *_SETTINGS) and point.startswith(("/proc", "/sys", "/dev")):
        return []  # told of with the kernel's settings
    source = _source(reader.mounts, mount, jail)
    if source is None or (mount.type == "devtmpfs" and mount.root != "/"):
        return []  # a file system of its own, or a device node: those are told of as devices
    if mount.type != "devtmpfs" and source.startswith("/dev/"):
        return []  # shared memory and the like, which go with the namespaces
    why = hardening.leads_out(source, not _read_only(mount))
    if why is None:
        return []
    return [{"path": point, "source": source, "read_only": _read_only(mount), "why": why}]


def _source(table: mounts.Table, mount: mounts.Mount, jail: str) -> str | None:
    """Where on the host that is which is mounted; None for what only the workload has."""
    below = f"{jail}/" if jail != "/" else "\0"  # what is mounted in a jail is in the host's table, too
    best: tuple[int, str] | None = None
    for one in table.mounts:
        top = one.root.rstrip("/")
        if one.point.startswith(below) or one.device != mount.device:
            continue
        if mount.root == one.root or mount.root.startswith(f"{top}/"):
            rest = mount.root[len(top) :].lstrip("/")
            place = f"{one.point.rstrip('/')}/{rest}".rstrip("/") or "/"
            # What shows the most of it, at the shortest place: the others are binds of that one.
            if best is None or (len(top), len(place)) < (best[0], len(best[1])):
                best = (len(top), place)
    return None if best is None else best[1]


def _devices(reader: Reader, workload: Workload, pid: int | None, _status: Mapping[str, str]) -> list[Facts] | None:
    """The nodes of hardware in its /dev, whether its control group lets it open them or not."""
    if not pid or workload.init is None or workload.init.root is None:
        return None
    tree = f"/proc/{pid}/root/."
    return sorted(_nodes(reader.host, tree, "/dev", _DEVICE_FOLDERS), key=lambda row: str(row["path"]))


def _nodes(host: Host, tree: str, folder: str, depth: int) -> list[Facts]:
    found: list[Facts] = []
    for name, entry in host.nodes_within(tree, folder).items():
        path = f"{folder}/{name}"
        if stat.S_ISDIR(entry.st_mode) and depth > 1 and name not in _NO_DEVICES:
            found += _nodes(host, tree, path, depth - 1)
        block = stat.S_ISBLK(entry.st_mode)
        if not block and not stat.S_ISCHR(entry.st_mode):
            continue
        major, minor = os.major(entry.st_rdev), os.minor(entry.st_rdev)
        if block or ((major, minor) not in _HARMLESS and major not in _TERMINALS and major != 0):
            found.append({"path": path, "type": "block" if block else "char", "number": f"{major}:{minor}"})
    return found


# What it is held to, and what it uses


def _limits(reader: Reader, workload: Workload, _pid: int | None, _status: Mapping[str, str]) -> Facts | None:
    """What its control group has, in the words of the module cgroup, and what it is held to by those above, too."""
    group = _place(reader, workload)
    if group is None:
        return None
    own = cgroup_fields.read(_texts(group))
    shown = encode(cgroup_fields.FIELDS, {name: own[name] for name in LIMITS if name in own})
    return {**shown, "held_to": encode(cgroup_fields.FIELDS, reader.held(str(workload.group)))}


def _texts(group: str) -> dict[str, str]:
    return cgroupfs.texts(group, cgroupfs.readable(group, cgroup_fields.FILES))


def _less(one: Any, other: Any) -> Any:
    numbers = [value for value in (one, other) if isinstance(value, int)]
    return min(numbers) if numbers else MAX


def _usage(reader: Reader, workload: Workload, _pid: int | None, _status: Mapping[str, str]) -> Facts | None:
    group = _place(reader, workload)
    return None if group is None else cgroupstat.measure(group)


def _place(reader: Reader, workload: Workload) -> str | None:
    """Its group of cgroup v2, as a path."""
    group = f"{reader.host.root}{cgroupfs.MOUNT}{workload.group}"
    return group if workload.group and cgroupfs.is_cgroup2(group) else None


SUBJECTS: Mapping[str, Callable[[Reader, Workload, int | None, Mapping[str, str]], Any]] = {
    "user": _user,
    "namespaces": _namespaces,
    "capabilities": _capabilities,
    "confinement": _confinement,
    "mounts": _mounts,
    "devices": _devices,
    "limits": _limits,
    "usage": _usage,
}
"""What can be told of a workload, by what it is called among the options."""

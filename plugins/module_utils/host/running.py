# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs isolated on a host, of every engine: found from the kernel alone, in one walk through /proc.

A container is known by its control group, a machine of systemd-nspawn by its supervisor, a virtual machine by its
program, a jail by its root, what is pinned by its namespaces. No engine is asked, so that none has to run; what an
engine calls its workloads is in ``naming``. What runs within a workload is that workload's own business.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..engines import cgroupfs, unshare
from ..engines.hostfiles import Host

ENGINES = ("nspawn", "lxc", "docker", "podman", "libvirt", "qemu", "chroot", "namespace", "netns", "cgroup", "unit")
"""In the order in which they are told of."""

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
NETNS = "/run/netns"

_KTHREADD = 2
_ID = "[0-9a-f]{64}"
# The groups that engines put their workloads in; whatever lies in one is the workload's. What Docker does without
# systemd is a folder of the container's ID; Podman's monitor has a group of its own (libpod-conmon-).
_GROUPS = (
    ("docker", re.compile(rf"(?P<top>.*?/docker-(?P<id>{_ID})\.scope)(?:/|$)")),
    ("podman", re.compile(rf"(?P<top>.*?/libpod-(?:payload-)?(?P<id>{_ID})(?:\.scope)?)(?:/|$)")),
    ("lxc", re.compile(r"(?P<top>.*?/lxc\.payload\.(?P<id>[^/]+))(?:/|$)")),
    ("docker", re.compile(rf"(?P<top>.*?/(?P<id>{_ID}))(?:/|$)")),
)
_LIBVIRT = re.compile(r"(.*?/machine-qemu[^/]*\.scope)(?:/|$)|(.*?\.libvirt-qemu)(?:/|$)")
_SUPERVISOR = "/supervisor"  # where systemd-nspawn goes itself, beside its machine's payload
_PROGRAMS = ("qemu-system-", "qemu-kvm")
_UNITS = (".service", ".scope", ".slice", ".mount", ".socket", ".swap")
# What makes a group a limit; that of pids is one where it isn't what systemd gives each service (DefaultTasksMax=).
_LIMITS = ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "cpuset.cpus", "io.max")
_PIDS = "pids.max"
_GUESTS_OF_A_GROUP = ("chroot", "qemu")  # they run in whichever group they were started in


@dataclass(frozen=True)
class Process:
    """A process of the host, as it was when it was looked at.

    Attributes:
        pid: Its number on the host.
        parent: That of its parent.
        command: Its name, of 15 bytes at most.
        start: When it was started, in ticks after the boot.
        group: Its control group, from the top of the hierarchy on; empty where it isn't known.
        root: Its root, as seen from here; None where that may not be seen.
        mounts: Its mount namespace.
    """

    pid: int
    parent: int
    command: str
    start: int
    group: str
    root: str | None
    mounts: str | None


@dataclass(frozen=True)
class Workload:
    """Something that runs isolated.

    Attributes:
        engine: One of ``ENGINES``.
        id: What tells it from others of its engine: an ID, a name, a path.
        init: Its first process; None where none runs in it.
        pids: Its processes.
        group: Its control group; None where it has none of its own, nor its process one.
        helper: The process of the engine's that minds it: its supervisor, or its monitor.
        pins: The namespaces that it consists of, by kind, for one that is pinned.
        shared: Whether others are in its control group, too.
    """

    engine: str
    id: str
    init: Process | None
    pids: tuple[int, ...]
    group: str | None
    helper: Process | None = None
    pins: Mapping[str, int] = field(default_factory=dict)
    shared: bool = False


def _group_of(text: str) -> str:
    """Of cgroup v2; where that holds nothing, the longest of version 1: engines use the same in each."""
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in text.splitlines() if line.count(":") > 1}
    unified = paths.get("", "")
    return unified if len(unified) > 1 else max(paths.values(), key=len, default="")


def processes(host: Host) -> dict[int, Process]:
    """All processes but the kernel's own threads."""
    found = {}
    for name in host.names("/proc"):
        if not name.isdecimal():
            break  # numbers come first
        before, _bracket, after = (host.text(f"/proc/{name}/stat") or "").rpartition(")")
        words = after.split()
        if len(words) < 20 or _KTHREADD in (int(name), int(words[1])) or words[0] == "Z":
            continue  # it has ended, or is the kernel's
        command = before.partition("(")[2]
        group = _group_of(host.text(f"/proc/{name}/cgroup") or "")
        root, mounts = host.target(f"/proc/{name}/root"), host.target(f"/proc/{name}/ns/mnt")
        found[int(name)] = Process(int(name), int(words[1]), command, int(words[19]), group, root, mounts)
    return found


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _first(found: Iterable[Process]) -> Process | None:
    return min(found, key=lambda process: (process.start, process.pid), default=None)


class _Finder:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.all = processes(host)
        self._groups: dict[str, list[Process]] = {}
        for process in self.all.values():
            self._groups.setdefault(process.group, []).append(process)

    def within(self, top: str) -> list[Process]:
        return [process for group, found in self._groups.items() if _within(group, top) for process in found]

    def below(self, first: Process) -> list[Process]:
        """A process and all that it has started."""
        return [one for one in self.all.values() if one is first or first.pid in self.above(one)]

    def above(self, process: Process) -> list[int]:
        """Its parent, and that one's, up to the first that isn't known."""
        found: list[int] = []
        while process.parent in self.all and process.parent not in found:
            found.append(process.parent)
            process = self.all[process.parent]
        return found

    def nested(self, workload: Workload, others: Iterable[Workload]) -> bool:
        """Whether it runs within another one: by its group, or by who started it."""
        group, own = workload.group or "", workload.engine not in _GUESTS_OF_A_GROUP
        above = self.above(workload.init) if workload.init else []
        for other in others:
            if other.init is not None and other.init.pid in above:
                return True
            top = other.group if other.engine not in _GUESTS_OF_A_GROUP else None
            if top and top != "/" and _within(group, top) and not (own and group == top):
                return True
        return False

    # Each of them by a thing of its own.

    def contained(self) -> Iterator[Workload]:
        """Containers, by their groups."""
        tops: dict[str, tuple[str, str]] = {}
        for group in self._groups:
            matches = [(engine, pattern.match(group)) for engine, pattern in _GROUPS]
            found = [(match["top"], engine, match["id"]) for engine, match in matches if match is not None]
            if found:
                top, engine, name = min(found, key=lambda one: len(one[0]))  # the outermost
                tops[top] = (engine, name)
        for top, (engine, name) in tops.items():
            inside = self.within(top)
            first = _first(inside)
            minder = self.all.get(first.parent) if first else None
            yield Workload(engine, name, first, tuple(one.pid for one in inside), top, minder)

    def machines(self) -> Iterator[Workload]:
        """Machines of systemd-nspawn: the child of a supervisor is the first process of one."""
        for process in self.all.values():
            parent = self.all.get(process.parent)
            if parent is None or parent.command != "systemd-nspawn" or process.command == "systemd-nspawn":
                continue
            above = self.all.get(parent.parent)
            if above is not None and above.command == "systemd-nspawn":
                continue  # that is the one between: it ends when the machine has begun
            apart = parent.group.endswith(_SUPERVISOR)
            top = parent.group[: -len(_SUPERVISOR)] if apart else process.group
            # Where it could make no group (cgroup v1), only descent tells whose a process is.
            inside = self.within(top) if top.strip("/") else self.below(process)
            pids = tuple(one.pid for one in inside if one.pid != parent.pid)
            yield Workload("nspawn", str(parent.pid), process, pids, top or "/", parent)

    def virtual(self) -> Iterator[Workload]:
        """Virtual machines, by their program."""
        for process in self.all.values():
            if not process.command.startswith(_PROGRAMS):
                continue
            words = (self.host.text(f"/proc/{process.pid}/cmdline") or "").split("\0")
            ours = _LIBVIRT.match(process.group)
            top = process.group if ours is None else ours[1] or ours[2]
            # libvirt calls the way to each machine's monitor so, and nobody else does.
            engine = "libvirt" if any("id=charmonitor" in word for word in words) else "qemu"
            inside = [process] if ours is None else self.within(top)
            yield Workload(engine, str(process.pid), process, tuple(one.pid for one in inside), top)

    def jailed(self) -> Iterator[Workload]:
        """Jails: processes with the mounts of the host and a root of their own."""
        mounts = self.host.target("/proc/1/ns/mnt") or self.host.target("/proc/self/ns/mnt")
        jails: dict[str, list[Process]] = {}
        for process in self.all.values():
            if process.root not in (None, "/") and process.mounts is not None and process.mounts == mounts:
                jails.setdefault(str(process.root), []).append(process)
        for path, found in jails.items():
            first = _first(found)
            yield Workload("chroot", path, first, tuple(one.pid for one in found), first.group if first else None)

    def pinned(self, taken: Iterable[Workload]) -> Iterator[Workload]:
        """Namespaces that are pinned, and who is in them besides what has been found already."""
        pins = {("netns", name): {"net": f"{NETNS}/{name}"} for name in self.host.names(NETNS)}
        for name in self.host.names(unshare.FOLDER):
            kinds = [kind for kind in self.host.names(unshare.path(name)) if kind in unshare.KINDS]
            pins["namespace", name] = {kind: unshare.path(name, kind) for kind in kinds}
        if not pins:
            return
        known = {pid for one in taken for pid in one.pids}
        of_others = {ids.get("net") for ids in (namespaces(self.host, one.init.pid) for one in taken if one.init)}
        members: dict[tuple[str, int], list[Process]] = {}
        for process in self.all.values():
            if process.pid not in known:
                for kind, number in namespaces(self.host, process.pid).items():
                    members.setdefault((kind, number), []).append(process)
        here = namespaces(self.host, 1) or namespaces(self.host, "self")
        nsfs = _device(self.host, "/proc/self/ns/mnt")
        for (engine, name), places in pins.items():
            seen = {kind: self.host.status(place) for kind, place in places.items()}
            ids = {kind: one.st_ino for kind, one in seen.items() if one is not None and one.st_dev == nsfs}
            if engine == "netns" and (ids.get("net") in of_others or not ids):
                continue  # an engine's own pin of its container's network
            inside: dict[int, Process] = {}
            for kind, number in ids.items():
                if number != here.get(kind):
                    inside.update({one.pid: one for one in members.get((kind, number), ())})
            first = _first(inside.values())
            yield Workload(engine, name, first, tuple(inside), first.group if first else None, pins=ids)

    def limited(self, taken: Iterable[Workload]) -> Iterator[Workload]:
        """Units and other groups that are held to something, those that hold workloads included."""
        tops = {one.group for one in taken if one.group not in (None, "/") and not one.shared}
        groups = [group for group in self._walk("") if not any(_within(group, str(top)) for top in tops)]
        texts = {group: cgroupfs.texts(self.host.root + cgroupfs.MOUNT + group, (*_LIMITS, _PIDS)) for group in groups}
        services = Counter(found.get(_PIDS) for group, found in texts.items() if group.endswith(".service"))
        usual = {"max", None, *(value for value, _count in services.most_common(1))}
        for group, found in texts.items():
            name = os.path.basename(group)
            unit = name.endswith(_UNITS)
            free = name.startswith(("user-", "user@")) or (unit and found.get(_PIDS) in usual)
            if any(map(_holds, (found.get(file, "") for file in _LIMITS))) or (
                not free and found.get(_PIDS, "max") != "max"
            ):
                inside = self.within(group)
                first = None if name.endswith(".slice") else _first(inside)
                yield Workload("unit" if unit else "cgroup", group, first, tuple(one.pid for one in inside), group)

    def _walk(self, group: str) -> Iterator[str]:
        """The groups of the hierarchy."""
        with os.scandir(f"{self.host.root}{cgroupfs.MOUNT}{group}") as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in below:
            yield f"{group}/{name}"
            yield from self._walk(f"{group}/{name}")

    def shares(self, workload: Workload) -> bool:
        own = {*workload.pids, *([workload.helper.pid] if workload.helper else [])}
        return bool(workload.group) and any(one.pid not in own for one in self.within(str(workload.group)))


def _device(host: Host, path: str) -> int | None:
    """The file system that a link leads to: all namespaces are files of one (fs/nsfs.c)."""
    try:
        return os.stat(host.root + path).st_dev
    except OSError:
        return None


def _holds(text: str) -> bool:
    """Whether the text of a control file limits anything: ``max 100000`` and ``254:0 rbps=max`` don't."""
    words = text.replace("=", " ").split()
    return bool(words) and words[0] != "max" and (len(words) == 1 or ":" not in words[0] or _counts(words[1:]))


def _counts(words: list[str]) -> bool:
    return any(word.isdecimal() for word in words)


def namespaces(host: Host, pid: int | str) -> dict[str, int]:
    """The numbers of the namespaces of a process; none where they may not be seen."""
    links = {kind: host.target(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}
    return {kind: int(link.partition("[")[2][:-1]) for kind, link in links.items() if link}


def find(host: Host, engines: Iterable[str] = ENGINES) -> list[Workload]:
    """The workloads of a host, engine by engine."""
    wanted = set(engines)
    finder = _Finder(host)
    found = [*finder.contained(), *finder.machines(), *finder.virtual(), *finder.jailed()]
    found = [one for one in found if not finder.nested(one, found)]
    if wanted & {"namespace", "netns"}:
        found += finder.pinned(found)
    found = [replace(one, shared=finder.shares(one)) for one in found]
    if wanted & {"cgroup", "unit"} and cgroupfs.is_cgroup2(host.root + cgroupfs.MOUNT):
        found += finder.limited(found)
    kept = [one for one in found if one.engine in wanted]
    return sorted(kept, key=lambda one: (ENGINES.index(one.engine), one.id))

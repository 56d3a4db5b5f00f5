# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be known of who may do what: the way to a path, its mount, maps of IDs, refusals, a workload's rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import survey
from ..core.diagnosis import UNREAD, Facts
from ..core.errors import StrataError
from ..engines import cgroupfs, mounts
from ..engines.hostfiles import Host
from ..host import cgroup, limits, namespaces
from . import denials, walk, workloads
from .network import NO_ROOT

DOORS = (
    "/dev/kvm",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/libvirt/libvirt-sock",
    "/run/libvirt/virtqemud-sock",
)
"""Where engines are spoken to, and what lets guests run at full speed."""

_SUBJECTS = {"namespaces": namespaces.SUBJECT, "limits": limits.SUBJECT, "cgroup": cgroup.SUBJECT}
_INIT = "/init.scope"  # systemd puts itself there (systemd: docs/CGROUP_DELEGATION.md)
_CONTENT = 1000  # entries of a folder whose owners are looked at


def id_map(text: str) -> list[list[int]]:
    """First ID inside, first ID of the host, and how many (user_namespaces(7))."""
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def outside(ids: list[list[int]], number: int) -> int | None:
    """The host's ID of one that is used inside; None where the map has none."""
    found = (first + number - inside for inside, first, count in ids if inside <= number < inside + count)
    return next(found, None)


def mapped(ids: list[list[int]], number: int) -> bool:
    """Whether an ID of the host has one inside."""
    return any(first <= number < first + count for _inside, first, count in ids)


def _group(host: Host, folder: str) -> Facts:
    """The cgroup that a process was started in, and whose it is; of a systemd, that above its own init.scope."""
    lines = (host.text(f"{folder}/cgroup") or "").splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::")), "")
    group = cgroupfs.MOUNT + (path[: -len(_INIT)] if path.endswith(_INIT) else path)
    found = host.status(group) if path else None
    return {"group": group, "group_owner": None if found is None else found.st_uid}


def workload(host: Host, name: str | None) -> Facts | None:
    """A workload, and the rights of its first process (proc_pid_status(5))."""
    if name is None:
        return None
    found = workloads.find(host, name)
    folder = f"/proc/{found['pid']}"
    status = dict(line.split(":\t", 1) for line in (host.text(f"{folder}/status") or "").splitlines() if ":\t" in line)
    return {
        **found,
        **_group(host, folder),
        "command": host.line(f"{folder}/comm") or "",
        "uid": int(status["Uid"].split()[0]),
        "capabilities": int(status["CapBnd"], 16),
        "no_new_privs": status.get("NoNewPrivs") == "1",
        "seccomp": {"1": "strict", "2": "filter"}.get(status.get("Seccomp", ""), "off"),
        "label": (host.text(f"{folder}/attr/current") or "").strip("\0\n"),
        "uid_map": id_map(host.text(f"{folder}/uid_map") or ""),
        "gid_map": id_map(host.text(f"{folder}/gid_map") or ""),
    }


def who(options: Mapping[str, Any], within: Facts | None) -> Facts | None:
    """Whom the way is asked for: a number together with a workload is what that user is called in there."""
    word = options.get("user")
    if word is None:
        return None
    if within is None or not word.isdecimal():
        return walk.user(word)
    uid, gid = (outside(within[key], int(word)) for key in ("uid_map", "gid_map"))
    if uid is None:
        raise StrataError(
            f"{within['title']} has no such user: its map of IDs is {within['uid_map']}", option="user", value=word
        )
    return {"name": f"user {word} of {within['title']} ({uid} on the host)", "uid": uid, "groups": [gid]}


def mount(found: mounts.Mount | None) -> Facts | None:
    if found is None:
        return None
    words = sorted(found.flags | {key for key, value in found.options if value is None and key == "ro"})
    return {"point": found.point, "type": found.type, "source": found.source, "flags": words}


def owners(host: Host, step: Facts) -> list[Facts]:
    """Whose a place is and whose what is right in it is: how often, and an example."""
    names = host.names(step["path"])[:_CONTENT] if step["kind"] == "folder" else []
    places = [step["path"], *(f"{step['path'].rstrip('/')}/{name}" for name in names)]
    rows: dict[tuple[int, int], Facts] = {}
    for path in places:
        found = host.status(path)
        if found is not None:
            first = {"uid": found.st_uid, "gid": found.st_gid, "count": 0, "path": path}
            rows.setdefault((found.st_uid, found.st_gid), first)["count"] += 1
    return list(rows.values())


def _way(host: Host, path: str | None) -> Facts:
    if path is None:
        return {"steps": None, "mount": None, "owners": None}
    steps = walk.steps(host, path)
    last = steps[-1]
    there = last["kind"] not in ("missing", "link")
    table = mounts.Table(mounts.parse(host.text("/proc/self/mountinfo") or ""))
    return {
        "steps": steps,
        "mount": mount(table.holding(last["path"])) if there else None,
        "owners": owners(host, last) if there else [],
    }


def read(host: Host, options: Mapping[str, Any]) -> Facts:
    within = workload(host, options.get("workload"))
    facts: Facts = {
        "workload": within,
        "user": who(options, within),
        **_way(host, options.get("path")),
        "lacks": survey.survey(_SUBJECTS, host)["lacks"],
        "doors": [walk.look(host, path) for path in DOORS if host.exists(path)],
        "denials": denials.read(host, options["since"]) if options["root"] else None,
    }
    unread = {name: f"no {name} was named" for name in ("workload", "user") if facts[name] is None}
    if within is not None and within["group_owner"] is None:
        unread["group"] = f"the cgroup of {within['title']} is none of cgroup v2, or not to be seen from here"
    if facts["steps"] is None:
        unread.update(dict.fromkeys(("steps", "owners", "mount"), "no path was named"))
    elif facts["mount"] is None:
        unread["mount"] = "the path is not there"
    if facts["denials"] is None:
        unread["denials"] = denials.NO_LOG if options["root"] else NO_ROOT
    if facts["user"] is not None:
        unread["anybody"] = "a user was named"
    return {**facts, UNREAD: unread}

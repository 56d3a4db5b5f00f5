# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: which hierarchy, what it controls, and what users were given of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host

UNIFIED, HYBRID, LEGACY = "unified", "hybrid", "legacy"

WANTED = ("cpu", "cpuset", "io", "memory", "pids")
"""The controllers that limits are made of."""
_NAMES_V1 = {"io": "blkio"}

# What rootless Podman and Docker set limits with; user@.service passes these on by default, in old versions fewer.
_FOR_USERS = ("cpu", "memory", "pids")

# systemd marks what it delegates: user.delegate where users are to see it, too (systemd: docs/CGROUP_DELEGATION.md).
_MARKS = ("user.delegate", "trusted.delegate")

_PRESSURE = ("cpu", "io", "memory")


def mounts(mountinfo: str) -> tuple[list[str], dict[str, str]]:
    """Where cgroup2 is mounted, and the hierarchies of v1: their controllers, and where each is (proc(5))."""
    unified: list[str] = []
    legacy: dict[str, str] = {}
    for line in mountinfo.splitlines():
        before, _dash, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            unified.append(fields[4])
        elif kind[0] == "cgroup":
            names = [word for word in kind[2].split(",") if word not in ("rw", "ro", "xattr", "clone_children")]
            legacy.update((name, fields[4]) for name in names if not name.startswith(("name=", "release_agent=")))
    return unified, legacy


def mode(unified: list[str], legacy: dict[str, str]) -> str | None:
    """How systemd calls what is mounted; None where nothing is."""
    if legacy:
        return HYBRID if unified else LEGACY
    return UNIFIED if unified else None


def disabled(command_line: str) -> list[str]:
    """The controllers that the kernel was told to leave out (Documentation/admin-guide/kernel-parameters.txt)."""
    found = re.findall(r"(?:^|\s)cgroup_disable=(\S+)", command_line)
    return sorted({name for words in found for name in words.split(",")})


def _delegated(host: Host, mount: str) -> Iterator[Facts]:
    """The groups of the users' own managers, and what systemd passed on to them."""
    for slice_name in host.names(f"{mount}/user.slice"):
        user = re.fullmatch(r"user-(\d+)\.slice", slice_name)
        if user is None:
            continue
        group = f"{mount}/user.slice/{slice_name}/user@{user.group(1)}.service"
        marks = [name for name in _MARKS if host.attribute(group, name) == "1"]
        if host.exists(group):
            controllers = (host.line(f"{group}/cgroup.controllers") or "").split()
            yield {"uid": int(user.group(1)), "group": group, "controllers": controllers, "marked_by": marks}


def read(host: Host) -> Facts:
    unified, legacy = mounts(host.text("/proc/self/mountinfo") or "")
    mount = unified[0] if unified else None
    controllers = (host.line(f"{mount}/cgroup.controllers") or "").split() if mount else []
    # Without a process of the kind that waits, open(2) already says whether the kernel keeps count (psi=0).
    pressure = [name for name in _PRESSURE if host.text(f"/proc/pressure/{name}") is not None]
    found = mode(unified, legacy)
    return {
        "mode": found,
        "version": None if found is None else 2 if found == UNIFIED else 1,
        "mount": mount,
        "mounts_v1": legacy,
        "controllers": controllers,
        "passed_on": (host.line(f"{mount}/cgroup.subtree_control") or "").split() if mount else [],
        "disabled": disabled(host.line("/proc/cmdline") or ""),
        "delegated": list(_delegated(host, mount)) if mount else [],
        "pressure": pressure,
    }


def _wanted(facts: Facts) -> list[Facts]:
    """The controllers that the root of an otherwise fine hierarchy lacks."""
    missing = [name for name in WANTED if name not in facts["controllers"]] if facts["mount"] else []
    places = facts["mounts_v1"]
    return [
        {"name": name, "off": name in facts["disabled"], "v1": places.get(_NAMES_V1.get(name, name), "")}
        for name in missing
    ]


def _users(facts: Facts) -> list[Facts]:
    rows = []
    for row in facts["delegated"]:
        missing = [name for name in _FOR_USERS if name in facts["controllers"] and name not in row["controllers"]]
        if missing or not row["marked_by"]:
            rows.append({**row, "missing": ", ".join(missing)})
    return rows


_UNIFY = "Start the kernel with systemd.unified_cgroup_hierarchy=1, or boot systemd 258 or later, which knows no other"

SUBJECT = Subject(
    read,
    (
        Need(
            "unified",
            (
                Why(
                    lambda facts: facts["mode"] is None,
                    "no cgroup file system is mounted",
                    "Mount cgroup2: boot with systemd",
                ),
                Why(lambda facts: facts["mode"] == LEGACY, "only cgroup v1 is mounted", _UNIFY),
                Why(
                    lambda facts: facts["mode"] == HYBRID,
                    "cgroup v1 holds the controllers, cgroup2 at {mount} is there beside it",
                    _UNIFY,
                ),
            ),
        ),
        Need(
            "controller {name}",
            (
                Why(
                    lambda row: bool(row["off"]),
                    "the kernel was started with cgroup_disable={name}",
                    "Take it from the kernel's command line, and reboot",
                ),
                Why(lambda row: bool(row["v1"]), "cgroup v1 holds it, at {v1}", _UNIFY),
                Why(
                    lambda _row: True,
                    "the kernel doesn't have it, or whoever made this container didn't pass it on",
                    "Look at /proc/cgroups, and at cgroup.subtree_control of the group above",
                ),
            ),
            each=_wanted,
        ),
        Need(
            "delegation to user {uid}",
            (
                Why(
                    lambda row: bool(row["missing"]),
                    "systemd doesn't pass on {missing} to {group}",
                    "Write [Service] Delegate=cpu cpuset io memory pids to "
                    "/etc/systemd/system/user@.service.d/delegate.conf, systemctl daemon-reload, log in again",
                ),
                Why(
                    lambda _row: True,
                    "{group} carries no mark of delegation",
                    "Set Delegate=yes for user@.service, systemctl daemon-reload, log in again",
                ),
            ),
            each=_users,
        ),
        Need(
            "pressure",
            (
                Why(
                    lambda facts: not facts["pressure"],
                    "the kernel doesn't tell pressure (PSI)",
                    "Start the kernel with psi=1; it must be built with CONFIG_PSI",
                ),
            ),
        ),
    ),
)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control group can't be held to on this host, and why: told before anything is touched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core.codec import CPU_PERIOD, MAX
from ..core.errors import StrataError
from ..core.limits import LEAST_QUOTA, listed, numbers
from ..core.resource import Thing
from ..engines import anchor, cgroupfs, iolimits, systemd
from . import cgroup_fields

Values = Mapping[str, Any]

_ROOTS = ("root", "isolated")
# The controllers that systemd passes on to what it delegates; it knows no others (systemd: cgroup-util.h).
_SYSTEMD_KNOWS = {"cpu", "cpuset", "io", "memory", "pids"}


def parent(path: str) -> None:
    """Refuse a group that nobody handed over.

    Raises:
        StrataError: It is none, or systemd's own.
    """
    if not os.path.isdir(path):
        raise StrataError("there is no such group", option="parent", value=path)
    if not cgroupfs.is_cgroup2(path):
        raise StrataError("is not on cgroup v2", option="parent", value=path, hint=f"Name one in {cgroupfs.MOUNT}")
    if systemd.booted() and not cgroupfs.delegated(path):
        raise StrataError(
            "belongs to systemd, which is the only writer of what it has not handed over",
            option="parent",
            value=path,
            hint="Set Delegate=yes for its unit, or leave parent out",
        )


def look(tree: anchor.Tree, name: str, declared: Values) -> dict[str, Any]:
    """The facts that a declaration is held against."""
    path, parts = f"{tree.top}/{name}", name.split("/")
    ways = ["/".join(parts[:count]) for count in range(0 if not tree.ours else 1, len(parts))]
    above = []
    for way in ways:
        group = f"{tree.top}/{way}".rstrip("/")
        if cgroupfs.read(group, "cgroup.procs"):
            above.append((way or tree.top, sorted(passed(group))))
    facts: dict[str, Any] = {
        **tree.around,
        "lacking": _lacking(declared, tree.files, path) if tree.files else {},
        "holding": above,
    }
    if declared.keys() & {"cpuset_cpus", "cpuset_mems", "cpuset_exclusive", "cpuset_partition"}:
        facts["online"] = cgroupfs.online()
    if "cpuset_partition" in declared:
        facts["above"] = _cpuset(os.path.dirname(path))
        facts["beside"] = {other: _cpuset(f"{os.path.dirname(path)}/{other}") for other in _others(path)}
    if "io" in declared:
        facts["costed"] = iolimits.costed()
    if "misc" in declared:
        said = cgroupfs.read(cgroupfs.MOUNT, "misc.capacity") or ""
        facts["scarce"] = sorted(line.split()[0] for line in said.splitlines())
    return facts


def survey(tree: anchor.Tree) -> None:
    """Find out what is the same for every group of a tree."""
    tree.files = frozenset(_names(tree.top))
    tree.forget()
    tree.around = {
        "controllers": sorted(cgroupfs.controllers(tree.top if tree.files else cgroupfs.MOUNT)),
        "kernel": sorted(cgroupfs.controllers(cgroupfs.MOUNT)),
    }


def _lacking(declared: Values, known: frozenset[str], group: str) -> dict[str, list[str]]:
    """The control files that options need and neither the top of a tree nor the group has, by option."""
    values = cgroup_fields.given(declared)
    lacking = {}
    for option in values:
        needed = {file for file, _text in cgroup_fields.writes([option], {}, values)}
        gone = [file for file in sorted(needed - known) if not os.path.exists(f"{group}/{file}")]
        if gone:
            lacking[option] = gone
    return lacking


def _names(group: str) -> list[str]:
    try:
        return os.listdir(group)
    except OSError:
        return []


def _others(path: str) -> list[str]:
    place, own = os.path.split(path)
    return [name for name in _names(place) if name != own and os.path.isdir(f"{place}/{name}")]


def passed(group: str) -> set[str]:
    """The controllers that a group passes on to those in it."""
    return set((cgroupfs.read(group, "cgroup.subtree_control") or "").split())


def _cpuset(group: str) -> dict[str, str]:
    words = {"partition": "cpuset.cpus.partition", "cpus": "cpuset.cpus", "exclusive": "cpuset.cpus.exclusive"}
    return {word: cgroupfs.read(group, file) or "" for word, file in words.items()}


def quota(values: Values, whole: Values) -> dict[str, Any]:
    """The values, ``cpus`` as the kernel will keep them: a whole number of microseconds in each period."""
    cpus, period = whole.get("cpus", MAX), whole.get("cpu_period") or CPU_PERIOD
    burst = whole.get("cpu_burst") or 0
    kept = dict(values)
    if isinstance(cpus, str):
        return kept
    text = cgroupfs.write_cpu_max(cpus, period)
    usec = int(text.split()[0])
    if usec < LEAST_QUOTA:
        raise StrataError(
            f"comes to {usec} microseconds in each period of {period}, and the kernel takes 1000 or more",
            option="cpus" if "cpus" in values else "cpu_period",
            hint="Give more cpus, or a longer cpu_period",
        )
    if burst > usec:
        raise StrataError(
            f"is more than the {usec} microseconds that cpus and cpu_period come to",
            option="cpu_burst" if "cpu_burst" in values else "cpus",
        )
    if "cpus" in kept:
        kept["cpus"] = cgroupfs.read_cpu_max(text)
    return kept


def refuse(group: str, values: Values, whole: Values, facts: Mapping[str, Any], promised: frozenset[Thing]) -> None:
    """Refuse what the kernel would, or what it would take and not do."""
    options = [field.name for field in cgroup_fields.FIELDS if field.name in values]
    for option in options:
        _available(option, values, facts)
    needed = cgroup_fields.controllers(cgroup_fields.given(values))
    for way, passed in facts["holding"]:
        lacking = sorted(needed - set(passed))
        if lacking:
            raise StrataError(
                f"{way} holds processes itself, and only groups without processes can pass controllers on "
                f"({', '.join(lacking)})",
                option="name",
                value=group,
                hint="Move them to a group below it",
            )
    if values.get("processes") and facts["passes_on"]:
        raise StrataError(
            f"passes on {', '.join(facts['passes_on'])} to groups in it, so it can hold no processes itself",
            option="name",
            value=group,
            hint="Move them to a group below it",
        )
    for option in ("cpuset_cpus", "cpuset_exclusive", "cpuset_mems"):
        if values.get(option):
            _online(option, values[option], facts)
    if values.get("cpuset_partition") in _ROOTS and not any(sort == "cgroup" for sort, _name in promised):
        _partition(whole, facts)


def _available(option: str, values: Values, facts: Mapping[str, Any]) -> None:
    (controller,) = cgroup_fields.controllers([option]) or {""}
    if not cgroup_fields.given({option: values[option]}):
        return  # what every group has by itself, it has without the controller, too
    if controller and controller not in facts["controllers"]:
        hint = f"Boot without cgroup_disable={controller}; on some boards: with cgroup_enable={controller}"
        if controller in facts["kernel"]:
            hint = "The kernel has it, and the groups above don't pass it on: look at Delegate= of the unit"
        if controller not in _SYSTEMD_KNOWS:
            hint = (
                "systemd passes on none that it has no settings for. If nothing else here minds, write "
                f"+{controller} to cgroup.subtree_control of {cgroupfs.MOUNT} and of {os.path.dirname(anchor.GROUP)}"
            )
        raise StrataError(
            f"needs the cgroup controller {controller}, which is not enabled here", option=option, hint=hint
        )
    if option == "misc":
        for key in values["misc"]:
            if key not in facts["scarce"]:
                known = ", ".join(facts["scarce"]) or "nothing"
                raise StrataError(f"{key} is nothing that this host has to share: it has {known}", option="misc")
    if option in facts["lacking"]:
        raise StrataError(
            f"needs {', '.join(facts['lacking'][option])}, which this kernel doesn't have",
            option=option,
            hint="It is too old for it, or was built without it",
        )


def _online(option: str, wanted: str, facts: Mapping[str, Any]) -> None:
    word, what = ("cpuset_mems", "memory node") if option == "cpuset_mems" else ("cpuset_cpus", "cpu")
    there = facts["online"][word]
    gone = numbers(wanted) - numbers(there)
    if gone:
        raise StrataError(f"this host has no {what} {listed(gone)}: it has {there}", option=option, value=wanted)


def _partition(whole: Values, facts: Mapping[str, Any]) -> None:
    cpus = numbers(whole.get("cpuset_exclusive") or whole.get("cpuset_cpus") or "")
    if not cpus:
        raise StrataError("needs cpus of its own", option="cpuset_partition", hint="Give cpuset_cpus, too")
    for name, other in facts["beside"].items():
        theirs = other["exclusive"] or (other["cpus"] if other["partition"].split(" ")[0] in _ROOTS else "")
        both = cpus & numbers(theirs)
        if both:
            raise StrataError(
                f"cpu {listed(both)} is the group {name}'s alone", option="cpuset_cpus", value=whole.get("cpuset_cpus")
            )
    above = facts["above"]
    local = above["partition"] in _ROOTS
    if not local and not (whole.get("cpuset_exclusive") and cpus <= numbers(above["exclusive"])):
        raise StrataError(
            "the group above it is no partition itself, nor are the cpus set apart in its cpuset.cpus.exclusive",
            option="cpuset_partition",
            hint="Linux 6.7 and later: give cpuset_exclusive, and write the cpus to cpuset.cpus.exclusive of each "
            "group above that is systemd's own",
        )

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit that sets huge pages aside at boot, one a size, and what it says.

sysctl.d knows the default size alone, and tmpfiles.d doesn't notice when the kernel gives fewer than it was asked for.
So all sizes and nodes go one way: a oneshot unit, as early as can be, that fails where pages are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..engines import bootunit, hugepages, mountunit
from ..engines.unitfile import UnitFile

_PREFIX = "strata-hugepages-"
_WANTED_BY = ("sysinit.target",)

# Pairs of a file and a number; every one is tried before it fails.
_ASK = (
    'failed=0; while test $# -gt 0; do echo "$2" >"$1"; read -r got <"$1"; '
    'test "$got" -ge "$2" || { echo "the kernel gave $got of $2 pages: $1"; failed=1; }; shift 2; done; exit $failed'
)
# $1: where, $2: the options, $3: the source.
_MOUNT = f'mkdir -p "$1" && {{ mountpoint -q "$1" || mount -t {hugepages.TYPE} -o "$2" "$3" "$1"; }}'


def unit(name: str) -> str:
    """The unit of a size, as ``2M``."""
    return f"{_PREFIX}{name}.service"


def enabled(name: str) -> bool:
    return bootunit.enabled(unit(name), _WANTED_BY)


def text(name: str, size: int, values: Mapping[str, Any], owner: str | None, source: str) -> str:
    """The unit's text.

    Args:
        name: The size, as ``2M``.
        size: The same in bytes.
        values: What is kept, by field name.
        owner: The stack that it belongs to; None: somebody else's.
        source: What its mount names as its source.
    """
    asked = [(hugepages.overcommit_file(size), values.get("overcommit"))]
    if values.get("nodes"):
        asked += [(hugepages.count_file(size, node), count) for node, count in sorted(values["nodes"].items())]
    else:
        asked.append((hugepages.count_file(size), values.get("pages")))
    pairs = [word for path, count in asked if count is not None for word in (path, str(count))]
    mount = values.get("mount")
    words = ",".join([f"pagesize={name}", *(values.get("mount_options") or ())])
    lines = [_run(_MOUNT, mount, words, source)] if mount else []
    return bootunit.render(
        [
            ("Unit", "Description", [f"Huge pages of {name}"]),
            ("Unit", "DefaultDependencies", ["no"]),
            ("Unit", "After", ["systemd-sysctl.service"]),
            ("Unit", "Before", ["sysinit.target"]),
            ("Unit", "RequiresMountsFor", mountunit.mounts_for([mount]) if mount else []),
            ("Service", "Type", ["oneshot"]),
            ("Service", "RemainAfterExit", ["yes"]),
            ("Service", "ExecStart", [*lines, _run(_ASK, *pairs)]),
            ("Install", "WantedBy", _WANTED_BY),
            (mountunit.NOTES, "Owner", [] if owner is None else [owner]),
        ]
    )


def _run(script: str, *words: str) -> str:
    return bootunit.quoted(["/bin/sh", "-c", script, "sh", *words])


def read(name: str, size: int) -> tuple[dict[str, Any], str | None] | None:
    """What is kept for the next boot, by field name, and whose it is; None where there is no unit."""
    file = bootunit.read(unit(name))
    return None if file is None else (_said(file, size), file.last(mountunit.NOTES, "Owner") or _unnamed(file))


def _unnamed(file: UnitFile) -> str | None:
    """A single task's is owned by nobody in particular."""
    return "" if file.all(mountunit.NOTES, "Owner") else None


def _said(file: UnitFile, size: int) -> dict[str, Any]:
    fields = {hugepages.count_file(size): "pages", hugepages.overcommit_file(size): "overcommit"}
    said: dict[str, Any] = {}
    for line in file.all("Service", "ExecStart"):
        argv = bootunit.words(line)
        script, words = "".join(argv[2:3]), argv[4:]
        if script == _MOUNT and len(words) == 3:
            said["mount"] = words[0]
            said["mount_options"] = tuple(words[1].split(",")[1:])
        elif script == _ASK:
            said.update(_asked(words, fields, size))
    return said


def _asked(words: Sequence[str], fields: Mapping[str, str], size: int) -> dict[str, Any]:
    counts = dict(zip(words[::2], map(int, words[1::2])))
    said: dict[str, Any] = {fields[path]: count for path, count in counts.items() if path in fields}
    by_file = {hugepages.count_file(size, node): node for node in hugepages.nodes()}
    said["nodes"] = {by_file[path]: count for path, count in counts.items() if path in by_file}
    return {name: value for name, value in said.items() if value != {}}


def store(name: str, content: str) -> None:
    """Have the pages set aside at every boot; those that there are stay."""
    bootunit.store(unit(name), content, _WANTED_BY)


def drop(name: str) -> None:
    """Set no pages aside at boot; those that there are stay."""
    bootunit.drop(unit(name))

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that make control groups again at boot.

The files of a group are gone with the kernel, and systemd has words for its own units only. So each group has a oneshot
unit that needs the delegated service (which it is ordered after, and pulled in by whenever that one starts), and whose
every line is one write of a fixed text with what every host has: sh and coreutils. It writes below the delegated group
and nowhere else (systemd: docs/CGROUP_DELEGATION.md, "Delegation").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from . import anchor, bootunit, iolimits, mountunit

NOTES = mountunit.NOTES
WANTED_BY = (*bootunit.BOOT, anchor.UNIT)
_PREFIX = "strata-cgroup-"

# $1: the controllers to pass on, $2...: the groups on the way, the last one included.
_MAKE = (
    f"cd {anchor.GROUP} && mkdir -p {anchor.HOLDER} && pass=$1 && shift && "
    # systemd before 254 leaves the holder in the group itself, which then can't pass controllers on.
    f"while read -r pid; do echo $pid >{anchor.HOLDER}/cgroup.procs; done <cgroup.procs && "
    'for group; do test -z "$pass" || echo "$pass" >cgroup.subtree_control; '
    'mkdir -p "$group" && cd "$group" || exit; done'
)
# $1: the file, $2: the text.
_WRITE = 'echo "$2" >"$1"'
# $2: the device; the number of its whole disk is looked up, because it is another one after each boot.
_WRITE_DEVICE = (
    'name=$(readlink -f "$2") && disk=/sys/class/block/${name##*/} && '
    '{ test ! -e "$disk/partition" || disk=$disk/..; } && read -r number <"$disk/dev" && echo "$number $3" >"$1"'
)


def name(group: str) -> str:
    """The unit of a group."""
    return f"{_PREFIX}{mountunit.escape(group)}.service"


def groups() -> list[str]:
    """The groups that have a unit."""
    return sorted(mountunit.unescape(escaped)[1:] for escaped in bootunit.names(_PREFIX))


def _run(script: str, *words: str) -> str:
    return bootunit.quoted(["/bin/sh", "-ec", script, "sh", *words])


def _write(group: str, file: str, text: str, spelled: Mapping[str, str]) -> str:
    place = f"{anchor.GROUP}/{group}/{file}"
    device, _blank, rest = text.partition(" ")
    if device.startswith("/dev/"):
        return _run(_WRITE_DEVICE, place, spelled.get(device, device), rest)
    return _run(_WRITE, place, text)


def text(
    group: str,
    controllers: Iterable[str],
    writes: Sequence[tuple[str, str]],
    owner: str | None,
    spelled: Mapping[str, str],
) -> str:
    """The unit's text.

    Args:
        group: The group, as a path below the delegated one.
        controllers: What has to be passed on to it.
        writes: The files and what to write to them, in this order.
        owner: The stack that it belongs to; None: somebody else's.
        spelled: The paths by which devices were given, by name: those that stay the same over boots, at best.
    """
    passed = " ".join(f"+{name}" for name in sorted(controllers))
    lines = [_run(_MAKE, passed, *group.split("/")), *(_write(group, *write, spelled) for write in writes)]
    return bootunit.render(
        [
            ("Unit", "Description", [f"cgroup {group} of strata.virt"]),
            ("Unit", "Requires", [anchor.UNIT]),
            ("Unit", "After", [anchor.UNIT]),
            ("Service", "Type", ["oneshot"]),
            ("Service", "RemainAfterExit", ["yes"]),
            ("Service", "ExecStart", lines),
            ("Install", "WantedBy", WANTED_BY),
            (NOTES, "Owner", [] if owner is None else [owner]),
        ]
    )


def read(group: str) -> tuple[dict[str, str], str | None, dict[str, str]] | None:
    """What a group's unit writes, the texts by file; whose it is; and how it spells devices. None where there is none.

    A line that is not as ``text`` writes it says nothing, and so is put right.
    """
    unit = bootunit.read(name(group))
    if unit is None:
        return None
    texts: dict[str, str] = {}
    devices: dict[str, str] = {}
    for line in unit.all("Service", "ExecStart"):
        argv = bootunit.words(line)
        script, words = "".join(argv[2:3]), argv[4:]
        if script not in (_WRITE, _WRITE_DEVICE) or len(words) < 2:
            continue
        place, file = os.path.split(words[0])
        if place == f"{anchor.GROUP}/{group}":
            if script == _WRITE_DEVICE:
                words[1], spelled = iolimits.known(words[1]), words[1]
                devices[words[1]] = spelled
            said = " ".join(words[1:])
            texts[file] = f"{texts[file]}\n{said}" if file in texts else said
    owners = unit.all(NOTES, "Owner")
    return texts, owners[-1] if owners else None, devices


def enabled(group: str) -> bool:
    return bootunit.enabled(name(group), WANTED_BY)


def store(group: str, content: str) -> None:
    """Write a group's unit, and have it started at boot; the group stays as it is."""
    bootunit.store(name(group), content, WANTED_BY)


def drop(group: str) -> None:
    """Take a group's unit away; the group stays as it is."""
    bootunit.drop(name(group))

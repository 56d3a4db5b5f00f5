# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the host: by number, by user, by unit. They end when they like, and then just aren't in the answer."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Sequence

from ..core.errors import StrataError
from . import cgroupfs, systemd

PROC = "/proc"


def title(pid: int) -> str | None:
    """A process as it is shown, ``412 (sleep)``; None where it has ended."""
    try:
        with open(f"{PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"{pid} ({file.read().strip()})"
    except OSError:
        return None


def of_users(users: Iterable[str]) -> set[int]:
    """The processes of some users, by name or number.

    Raises:
        StrataError: There is no such user, or it is root, whose processes are the system's own.
    """
    wanted = set()
    for user in users:
        try:
            wanted.add(int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid)
        except KeyError:
            raise StrataError("there is no such user", option="users", value=user) from None
    if 0 in wanted:
        raise StrataError("root's processes are the system's own", option="users", value="root")
    pids = {int(entry) for entry in os.listdir(PROC) if entry.isdigit()} if wanted else set()
    return {pid for pid in pids if _user(pid) in wanted}


def _user(pid: int) -> int | None:
    """The real user of a process (proc(5), status)."""
    try:
        with open(f"{PROC}/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("Uid:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def of_units(units: Sequence[str], group: str) -> set[int]:
    """The processes in the groups of some units, and their main processes, wherever those are.

    Raises:
        StrataError: There is no such unit, or ``group`` itself lies within it.
    """
    pids: set[int] = set()
    for unit, shown in systemd.show(units, ["LoadState", "ControlGroup", "MainPID"]).items():
        if unit.endswith(".slice"):
            raise StrataError("is a slice: name the units in it", option="units", value=unit)
        if shown.get("LoadState") == "not-found":
            raise StrataError("there is no such unit", option="units", value=unit)
        control = shown.get("ControlGroup", "").rstrip("/")
        if shown.get("ControlGroup") and f"{group}/".startswith(f"{cgroupfs.MOUNT}{control}/"):
            raise StrataError("holds the group itself", option="units", value=unit)
        if control:
            pids.update(cgroupfs.processes(f"{cgroupfs.MOUNT}{control}"))
        pids.update({int(shown.get("MainPID") or 0)} - {0})
    return pids


def spare(pids: Iterable[int]) -> None:
    """Refuse to move what everything hangs on: systemd in a group that is frozen or full is the end of the host.

    Raises:
        StrataError: systemd itself is among them, or this process or one that it was started by.
    """
    vital = {1}
    pid = os.getpid()
    while pid > 1:
        vital.add(pid)
        pid = _parent(pid)
    hit = sorted(vital & set(pids))
    if hit:
        shown = ", ".join(title(pid) or str(pid) for pid in hit)
        raise StrataError(
            f"the processes hold {shown}, which is systemd or what this module runs in, and is never moved",
            hint="Name fewer of pids, units and users",
        )


def _parent(pid: int) -> int:
    try:
        with open(f"{PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def within(pid: int, group: str) -> bool:
    """Whether a process is in a group, or in one below it."""
    return f"{cgroupfs.of_process(pid)}/".startswith(f"{group}/")

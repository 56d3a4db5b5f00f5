# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the cgroup tree that is ours.

systemd is the only writer of its tree, except below units with Delegate= (systemd: docs/CGROUP_DELEGATION). Slices
can't be delegated, so a small service holds the place. Its one process sits in a group of its own, because a group
that passes controllers on must hold none (cgroup-v2.rst, "No Internal Process Constraint").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core import files
from ..core.waiting import until
from . import cgroupfs, systemd

UNIT = "strata.service"
GROUP = f"{cgroupfs.MOUNT}/strata.slice/{UNIT}"
HOLDER = "holder"

_TEXT = f"""\
# Written by strata.virt: the delegated cgroup below which its cgroups live.
[Unit]
Description=Delegated cgroup of strata.virt

[Service]
Slice=strata.slice
ExecStart=/bin/sleep infinity
Delegate=yes
DelegateSubgroup={HOLDER}
KillMode=process
OOMPolicy=continue
"""


@dataclass
class Tree:
    """A delegated group: below it, we are the only writer.

    Attributes:
        top: Its path.
        ours: It is the collection's own, made where it is missing.
        files: The control files and groups at its top, as it was last read; none where it isn't there.
        around: What was found then to be the same for all groups of it.
    """

    top: str
    ours: bool
    files: frozenset[str] = frozenset()
    around: Mapping[str, Any] = field(default_factory=dict)
    _readable: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    def texts(self, group: str, wanted: Iterable[str]) -> dict[str, str]:
        """The content of those of the wanted control files that a group of it has.

        Groups in one have the same files, those of what it passes on: which ones is looked up once for all of them.
        """
        above = os.path.dirname(group)
        if not self._readable.get(above):  # or the one that was asked for wasn't there
            self._readable[above] = cgroupfs.readable(group, wanted)
        return cgroupfs.texts(group, self._readable[above])

    def forget(self) -> None:
        """Look up anew which files there are: what is passed on may have changed."""
        self._readable.clear()


def write() -> None:
    """Write the unit of the delegated group, where it isn't there.

    Raises:
        StrataError: systemd doesn't run this host.
    """
    systemd.need()
    path = f"{systemd.UNITS}/{UNIT}"
    if files.read(path) != _TEXT:
        files.write(path, _TEXT)
        systemd.refresh(UNIT)


def ready(timeout: float = 30) -> None:
    """Make the delegated group, or find it made.

    Raises:
        StrataError: systemd doesn't run this host, or refuses the unit.
    """
    write()
    if not os.path.isdir(GROUP):
        systemd.start(UNIT, timeout)
        until(lambda: os.path.isdir(GROUP), f"the cgroup of {UNIT}", timeout)
    _clear()


def _clear() -> None:
    """Move the holder out of the way; systemd before 254 doesn't know DelegateSubgroup=."""
    pids = (cgroupfs.read(GROUP, "cgroup.procs") or "").split()
    if pids:
        cgroupfs.make(f"{GROUP}/{HOLDER}")
    for pid in pids:
        cgroupfs.write(f"{GROUP}/{HOLDER}", "cgroup.procs", pid)

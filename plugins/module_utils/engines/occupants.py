# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a tree or a file: what is mounted in it or shows it, what runs from it, in whichever mount namespace."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator

from ..core import files
from . import mounts, overlayfs

_SHOWN = 8


def users(path: str) -> list[str]:
    """Whom it would be taken away from, in words; the first few of many."""
    top = os.path.realpath(path)
    found = [*_mounts(top), *mounts.users([top]), *_loops(top), *_elsewhere(top)]
    unique = list(dict.fromkeys(found))
    return unique if len(unique) <= _SHOWN else [*unique[:_SHOWN], f"{len(unique) - _SHOWN} more"]


def _under(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


class _Tree:
    """A tree as the file system knows it that it is in, whatever it is called in a mount namespace."""

    def __init__(self, top: str, table: mounts.Table) -> None:
        self.top = top
        home = table.holding(top)
        self.device = home.device if home else ""
        self.inner = os.path.normpath(f"{home.root}/{top[len(home.point.rstrip('/')) :]}") if home else top
        self.known = overlayfs.defaults()

    def shown_by(self, mount: mounts.Mount) -> bool:
        if mount.type == overlayfs.TYPE:
            layers = overlayfs.read(mount.options, self.known)
            return any(_under(layer, self.top) for layer in [*layers["lower"], layers["upper"] or ""])
        return mount.device == self.device and _under(mount.root, self.inner) and self.inner != "/"


def _mounts(top: str) -> Iterator[str]:
    """What is mounted at it, and what shows it at another place."""
    table = mounts.table()
    tree = _Tree(top, table)
    for mount in table.mounts:
        if mount.point == top or tree.shown_by(mount):
            yield f"the {mount.type} mounted at {mount.point}"


def _loops(top: str) -> Iterator[str]:
    for name in glob.glob("/sys/block/loop*/loop/backing_file"):
        if _under((files.read(name) or "").strip(), top):
            yield f"the loop device /dev/{name.split('/')[3]}"


def _elsewhere(top: str) -> Iterator[str]:
    """Processes of other mount namespaces: the first of each that shows the tree, else all that have it."""
    tree = _Tree(top, mounts.table())
    mine = os.stat("/proc/self/ns/mnt").st_ino
    shows: dict[int, bool] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):  # it ended meanwhile
            namespace = os.stat(f"/proc/{pid}/ns/mnt").st_ino
            if namespace == mine:
                continue
            if namespace not in shows:
                table = mounts.parse(files.read(f"/proc/{pid}/mountinfo") or "")
                shows[namespace] = any(tree.shown_by(mount) for mount in table)
                if shows[namespace]:
                    yield _process(pid)
            if not shows[namespace] and _has(pid, top):
                yield _process(pid)


def _has(pid: int, top: str) -> bool:
    """Whether a process is rooted in it, is in it, or has it open."""
    there = os.stat(top)
    links = [f"/proc/{pid}/root", f"/proc/{pid}/cwd"]
    if not os.path.isdir(top):
        links = [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
    for link in links:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(link), there):
                return True
    return False


def _process(pid: int) -> str:
    """A process by its number and its name, and by the unit or the scope that it runs in (cgroups(7))."""
    name = (files.read(f"/proc/{pid}/comm") or "?").strip()
    groups = (files.read(f"/proc/{pid}/cgroup") or "").rpartition("::")[2].strip().split("/")
    units = [group for group in groups if group.endswith((".service", ".scope"))]
    return f"process {pid} ({name}{f', in {units[0]}' if units else ''})"

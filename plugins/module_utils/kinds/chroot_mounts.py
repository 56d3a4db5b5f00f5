# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be mounted in a jail, and how it is told in the table of mounts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engines.mounts import Mount, Table

BIND = "none"  # mount(8) names no file system for a bind
_GONE = "//deleted"  # fs/d_path.c: what a mount shows was replaced or removed since


@dataclass(frozen=True)
class Item:
    """One mount of a jail.

    Attributes:
        word: The word that stands for it; ``""`` for a bind of the user's.
        place: Where in the tree.
        type: The file system; BIND: ``source`` is shown at ``place``.
        flags: The flags that it has.
        source: What is bound.
        data: Options of the file system.
        directory: Whether the place is one.
    """

    word: str
    place: str
    type: str
    flags: tuple[str, ...] = ()
    source: str = ""
    data: str = ""
    directory: bool = field(default=True, compare=False)

    @property
    def is_bind(self) -> bool:
        return self.type == BIND


_QUIET = ("nodev", "noexec", "nosuid")

# In the order in which they are mounted.
WORDS = {
    item.word: item
    for item in (
        Item("proc", "/proc", "proc", _QUIET),
        Item("sys", "/sys", "sysfs", (*_QUIET, "ro")),
        Item("dev", "/dev", BIND, ("noexec", "nosuid"), "/dev"),
        # The number of the group tty and the modes that systemd gives it, and that grantpt(3) counts on.
        Item("devpts", "/dev/pts", "devpts", ("noexec", "nosuid"), data="gid=5,mode=620,ptmxmode=666"),
        Item("shm", "/dev/shm", "tmpfs", ("nodev", "nosuid"), data="mode=1777"),
        Item("run", "/run", "tmpfs", ("nodev", "nosuid"), data="mode=755"),
        Item("tmp", "/tmp", "tmpfs", ("nodev", "nosuid"), data="mode=1777"),
        Item("resolv_conf", "/etc/resolv.conf", BIND, (*_QUIET, "ro"), "/etc/resolv.conf", directory=False),
    )
}


def bind(row: Mapping[str, Any]) -> Item:
    """The item of one entry of ``binds``."""
    flags = ("ro",) if row.get("read_only") else ()
    return Item("", row["path"], BIND, flags, row["source"], directory=not os.path.isfile(row["source"]))


def items(words: Iterable[str], binds: Iterable[Mapping[str, Any]]) -> list[Item]:
    """What a declaration means, in the order in which it is mounted."""
    return [*(item for word, item in WORDS.items() if word in words), *(bind(row) for row in binds)]


@dataclass(frozen=True)
class Seen:
    """What is at an item's place.

    Attributes:
        item: The item.
        point: Its place on the host; None where it isn't there.
        mount: The item's own mount; None where it is missing.
        extra: Those on top of it, and those that show what is gone, from bottom to top.
        other: Something else that is mounted there, without the item.
        right: It is mounted, with the flags that it is to have.
    """

    item: Item
    point: str | None
    mount: Mount | None = None
    extra: tuple[Mount, ...] = ()
    other: Mount | None = None
    right: bool = False
    read_only: bool = False


def look(table: Table, item: Item, point: str | None, real: Callable[[str], str] = os.path.realpath) -> Seen:
    """Find an item at its place."""
    stack = [] if point is None else table.at(point)
    source = real(item.source) if item.is_bind else ""
    held = table.holding(source) if item.is_bind else None
    wanted = (held.device, _joined(held, source)) if held is not None else None
    for place, mount in enumerate(stack):
        if mount.type == item.type if wanted is None else (mount.device, mount.root) == wanted:
            # What comes from a file system that is read-only is read-only, declared or not.
            given = held is not None and "ro" in held.flags
            read_only = "ro" in mount.flags and (not given or "ro" in item.flags)
            right = set(item.flags) - {"ro"} <= mount.flags and read_only == ("ro" in item.flags)
            return Seen(item, point, mount, tuple(stack[place + 1 :]), None, right, read_only)
    stale = [m for m in stack if wanted and m.device == wanted[0] and m.root == wanted[1] + _GONE]
    if stack and stale == stack:
        return Seen(item, point, None, tuple(stack))
    return Seen(item, point, None, (), stack[-1] if stack else None)


def assign(table: Table, tree: str, points: Mapping[Item, str | None]) -> list[Seen]:
    """What is at the places of many items, in their order.

    Links of the tree may lead several items to one place, and one to the tree itself. A mount is that item's whose
    place it is without links, else the first one's, and the tree's own is nobody's.
    """
    found: dict[Item, Seen] = {}
    claimed: set[int] = set()
    for item in sorted(points, key=lambda one: points[one] != tree + one.place):
        point = points[item]
        seen = Seen(item, point) if point == tree else look(table, item, point)
        if seen.mount and seen.mount.id in claimed:
            seen = Seen(item, point, other=seen.mount)
        claimed |= {mount.id for mount in (seen.mount, *seen.extra) if mount}
        found[item] = seen
    return [found[item] for item in points]


def _joined(mount: Mount, path: str) -> str:
    """A path of the host as its file system has it."""
    below = os.path.relpath(path, mount.point)
    return mount.root if below == "." else os.path.join(mount.root, below)


def row(seen: Seen) -> dict[str, Any]:
    """The entry of ``binds`` that declares what is there; of what isn't, what was to be there."""
    read_only = seen.read_only if seen.mount else "ro" in seen.item.flags
    return {"source": seen.item.source, "path": seen.item.place, "read_only": read_only}


def sorted_words(words: Iterable[str]) -> tuple[str, ...]:
    """Words in the order in which they are mounted."""
    given = set(words)
    return tuple(word for word in WORDS if word in given)


def clash(wanted: Sequence[Item]) -> tuple[Item, Item] | None:
    """Two items for one place."""
    places: dict[str, Item] = {}
    for item in wanted:
        if item.place in places:
            return places[item.place], item
        places[item.place] = item
    return None

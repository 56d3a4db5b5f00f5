# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts: mount(2), umount2(2), and /proc/self/mountinfo (proc_pid_mountinfo(5)), which is read once for all names."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..core import files
from ..core.errors import StrataError

# include/uapi/linux/mount.h
FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024}
"""The flags of a mount that options may name, in the words of mountinfo."""

_REASONS = {
    errno.EBUSY: "it is busy",
    errno.EPERM: "not permitted; it needs CAP_SYS_ADMIN",
    errno.ENODEV: "this kernel doesn't have that file system",
    errno.EINVAL: "the kernel refuses the options",
    errno.ENOENT: "a part of it isn't there",
}
_UMOUNT_NOFOLLOW = 8
_BUFFER = 8192  # more than the longest record of the kernel's log (kernel/printk/printk.c)


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo, its escapes resolved.

    Attributes:
        id: Its number, which is also what ``mnt_id`` of a file handle says.
        parent: The number of the mount that it is mounted on.
        device: ``major:minor`` of the file system.
        root: What of the file system is mounted.
        point: Where.
        flags: What holds for this mount: ``ro``, ``nosuid``, ...
        type: The file system.
        source: What was named as its device.
        options: The file system's own options, in order; None where one has no value.
    """

    id: int
    parent: int
    device: str
    root: str
    point: str
    flags: frozenset[str]
    type: str
    source: str
    options: tuple[tuple[str, str | None], ...]


def plain(text: str) -> str:
    """Octal escapes resolved, as the kernel writes them (fs/seq_file.c: mangle_path)."""
    if "\\" not in text:
        return text
    raw = text.encode(errors="surrogateescape")
    raw = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), raw)
    return raw.decode(errors="surrogateescape")


def parse(text: str) -> list[Mount]:
    """The lines of mountinfo."""
    found = []
    for line in filter(None, text.split("\n")):  # splitlines() would end a line at what a path may hold
        before, _dash, after = line.partition(" - ")
        number, parent, device, root, point, flags = before.split(" ")[:6]
        kind, source, options = after.split(" ", 2)
        pairs = (word.partition("=") for word in options.split(","))  # commas within values are octal
        shown = tuple((plain(key), plain(value) if equals else None) for key, equals, value in pairs)
        words = frozenset(flags.split(","))
        place = (int(number), int(parent), device, plain(root), plain(point))
        found.append(Mount(*place, words, kind, plain(source), shown))
    return found


class Table:
    """All mounts of this namespace, asked by place."""

    def __init__(self, found: Iterable[Mount]) -> None:
        self.mounts = list(found)
        self._on = {(mount.parent, mount.point): mount for mount in self.mounts}
        ids = {mount.id for mount in self.mounts}
        self._outside = sorted({mount.parent for mount in self.mounts} - ids)

    def _walk(self, path: str) -> Iterator[Mount]:
        """The mounts that a walk to a path comes upon, those that others hide left out."""
        parts = [part for part in path.split("/") if part]
        here: Mount | None = None
        for depth in range(len(parts) + 1):
            place = "/" + "/".join(parts[:depth])
            while True:
                tops = self._outside if here is None else [here.id]
                above = next((self._on[top, place] for top in tops if (top, place) in self._on), None)
                if above is None or above is here:
                    break
                here = above
                yield here

    def at(self, path: str) -> list[Mount]:
        """What is mounted at a path, the one that is seen last."""
        return [mount for mount in self._walk(path) if mount.point == path]

    def holding(self, path: str) -> Mount | None:
        """The mount in which a path lies, whether it is there or not; no part of it may be a symbolic link."""
        return next(reversed(list(self._walk(path))), None)

    def below(self, path: str) -> list[Mount]:
        """What is mounted in the tree at a path, in the order in which it was."""
        prefix = path.rstrip("/") + "/"
        return [mount for mount in self.mounts if mount.point.startswith(prefix)]


def table() -> Table:
    """The mounts of this host's namespace, now."""
    return Table(parse(files.read("/proc/self/mountinfo") or ""))


class Host:
    """The mounts of this host, as they were when they were last read."""

    def __init__(self) -> None:
        self.table = Table(())

    def read(self) -> Table:
        self.table = table()
        return self.table


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount something.

    Raises:
        StrataError: The kernel refused; where its log says why, the error does.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(word) for word in (source, target, kind, data)]
    with _kernel_log() as said:
        done = libc.mount(words[0], words[1], words[2] or None, ctypes.c_ulong(flags), words[3] or None)
        code = ctypes.get_errno()
        if done != 0:
            log = "; ".join(line for line in said() if line.startswith(kind or "\0"))
            reason = _REASONS.get(code, os.strerror(code))
            raise StrataError(f"could not mount {source} at {target}: {reason}{f' ({log})' if log else ''}")


@contextlib.contextmanager
def _kernel_log() -> Iterator[Callable[[], list[str]]]:
    """What the kernel logs meanwhile: file systems have one error number for all, and say there what they mean."""
    try:
        handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        yield list
        return

    def said() -> list[str]:
        lines = []
        with contextlib.suppress(OSError):  # the end is EAGAIN
            while True:
                record = os.read(handle, _BUFFER).decode(errors="replace")
                lines.append(record.partition(";")[2].splitlines()[0])
        return lines

    try:
        with contextlib.suppress(OSError):
            os.lseek(handle, 0, os.SEEK_END)
        yield said
    finally:
        os.close(handle)


def unmount(target: str) -> None:
    """Unmount what is seen at a path: at once and whole, or not at all.

    Raises:
        StrataError: It is in use; its users are named.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EBUSY:
        raise busy(target, users(target))
    raise StrataError(f"could not unmount {target}: {_REASONS.get(code, os.strerror(code))}")


def busy(target: str, whose: Iterable[str]) -> StrataError:
    """The error that says who keeps a mount from being taken down."""
    names = ", ".join(whose) or "something that /proc doesn't tell of"
    return StrataError(f"{target} is in use by {names}", hint="Stop them, or have them leave it, and run this again")


def users(top: str) -> list[str]:
    """Who uses what is mounted at a path: programs of this mount namespace, and mounts within."""
    found = [f"the {mount.type} mounted at {mount.point}" for mount in table().below(top)]
    mine = os.stat("/proc/self/ns/mnt")
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            # Another namespace has mounts of its own: what is used there doesn't keep ours.
            if os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), mine) and any(_within(p, top) for p in _paths(pid)):
                found.append(f"process {pid} ({(files.read(f'/proc/{pid}/comm') or '?').strip()})")
    return found


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _paths(pid: int) -> Iterator[str]:
    """The files that a process has, as this process would name them (proc_pid_fd(5) and its neighbours)."""
    for link in ("cwd", "root", "exe"):
        with contextlib.suppress(OSError):  # threads of the kernel have none
            yield os.readlink(f"/proc/{pid}/{link}")
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/fd/{number}")
    for line in (files.read(f"/proc/{pid}/maps") or "").split("\n"):
        yield plain(line.split(maxsplit=5)[5]) if line.count(" ") > 5 and "/" in line else ""

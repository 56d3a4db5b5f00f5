# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts: mount(2), umount2(2), and /proc/self/mountinfo (proc_pid_mountinfo(5)), which is read once for all names."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_MS_PRIVATE = 1 << 18
_ATTRIBUTES = frozenset({"ro", "nosuid", "nodev", "noexec"})  # those that MOUNT_ATTR_* have the same numbers for
_OPEN_TREE_CLONE, _MOVE_EMPTY_PATHS = 1, 0x04 | 0x40
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000  # include/uapi/linux/fcntl.h
# Numbers of system calls that glibc has no names for yet; but for alpha, they are the same everywhere.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
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
            raise StrataError(f"could not mount {source} at {shown(target)}: {reason}{f' ({log})' if log else ''}")


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


def bind(source: str, target: int, flags: Iterable[str]) -> None:
    """Show a directory or a file at an open place, too; what is mounted below either isn't seen at the other.

    The mount is made, taken out of its source's peer group and given its flags before anybody sees it. With mount(2),
    where that comes after, what is mounted below it meanwhile would come up below its source (mount_namespaces(7)).

    Raises:
        StrataError: The kernel refused.
    """
    handle = _syscall(_OPEN_TREE, f"show {source}", _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        set_flags(handle, flags, private=True)
        what = f"show {source} at {shown(f'/proc/self/fd/{target}')}"
        _syscall(_MOVE_MOUNT, what, handle, b"", target, b"", _MOVE_EMPTY_PATHS)
    finally:
        os.close(handle)


def set_flags(handle: int, flags: Iterable[str], *, clear: Iterable[str] = (), private: bool = False) -> None:
    """Change the flags of the one mount whose root is open, and of nothing else that shows the same file system.

    Raises:
        StrataError: The kernel refused.
    """
    values = [sum(FLAGS[word] for word in set(words) & _ATTRIBUTES) for words in (flags, clear)]
    attributes = (ctypes.c_uint64 * 4)(*values, _MS_PRIVATE if private else 0, 0)  # struct mount_attr
    what = "set the flags of a mount"
    _syscall(_MOUNT_SETATTR, what, handle, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), ctypes.sizeof(attributes))


def _syscall(number: int, what: str, *words: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    done = int(libc.syscall(number, *words))
    if done < 0:
        code = ctypes.get_errno()
        reason = "this kernel is older than 5.12" if code == errno.ENOSYS else _REASONS.get(code, os.strerror(code))
        raise StrataError(f"could not {what}: {reason}")
    return done


def shown(target: str) -> str:
    """A place as a user knows it, where it was named by an open handle."""
    return re.sub(r"^/proc/self/fd/\d+", lambda found: os.readlink(found.group()), target)


def make_directory(path: str, owner: str) -> None:
    """Make a directory of ours, and those above it where they are missing."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise StrataError(f"could not make {path}: {error.strerror}") from None
    files.set_owner(path, owner)


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
        raise busy(shown(target), users([shown(target)]))
    raise StrataError(f"could not unmount {shown(target)}: {_REASONS.get(code, os.strerror(code))}")


def busy(target: str, whose: Iterable[str]) -> StrataError:
    """The error that says who keeps a mount from being taken down."""
    names = ", ".join(whose) or "something that /proc doesn't tell of"
    return StrataError(f"{target} is in use by {names}", hint="Stop them, or have them leave it, and run this again")


def users(tops: Sequence[str]) -> list[str]:
    """Who uses what is mounted at some paths: programs of this mount namespace, and mounts within other than these."""
    within = {mount.point: mount for top in tops for mount in table().below(top)}
    found = [f"the {mount.type} mounted at {point}" for point, mount in within.items() if point not in tops]
    mine = os.stat("/proc/self/ns/mnt")
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            # Another namespace has mounts of its own: what is used there doesn't keep ours.
            if os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), mine) and _uses(pid, tops):
                found.append(f"process {pid} ({(files.read(f'/proc/{pid}/comm') or '?').strip()})")
    return found


def _uses(pid: int, tops: Sequence[str]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for path in _paths(pid) for top in tops)


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

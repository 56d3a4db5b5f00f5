# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of cgroup v2 (Linux: Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from ..core.codec import CPU_PERIOD, MAX
from ..core.errors import StrataError

MOUNT = "/sys/fs/cgroup"
_SUPER_MAGIC = 0x63677270  # include/uapi/linux/magic.h: CGROUP2_SUPER_MAGIC
_OWNER = "trusted.strata.owner"

_REASONS = {
    errno.EBUSY: "the group above it holds processes itself; only groups without processes can pass controllers on",
    errno.ENOENT: "this kernel or this group doesn't have the controller",
    errno.EOPNOTSUPP: "the group is threaded",
    errno.EINVAL: "the kernel refuses the value",
    errno.ENODEV: "there is no such device",
    errno.ERANGE: "the value is out of the kernel's range",
}


def is_cgroup2(path: str) -> bool:
    """Whether a path lies on the unified hierarchy: statfs(2) says so, no name does."""
    buffer = ctypes.create_string_buffer(256)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value == _SUPER_MAGIC


def read(group: str, file: str) -> str | None:
    """The content of a control file, None where the group has no such file."""
    try:
        with open(f"{group}/{file}", encoding="ascii", errors="replace") as handle:
            return handle.read().strip()
    except (FileNotFoundError, OSError):
        return None


def write(group: str, file: str, value: str) -> None:
    """Write a control file.

    Raises:
        StrataError: The kernel refused; the reason is told in words.
    """
    try:
        with open(f"{group}/{file}", "w", encoding="ascii") as handle:
            handle.write(value)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise StrataError(f"could not write {value!r} to {group}/{file}: {reason}") from None


def read_cpu_max(text: str) -> int | str:
    """The quota per period of 100 ms, whatever period cpu.max is written in; ``max`` for no limit."""
    quota, _blank, period = text.partition(" ")
    return quota if quota == MAX else int(quota) * CPU_PERIOD // int(period or CPU_PERIOD)


def write_cpu_max(quota: int | str) -> str:
    """The text of cpu.max; one number alone would keep whatever period there is."""
    return f"{quota} {CPU_PERIOD}"


def controllers(group: str) -> set[str]:
    return set((read(group, "cgroup.controllers") or "").split())


def enable(group: str, wanted: set[str]) -> None:
    """Pass controllers on to the children of a group.

    Raises:
        StrataError: The group doesn't have one of them, or can't pass it on.
    """
    missing = wanted - controllers(group)
    if missing:
        raise StrataError(
            f"the controller {', '.join(sorted(missing))} is not available in {group}",
            hint="Look at cgroup.controllers of the root, and at the kernel's command line (cgroup_disable=)",
        )
    lacking = wanted - set((read(group, "cgroup.subtree_control") or "").split())
    if lacking:
        write(group, "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(lacking)))


def make(group: str) -> None:
    try:
        os.mkdir(group)
    except FileExistsError:
        pass
    except OSError as error:
        raise StrataError(f"could not make {group}: {error.strerror}") from None


def walk(top: str) -> Iterator[str]:
    """The groups below one, the deepest first; none where it is gone."""
    try:
        with os.scandir(top) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for group in below:
        yield from walk(group)
        yield group


def processes(group: str) -> list[int]:
    """The processes of a group and of all groups below it."""
    pids = (read(group, "cgroup.procs") or "").split()
    for child in walk(group):
        pids += (read(child, "cgroup.procs") or "").split()
    return [int(pid) for pid in pids]


def remove(group: str) -> None:
    """Remove a group and the empty groups below it, children first.

    Raises:
        StrataError: One of them still holds processes.
    """
    for path in (*walk(group), group):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StrataError(f"could not remove {path}: {error.strerror}") from None


def owner(group: str) -> str | None:
    """The owner noted on a group, None where nobody noted one."""
    try:
        return os.getxattr(group, _OWNER).decode()
    except OSError:
        return None


def set_owner(group: str, name: str) -> None:
    try:
        os.setxattr(group, _OWNER, name.encode())
    except OSError as error:
        raise StrataError(f"could not note the owner of {group}: {error.strerror}") from None


def of_process(pid: int) -> str | None:
    """The group that a process is in, as a path; None where the process is gone."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as handle:
            for line in handle:
                if line.startswith("0::"):
                    return MOUNT + line[3:].rstrip("\n")
    except OSError:
        pass
    return None

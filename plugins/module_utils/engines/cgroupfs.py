# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of cgroup v2 (Linux: Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

from ..core import files
from ..core.codec import CPU_PERIOD, MAX
from ..core.errors import StrataError
from ..core.waiting import until

MOUNT = "/sys/fs/cgroup"
_SUPER_MAGIC = 0x63677270  # include/uapi/linux/magic.h: CGROUP2_SUPER_MAGIC
_OWNER = "trusted.strata.owner"
_AT_ONCE = 1 << 16
_OWN_LINKS = 2

_REASONS = {
    errno.EBUSY: "the group above it holds processes itself; only groups without processes can pass controllers on",
    errno.ENOENT: "this kernel or this group doesn't have the controller",
    errno.EOPNOTSUPP: "the group is threaded",
    errno.EINVAL: "the kernel refuses the value",
    errno.ENODEV: "there is no such device",
    errno.ERANGE: "the value is out of the kernel's range",
}


def is_cgroup2(path: str) -> bool:
    """Whether a path lies on the unified hierarchy."""
    return files.file_system(path) == _SUPER_MAGIC


def read(group: str, file: str) -> str | None:
    """The content of a control file, None where the group has no such file."""
    try:
        with open(f"{group}/{file}", "rb", buffering=0) as handle:
            return handle.readall().decode("ascii", errors="replace").strip()
    except OSError:
        return None


def write(group: str, file: str, value: str) -> None:
    """Write a control file.

    Raises:
        StrataError: The kernel refused; the reason is told in words.
    """
    try:
        with open(f"{group}/{file}", "w", encoding="ascii") as handle:
            handle.write(value or "\n")  # nothing at all would be no write(2)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise StrataError(f"could not write {value!r} to {group}/{file}: {reason}") from None


def readable(group: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Those of the wanted control files that a group has; a wanted ``hugetlb.*`` is all of them."""
    try:
        there = set(os.listdir(group))
    except OSError:
        return ()
    names = set(wanted)
    for many in [name[:-1] for name in names if name.endswith(".*")]:
        names |= {file for file in there if file.startswith(many) and file.endswith(".max")}
    return tuple(sorted(names & there))


def texts(group: str, files: Iterable[str]) -> dict[str, str]:
    """The content of those of the control files that a group has; not of lists of processes, which come in pieces."""
    found = {}
    for file in files:
        # By its descriptor: what a file object asks first costs more than reading, and there are many.
        try:
            descriptor = os.open(f"{group}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            # What is shown as one record comes at once (fs/seq_file.c: seq_read_iter).
            found[file] = os.read(descriptor, _AT_ONCE).decode("ascii", errors="replace").strip()
        except OSError:
            pass
        finally:
            os.close(descriptor)
    return found


def read_cpu_max(text: str) -> int | str:
    """The quota per period of 100 ms, whatever period cpu.max is written in; ``max`` for no limit."""
    quota, _blank, period = text.partition(" ")
    # Rounded up: what is written from it, rounded down, is then the same quota again.
    return quota if quota == MAX else -(-int(quota) * CPU_PERIOD // int(period or CPU_PERIOD))


def read_cpu_period(text: str) -> int:
    return int(text.partition(" ")[2] or CPU_PERIOD)


def write_cpu_max(quota: int | str, period: int = CPU_PERIOD) -> str:
    """The text of cpu.max; one number alone would keep whatever period there is."""
    return f"{quota if isinstance(quota, str) else quota * period // CPU_PERIOD} {period}"


_ONLINE = {"cpuset_cpus": "/sys/devices/system/cpu/present", "cpuset_mems": "/sys/devices/system/node/online"}


def online() -> dict[str, str]:
    """The cpus and memory nodes of the host, as lists; a kernel without NUMA has node 0."""
    return {option: (files.read(place) or "0").strip() for option, place in _ONLINE.items()}


def known(model: str, file: str) -> bool:
    """Whether groups that have one control file have another one, too: not every kernel is built with all of them."""
    groups = [entry.path for entry in os.scandir(MOUNT) if entry.is_dir(follow_symlinks=False)]
    models = [group for group in groups if os.path.exists(f"{group}/{model}")]
    return not models or any(os.path.exists(f"{group}/{file}") for group in models)


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
        # A link more than its own two for each group in it (fs/kernfs/inode.c: kernfs_refresh_inode). Most have none,
        # and listing their control files takes longer than all else.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(group).st_nlink != _OWN_LINKS:
                yield from walk(group)
        yield group


def processes(group: str) -> list[int]:
    """The processes of a group and of all groups below it."""
    pids = (read(group, "cgroup.procs") or "").split()
    for child in walk(group):
        pids += (read(child, "cgroup.procs") or "").split()
    return [int(pid) for pid in pids]


def move(group: str, pid: int) -> bool:
    """Move a process into a group; False where it has ended.

    Raises:
        StrataError: The kernel refused.
    """
    try:
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as handle:
            handle.write(str(pid))
    except ProcessLookupError:
        return False
    except OSError as error:
        reasons = {
            errno.EBUSY: "the group passes controllers on to groups in it, so it can hold no processes itself",
            errno.EINVAL: "it is a thread of the kernel",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise StrataError(f"could not move the process {pid} to {group}: {reason}") from None
    return True


def freeze(group: str, frozen: bool, timeout: float = 30) -> None:
    """Stop the processes of a group where they are, or let them go on, and wait until that is so."""
    write(group, "cgroup.freeze", str(int(frozen)))
    if frozen:
        until(lambda: "frozen 1" in (read(group, "cgroup.events") or ""), f"the processes of {group} to stop", timeout)


def kill(group: str, timeout: float = 30) -> None:
    """Kill every process of a group and of all groups below it; what they fork meanwhile, too."""
    write(group, "cgroup.kill", "1")  # Linux 5.14
    until(lambda: "populated 0" in (read(group, "cgroup.events") or ""), f"the processes of {group} to end", timeout)


def delegated(group: str) -> bool:
    """Whether systemd has handed over a group, or one that it lies in (systemd: docs/CGROUP_DELEGATION.md)."""
    while group.startswith(f"{MOUNT}/"):
        for mark in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(group, mark) == b"1":
                    return True
            except OSError:
                continue
        group = os.path.dirname(group)
    return False


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

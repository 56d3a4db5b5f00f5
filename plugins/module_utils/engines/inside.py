# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places inside a tree that somebody else controls: nothing in it leads out of it (openat2(2), RESOLVE_IN_ROOT)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import stat
from collections.abc import Iterator

from ..core.errors import StrataError

_SYS_OPENAT2 = 437  # the same everywhere, but for alpha
_NO_MAGICLINKS, _IN_ROOT = 0x02, 0x10
_CONTENT_MAX = 1024**2  # settings that are read this way are far smaller
_REMOVED = " (deleted)"  # fs/d_path.c
_LINKS_MAX = 40  # include/linux/namei.h: MAXSYMLINKS


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _open(top: int, path: str, flags: int = 0) -> int:
    """A handle on a place, by the links as a process sees them whose root is ``top``.

    Raises:
        OSError: It isn't there, or is no directory, or ...
    """
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC | flags, 0, _IN_ROOT | _NO_MAGICLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(_SYS_OPENAT2, top, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    if handle < 0:
        code = ctypes.get_errno()
        if code == errno.ENOSYS:
            raise StrataError("this kernel has no openat2, without which a tree's links can't be trusted: 5.6 has it")
        raise OSError(code, os.strerror(code), path)
    return int(handle)


@contextlib.contextmanager
def tree(path: str) -> Iterator[int]:
    """A handle on a tree.

    Raises:
        OSError: It is not there, or no directory.
    """
    handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def owner(top: int, path: str) -> tuple[int, int] | None:
    """The numbers of the user and the group whose a place is, a link itself and not what it leads to; None: nothing."""
    try:
        handle = _open(top, path, os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        return found.st_uid, found.st_gid
    finally:
        os.close(handle)


def content(top: int, path: str, most: int = _CONTENT_MAX) -> bytes:
    """What is in a plain file; a pipe would keep its reader waiting, and a device may be anything.

    Raises:
        OSError: It isn't there, or may not be read.
        StrataError: It is something else.
    """
    handle = _open(top, path)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise StrataError(f"{path} of the tree is no plain file")
        with open(f"/proc/self/fd/{handle}", "rb") as file:
            return file.read(most)
    finally:
        os.close(handle)


def nodes(top: int, path: str, most: int = 1000) -> dict[str, os.stat_result]:
    """What is in a folder of the tree, a link itself and not what it leads to; the first of very many.

    Raises:
        OSError: It isn't there, or is no directory.
    """
    place = _open(top, path, os.O_DIRECTORY)
    try:
        # A handle that only names a place can't be read from.
        handle = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)
    try:
        with os.scandir(handle) as entries:
            return {entry.name: entry.stat(follow_symlinks=False) for entry in itertools.islice(entries, most)}
    finally:
        os.close(handle)


def real(top: int, path: str) -> str | None:
    """Where a place of the tree is on the host; None where it isn't there."""
    try:
        handle = _open(top, path)
    except OSError:
        return None
    try:
        name = os.readlink(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    # A mount shows what its source has removed since: the place is as before, and d_path() says more than that.
    return name[: -len(_REMOVED)] if name.endswith(_REMOVED) and not os.path.lexists(name) else name


def mount_id(handle: int) -> int:
    """The number of the mount in which an open place lies (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


@contextlib.contextmanager
def place(top: int, path: str, writable: set[int], *, directory: bool) -> Iterator[int]:
    """A handle on a place, which stays the same place whatever happens to the tree; it is made where it is missing.

    Args:
        top: The tree.
        path: The place.
        writable: The mounts in which things may be made: not what is the host's and only shown in the tree.
        directory: Whether a directory is made; else an empty file.

    Raises:
        StrataError: It can't be made, or is there as something else.
    """
    try:
        handle = _made(top, path, writable, directory, _LINKS_MAX)
    except OSError as error:
        raise StrataError(f"could not make {path} in the tree: {error.strerror}") from None
    try:
        if os.path.isdir(f"/proc/self/fd/{handle}") != directory:
            raise StrataError(f"{path} of the tree is {'no' if directory else 'a'} directory")
        yield handle
    finally:
        os.close(handle)


def _made(top: int, path: str, writable: set[int], directory: bool, links: int) -> int:
    try:
        return _open(top, path)
    except OSError as error:
        if error.errno != errno.ENOENT or not links:
            raise
    above, _slash, name = path.rstrip("/").rpartition("/")
    parent = _made(top, above or "/", writable, True, links - 1)
    try:
        try:
            target = os.readlink(name, dir_fd=parent)
        except OSError:
            if mount_id(parent) not in writable:
                raise StrataError(
                    f"{path} isn't there, and what is there of its way is not the tree's own", hint="Make it yourself"
                ) from None
            with contextlib.suppress(FileExistsError):  # neither of them follows a link that came up meanwhile
                if directory:
                    os.mkdir(name, 0o755, dir_fd=parent)
                else:
                    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
            return _open(top, path)
    finally:
        os.close(parent)
    # A link to something that isn't there yet: it is made where the link leads, which is within the tree.
    return _made(top, target if target.startswith("/") else f"{above}/{target}", writable, directory, links - 1)


@contextlib.contextmanager
def beside(top: int, path: str) -> Iterator[str]:
    """A name for a place by the directory that it is in, which doesn't keep what is mounted there busy.

    Raises:
        OSError: The directory is gone.
    """
    above, _slash, name = path.rstrip("/").rpartition("/")
    handle = _open(top, above or "/", os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)

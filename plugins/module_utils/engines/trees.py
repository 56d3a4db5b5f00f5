# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and files as wholes: compared by content, put in place in one step, taken away safely."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import command
from ..core.errors import StrataError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # include/uapi/linux/fs.h


def digest(top: str) -> str:
    """A hash of a directory's names, modes, link targets and contents; owners and times don't count."""
    whole = hashlib.sha256()
    for folder, below, names in os.walk(top):
        below.sort()
        for name in sorted([*below, *names]):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            whole.update(f"{os.path.relpath(path, top)}\0{info.st_mode:o}\0".encode(errors="surrogateescape"))
            if os.path.islink(path):
                whole.update(os.readlink(path).encode(errors="surrogateescape"))
            elif os.path.isfile(path):
                whole.update(_file_digest(path))
    return whole.hexdigest()


def _file_digest(path: str) -> bytes:
    content = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1024**2), b""):
            content.update(chunk)
    return content.digest()


def pack(top: str, path: str) -> None:
    """Make a tar archive of the files below a directory, as root's own.

    Directories are left out, so that those which are there where it is unpacked keep their owners and modes; group
    and others get no right to write, whatever the umask was when the files were made.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder, below, names in os.walk(top):
            below.sort()
            for name in sorted([*names, *(name for name in below if os.path.islink(os.path.join(folder, name)))]):
                file = os.path.join(folder, name)
                archive.add(file, os.path.relpath(file, top), recursive=False, filter=_as_roots)


def _as_roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode &= 0o755
    return entry


@contextmanager
def held(path: str) -> Iterator[int]:
    """Hold a place while something is made there: whoever else makes it waits.

    Yields:
        A handle. Programs that inherit it hold the place on when this process is killed.
    """
    lock = f"{path}.strata-lock"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(lock) and os.path.samestat(os.stat(lock), os.fstat(handle)):
            break
        os.close(handle)  # whoever held it has removed it meanwhile
    try:
        yield handle
    finally:
        os.unlink(lock)
        os.close(handle)


def swap(fresh: str, path: str) -> None:
    """Put ``fresh`` where ``path`` is, in one step; what was at ``path`` is then at ``fresh``.

    Raises:
        StrataError: The file system refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(fresh), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE)
    if done == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.ENOENT, errno.EINVAL, errno.ENOSYS):
        raise StrataError(f"could not put {path} in place: {os.strerror(code)}")
    # Nothing there yet, or a file system that can't exchange: then there is a moment with neither.
    aside = f"{path}.strata-previous"
    if os.path.lexists(path):
        os.rename(path, aside)
    os.rename(fresh, path)
    if os.path.lexists(aside):
        os.rename(aside, fresh)


def remove(path: str) -> None:
    """Take a file or a whole directory away, never crossing into something mounted below it.

    Raises:
        StrataError: Something is mounted there, or the file system refused.
    """
    if not os.path.lexists(path):
        return
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    mounted = _mounts_below(path)
    if mounted:
        raise StrataError(f"{path} has {', '.join(mounted)} mounted in it", hint="Unmount it first")
    try:
        shutil.rmtree(path)
    except PermissionError:
        _remove_mapped(path)
    except OSError as error:
        raise StrataError(f"could not remove {path}: {error.strerror} ({error.filename})") from None


def _remove_mapped(path: str) -> None:
    """Remove what belongs to the user's subordinate IDs, as a tree does that was made without root."""
    if os.geteuid() == 0:
        raise StrataError(f"could not remove {path}: not permitted", hint="See lsattr(1)")
    tool = command.need("unshare", "util-linux")
    command.run([tool, "--map-root-user", "--map-auto", "rm", "-rf", "--one-file-system", "--", path])


def _mounts_below(top: str) -> list[str]:
    prefix = os.path.realpath(top) + "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = (line.split()[4] for line in file)
        # proc_pid_mountinfo(5): blanks and backslashes are octal
        decoded = (point.encode().decode("unicode_escape") if "\\" in point else point for point in points)
        return sorted(point for point in decoded if point.startswith(prefix))

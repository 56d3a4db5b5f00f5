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
import struct
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..core import command
from ..core.errors import StrataError
from . import mounts

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # include/uapi/linux/fs.h
_BTRFS_IOC_SUBVOL_CREATE = 0x5000940E  # include/uapi/linux/btrfs.h: _IOW(0x94, 14, struct btrfs_ioctl_vol_args)
_BTRFS_IOC_SNAP_CREATE_V2 = 0x50009417  # _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)
_BTRFS_NAME_MAX = 4088
_BTRFS_NAME_MAX_V2 = 4040
_BTRFS_TOP_INODE = 256  # include/uapi/linux/btrfs_tree.h: BTRFS_FIRST_FREE_OBJECTID


@dataclass(frozen=True)
class Work:
    """Where something is made before it is put in its place: everything of it in one folder, beside that place.

    Attributes:
        folder: The folder.
        handles: Open files that programs inherit, so that they hold the place on when this process is killed.
        mapped: The tree belongs to subordinate IDs of the user. A directory can't be moved to another one by who may
            not write to it (fs/namei.c: vfs_rename), so it is beside the folder, as the place where it goes.
    """

    folder: str
    handles: Sequence[int] = ()
    mapped: bool = False

    @property
    def tree(self) -> str:
        return f"{self.folder}.tree" if self.mapped else f"{self.folder}/tree"

    @property
    def archive(self) -> str:
        return f"{self.folder}/tree.tar"


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


def lock(path: str) -> str:
    """The file that is locked by whoever makes something at a path."""
    return f"{path}.strata-lock"


@contextmanager
def held(path: str) -> Iterator[int]:
    """Hold a place while something is made there: whoever else makes it waits.

    Yields:
        A handle. Programs that inherit it hold the place on when this process is killed.
    """
    name = lock(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name) and os.path.samestat(os.stat(name), os.fstat(handle)):
            break
        os.close(handle)  # whoever held it has removed it meanwhile
    try:
        yield handle
    finally:
        os.unlink(name)
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
    if code not in (errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EXDEV):
        raise StrataError(f"could not put {path} in place: {os.strerror(code)}")
    # Nothing there yet, or a file system that can't exchange (btrfs: a subvolume and what is none): then there is a
    # moment with neither.
    aside = f"{fresh}.strata-previous"
    if os.path.lexists(path):
        os.rename(path, aside)
    os.rename(fresh, path)
    if os.path.lexists(aside):
        os.rename(aside, fresh)


def put_aside(path: str, work: Work) -> None:
    """Have something gone from its place in one step: half of a tree would count as a whole one.

    Raises:
        OSError: The file system refused.
    """
    os.mkdir(work.folder, 0o700)
    os.rename(path, work.tree)


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
    mounted = [mount.point for mount in mounts.table().below(os.path.realpath(path))]
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


def sync(path: str) -> None:
    """Have the disk hold what was written to the file system of a path, before others count on it being there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(handle)
    finally:
        os.close(handle)


def on_btrfs(path: str) -> bool:
    """Whether a path is on btrfs, or would be if it were there."""
    holding = mounts.table().holding(os.path.realpath(path))
    return holding is not None and holding.type == "btrfs"


def is_subvolume(path: str) -> bool:
    return os.path.isdir(path) and os.stat(path).st_ino == _BTRFS_TOP_INODE and on_btrfs(path)


def make_subvolume(path: str) -> None:
    """Make an empty subvolume; it is taken away like a directory.

    Raises:
        OSError: It can't be made there.
    """
    folder, name = os.path.split(path)
    argument = bytearray(8) + os.fsencode(name).ljust(_BTRFS_NAME_MAX, b"\0")
    with _directory(folder) as handle:
        fcntl.ioctl(handle, _BTRFS_IOC_SUBVOL_CREATE, argument)


def snapshot(source: str, path: str) -> None:
    """Make a subvolume that holds what another one does right now, and shares its blocks.

    Raises:
        OSError: They are not of one btrfs.
    """
    folder, name = os.path.split(path)
    with _directory(source) as old, _directory(folder) as handle:
        # fd, transid, flags, unused[4], name
        argument = bytearray(struct.pack(f"qQQ32x{_BTRFS_NAME_MAX_V2}s", old, 0, 0, os.fsencode(name)))
        fcntl.ioctl(handle, _BTRFS_IOC_SNAP_CREATE_V2, argument)


@contextmanager
def _directory(path: str) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)

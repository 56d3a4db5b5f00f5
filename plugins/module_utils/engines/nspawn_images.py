# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of systemd-nspawn: the trees and disks that machines run from (machinectl(1), "Files and Directories").

What machined keeps of an image is on the image itself: a directory is read-only by its immutable flag, a subvolume by
a flag of its own, a disk by its mode (systemd: src/shared/discover-image.c, image_make). Names, kinds and that flag are
read without asking it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..core import command, progress
from ..core.codec import MAX
from ..core.errors import StrataError
from . import archives, complaints, mounts, nspawn, occupants, trees
from .complaints import Complaint
from .trees import Work

DIRECTORY, SUBVOLUME, RAW = "directory", "subvolume", "raw"
SUFFIX = nspawn.DISK
READ_ONLY = "read-only image"
"""The sort of thing that an image is, beside a path, of which machines are made clones."""

LOCKS = "/run/systemd/nspawn/locks"
_PACKAGE = "systemd-container"
_FLOCK = "hhqqi4x"  # struct flock, on 64 bits (fcntl(2))

_FLAGS = {
    # How to ask for the flags, how to set them, the one that counts, and how the kernel packs them
    DIRECTORY: (0x80086601, 0x40086602, 0x10, "i"),  # include/uapi/linux/fs.h: FS_IOC_GETFLAGS, FS_IMMUTABLE_FL
    SUBVOLUME: (0x80089419, 0x4008941A, 0x02, "Q"),  # include/uapi/linux/btrfs.h: BTRFS_IOC_SUBVOL_GETFLAGS
}
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

PULLING = (
    Complaint(
        r"DOWNLOAD INVALID|[Ss]ignature verification failed|checksum.*(?:not match|did not)|tampered",
        "source",
        "It isn't what its publisher signed; where nobody did, verify: checksum needs SHA256SUMS alone",
    ),
    Complaint(
        r"Failed to retrieve|HTTP request .* failed|[Cc]ould(?: not|n't) (?:resolve|connect)|Wrong URL",
        "source",
        "Check the URL, that the host may reach it, and that SHA256SUMS is beside it",
    ),
)


@dataclass(frozen=True)
class Image:
    """An image as it is there.

    Attributes:
        path: The tree, or the file of the disk.
        type: ``directory``, ``subvolume`` (of btrfs) or ``raw``.
        read_only: Machines may not write to it.
    """

    path: str
    type: str
    read_only: bool


def find(name: str) -> Image | None:
    """The image of a name; a symbolic link is none, but a machine's way to one."""
    path = nspawn.image_path(name)
    for place in (path, path + SUFFIX):
        try:
            mode = os.lstat(place).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode) and place == path:
            type_ = SUBVOLUME if trees.is_subvolume(place) else DIRECTORY
            return Image(place, type_, _flag(place, type_))
        if stat.S_ISREG(mode) and place != path:
            return Image(place, RAW, not mode & _WRITABLE)
    return None


def names() -> list[str]:
    """Every image that machinectl lists, but for its hidden ones, which begin with a dot."""
    try:
        entries = os.listdir(nspawn.IMAGES)
    except OSError:
        return []
    found = {entry.removesuffix(SUFFIX) for entry in entries}
    return sorted(name for name in found if nspawn.is_name(name) and find(name) is not None)


def machines() -> dict[str, list[str]]:
    """The names that lead to an image by a symbolic link, by its path."""
    found: dict[str, list[str]] = {}
    with contextlib.suppress(OSError), os.scandir(nspawn.IMAGES) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                found.setdefault(os.path.realpath(entry.path), []).append(entry.name.removesuffix(SUFFIX))
    return found


# Read-only or not.


def _flag(path: str, type_: str) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bool(_flags(handle, type_) & _FLAGS[type_][2])
    except OSError:
        return False  # This file system has no such flag.
    finally:
        os.close(handle)


def _flags(handle: int, type_: str) -> int:
    ask, _set, _bit, packed = _FLAGS[type_]
    return int(struct.unpack(packed, fcntl.ioctl(handle, ask, struct.pack(packed, 0)))[0])


def set_read_only(image: Image, wanted: bool) -> None:
    """Let machines write to an image, or not, as ``machinectl read-only`` does.

    Raises:
        StrataError: The file system has no such flag.
    """
    if image.type == RAW:
        os.chmod(image.path, 0o444 if wanted else 0o600)
        return
    _ask, put, bit, packed = _FLAGS[image.type]
    handle = os.open(image.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = _flags(handle, image.type)
        fcntl.ioctl(handle, put, struct.pack(packed, flags | bit if wanted else flags & ~bit))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
            raise
        raise StrataError(
            f"the file system of {image.path} has no immutable flag",
            option="read_only",
            hint="ext4, xfs and btrfs have one",
        ) from None
    finally:
        os.close(handle)


# How large it may get.


def limits(names: Sequence[str]) -> dict[str, int | str]:
    """The limits of images that are subvolumes; one program for all of them."""
    if not names:
        return {}
    argv = [command.need("machinectl", _PACKAGE), "show-image", "--property=Limit", "--", *names]
    said = [line.partition("=")[2] for line in command.run(argv).stdout.splitlines() if line.startswith("Limit=")]
    return {name: _limit(text) for name, text in zip(names, said)}


def _limit(text: str) -> int | str:
    return int(text) if text.isdigit() and int(text) < 2**64 - 1 else MAX


def set_limit(name: str, limit: int | str) -> None:
    """Hold a subvolume to a size.

    Raises:
        StrataError: Its file system counts nothing.
    """
    done = command.run(
        [command.need("machinectl", _PACKAGE), "set-limit", "--", name, "-" if limit == MAX else str(limit)],
        check=False,
    )
    if done.returncode != 0:
        hint = f"Have btrfs count what is used: btrfs quota enable {nspawn.IMAGES}"
        raise StrataError(command.failure(done), option="limit", value=limit, hint=hint)


# Who uses it.


def _lock(path: str) -> str:
    """The file that systemd-nspawn locks (systemd: src/shared/discover-image.c, image_path_lock)."""
    info = os.stat(path)
    return f"{LOCKS}/inode-{info.st_dev}:{info.st_ino}"


def _ask(handle: int, how: int) -> int:
    """Take a lock of one's own on an open file, or ask who keeps one from it: the sort of that lock."""
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return int(struct.unpack(_FLOCK, fcntl.fcntl(handle, how, wanted))[0])


def held(path: str) -> bool:
    """Whether a machine runs from an image."""
    try:
        handle = os.open(_lock(path), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _ask(handle, fcntl.F_OFD_GETLK) != fcntl.F_UNLCK
    finally:
        os.close(handle)


@contextlib.contextmanager
def unused(path: str) -> Iterator[None]:
    """Hold an image, as a machine does that may write to it: none can start from it meanwhile.

    Raises:
        StrataError: A machine runs from it.
    """
    name = _lock(path)
    os.makedirs(LOCKS, mode=0o700, exist_ok=True)
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _ask(handle, fcntl.F_OFD_SETLK)
        except OSError:
            os.close(handle)
            raise mounts.busy(path, occupants.users(path) or ["a machine"]) from None
        if os.fstat(handle).st_nlink:
            break
        os.close(handle)  # whoever held it has removed it meanwhile
    try:
        yield
    finally:
        os.unlink(name)
        os.close(handle)


# Making one.


def fresh(name: str) -> str:
    """The folder in which one is made: hidden from machinectl, and held by ``trees.held`` of the image's path."""
    return f"{nspawn.IMAGES}/.{name}.strata-next"


def begun(name: str) -> list[str]:
    """What was begun and not finished."""
    return sorted(glob.glob(glob.escape(fresh(name)) + "*"))


def sweep(name: str) -> None:
    """Take away what was begun and not finished."""
    discard(begun(name))


def can_snapshot(source: str) -> bool:
    """Whether a tree can be taken as it stands at one moment, into the folder of the images."""
    if not trees.is_subvolume(source) or not trees.on_btrfs(nspawn.IMAGES):
        return False
    table = mounts.table()
    holding = [table.holding(os.path.realpath(path)) for path in (source, nspawn.IMAGES)]
    return len({mount.device for mount in holding if mount}) == 1


def copy_tree(source: str, work: Work) -> str:
    """Copy a tree: by a snapshot where btrfs can, else with owners, times, links, attributes, sharing blocks.

    Raises:
        StrataError: The disk is full, or something can't be read.
    """
    source = os.path.realpath(source)  # cp would copy a link to it
    if can_snapshot(source):
        trees.snapshot(source, work.tree)
        return work.tree
    make_tree(work)
    progress.say(f"copying {source}")
    argv = [command.need("cp", "coreutils"), "--archive", "--one-file-system", "--reflink=auto", "-T", "--"]
    complaints.run([*argv, source, work.tree], lambda line: None, (), handles=work.handles)
    return work.tree


def copy_disk(source: str, path: str, handles: Sequence[int] = ()) -> str:
    """Copy a disk, its holes and shared blocks as they are."""
    progress.say(f"copying {source}")
    argv = [command.need("cp", "coreutils"), "--reflink=auto", "--sparse=auto", "--no-target-directory", "--"]
    complaints.run([*argv, source, path], lambda line: None, (), handles=handles)
    os.chmod(path, 0o600)
    return path


def copy(image: Image, work: Work) -> str:
    """Copy an image, and say where the copy is."""
    if image.type == RAW:
        return copy_disk(image.path, f"{work.folder}/disk{SUFFIX}", work.handles)
    return copy_tree(image.path, work)


def make_tree(work: Work) -> None:
    """An empty tree: a subvolume where there can be one, as machined makes them."""
    if trees.on_btrfs(work.folder):
        trees.make_subvolume(work.tree)
    else:
        os.mkdir(work.tree)
    os.chmod(work.tree, 0o755)


def unpack(archive: str, work: Work, *, devices: bool) -> str:
    """Make a tree of an archive, and look for what is not to be in it."""
    make_tree(work)
    archives.unpack(archive, work)
    archives.vet(work.tree, devices=devices)
    return work.tree


def puller() -> list[str]:
    """The program that pulls: importctl since systemd 256, machinectl before.

    Raises:
        StrataError: Neither is installed.
    """
    newer = command.find("importctl")
    if newer:
        return [newer, "--class=machine", "--keep-download=no"]
    return [command.need("machinectl", _PACKAGE)]


def pull(what: str, url: str, verify: str, local: str, handles: Sequence[int]) -> str:
    """Have systemd-importd download and verify an image, and say where it is.

    Args:
        what: ``tar`` or ``raw``.
        url: Of http or https.
        verify: ``signature``, ``checksum`` or ``no``.
        local: The name that it gets.
        handles: Open files that the program inherits.

    Raises:
        StrataError: It can't be reached, or isn't what it should be.
    """
    argv = [*puller(), f"--verify={verify}", f"pull-{what}", url, local]
    complaints.run(argv, lambda line: line if "%" in line else None, PULLING, handles=handles)
    return nspawn.image_path(local) + (SUFFIX if what == "raw" else "")


# Taking one out.


def export(image: Image, path: str) -> None:
    """Write an image to a file, in one step: a tree as an archive, compressed as the name says, a disk as it is.

    Raises:
        StrataError: The disk is full.
    """
    folder, name = os.path.split(path)
    work = f"{folder}/.{name}.strata-next"
    trees.remove(work)
    os.makedirs(work, mode=0o700)
    try:
        if image.type == RAW:
            copy_disk(image.path, f"{work}/{name}")
        else:
            archives.pack_tree(image.path, f"{work}/{name}")
        trees.sync(work)
        os.replace(f"{work}/{name}", path)
    finally:
        trees.remove(work)


def like(path: str) -> list[int] | None:
    """What tells a file from one that was written since; None where there is none."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return [info.st_ino, info.st_size, info.st_mtime_ns]


def discard(paths: Iterable[str]) -> None:
    """Take away trees and disks, read-only ones as well."""
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            type_ = SUBVOLUME if trees.is_subvolume(path) else DIRECTORY
            if _flag(path, type_):
                set_read_only(Image(path, type_, True), False)
        trees.remove(path)

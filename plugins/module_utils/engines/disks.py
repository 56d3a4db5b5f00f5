# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images made of trees, by mke2fs, without mounting anything."""

from __future__ import annotations

import os

from ..core import command, progress
from . import bootstrap, qemu_img
from .trees import Work

LABEL = "root"

# As root of a user namespace: owners as in the archive, and not as of the user who makes the disk. Device nodes can't
# be made there, and the kernel makes them anyway. $1 archive, $2 scratch directory, $3 mke2fs, $4… its arguments
_MAPPED = """
chmod 755 "$2"
tar --directory "$2" --xattrs --xattrs-include='*' --numeric-owner --exclude='./dev/*' \\
    --extract --preserve-permissions --file "$1"
shift
tree=$1
shift
exec "$@" -d "$tree"
"""


def ext4(work: Work, path: str, size: int) -> None:
    """Make a disk image with one ext4 file system of a tree, or of an archive where there is no root.

    Args:
        work: Where the tree is, or the archive.
        path: The image, made anew; blocks that hold nothing take no room.
        size: In bytes.

    Raises:
        StrataError: A program is missing or failed; the message ends with its last lines.
    """
    tool = command.need("mke2fs", "e2fsprogs")
    with open(path, "xb") as file:
        file.truncate(size)
    lazy = "lazy_itable_init=1,lazy_journal_init=1"
    argv = [tool, "-q", "-F", "-t", "ext4", "-m", "0", "-E", lazy, "-L", LABEL, path]
    progress.say(f"writing a disk of {size // 1024**2} MiB")
    if bootstrap.rootless():
        scratch = f"{work.folder}/mapped"
        os.mkdir(scratch)
        unshare = [command.need("unshare", "util-linux"), "--map-root-user", "--map-auto", "--fork"]
        command.run([*unshare, "sh", "-e", "-c", _MAPPED, "sh", work.archive, scratch, *argv])
    else:
        command.run([*argv, "-d", work.tree])


def as_qcow2(source: str, path: str) -> None:
    """Make a qcow2 image of a raw one."""
    qemu_img.convert(source, path, "qcow2")

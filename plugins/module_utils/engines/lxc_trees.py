# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file systems of LXC containers: copied as they are, and put in each other's place.

LXC's own lxc-copy and lxc-snapshot run hooks on the host and write the guest's /etc/hostname by its path, which a link
in the guest can lead anywhere (LXC: lxccontainer.c, clone_update_rootfs). What is here never goes through a link.
"""

from __future__ import annotations

import os

from ..core import command, progress
from ..core.errors import StrataError
from . import trees


def path(rootfs: str | None) -> str | None:
    """The directory that an ``lxc.rootfs.path`` names; None where it is something else, as an overlay or a volume."""
    text = (rootfs or "")[4:] if (rootfs or "").startswith("dir:") else rootfs or ""
    return text if text.startswith("/") and ":" not in text else None


def copy(source: str, target: str) -> None:
    """Copy a tree, with owners, times, links, extended attributes and device nodes, sharing blocks where it can.

    Whatever is at the target is not a whole one, and goes first. It appears there whole, or not at all.

    Raises:
        StrataError: The disk is full, or something can't be read.
    """
    work = f"{target}.strata-new"
    trees.remove(work)
    progress.say(f"copying {source}")
    argv = [command.need("cp", "coreutils"), "--archive", "--one-file-system", "--reflink=auto", "-T", "--"]
    try:
        command.run([*argv, source, work])
    except StrataError:
        trees.remove(work)
        raise
    trees.sync(work)
    trees.remove(target)
    os.rename(work, target)


def replace(source: str, target: str) -> None:
    """Put a copy of a tree where another one is, which goes away.

    Raises:
        StrataError: The disk is full; what was there still is.
    """
    fresh = f"{target}.strata-copy"
    copy(source, fresh)
    trees.swap(fresh, target)
    trees.remove(fresh)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of Debian and its relatives, by mmdebstrap, and disks made of them, by mke2fs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core import command, progress

_STEP = re.compile(r"I: (.*)")


@dataclass(frozen=True)
class Debian:
    """What goes into a tree.

    Attributes:
        suite: The release.
        mirror: Where its packages are; None: where the host's own apt gets them.
        variant: Which packages besides those named (mmdebstrap(1), VARIANTS).
        packages: More of them.
        components: The parts of the archive.
        overlay: A folder whose files are laid over the tree before packages are configured.
        run: Programs to run inside, at the end.
        extract: Files to copy out of it, by where they go.
    """

    suite: str
    mirror: str | None = None
    variant: str = "minbase"
    packages: Sequence[str] = ()
    components: Sequence[str] = ("main",)
    overlay: str | None = None
    run: Sequence[Sequence[str]] = ()
    extract: Mapping[str, str] | None = None


def _hook(*words: str) -> str:
    """A hook is a line of shell, with the tree as its first parameter: everything else in it is quoted."""
    return " ".join('"$1"' if word == "$1" else shlex.quote(word) for word in words)


def debootstrap(debian: Debian, path: str, format: str) -> None:
    """Make a tree: a directory, or a tar archive.

    Raises:
        StrataError: mmdebstrap is missing or failed; the message ends with its last lines.
    """
    tool = command.need("mmdebstrap", "mmdebstrap")
    argv = [tool, f"--format={format}", f"--variant={debian.variant}", f"--components={','.join(debian.components)}"]
    argv += [f"--mode={'root' if os.geteuid() == 0 else 'unshare'}"]
    if debian.packages:
        argv += [f"--include={','.join(debian.packages)}"]
    argv += ["--aptopt=APT::Install-Recommends \"false\"", '--aptopt=Acquire::Languages "none"']
    # Files of the overlay that are configuration files of packages, too, stay as the overlay has them.
    argv += ["--dpkgopt=force-confold", "--dpkgopt=force-unsafe-io"]
    argv += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    if debian.overlay:
        argv += [f"--essential-hook={_hook('sync-in', debian.overlay, '/')}"]
    for words in debian.run:
        argv += [f"--customize-hook={_hook('chroot', '$1', *words)}"]
    for target, source in (debian.extract or {}).items():
        argv += [f"--customize-hook={_hook('download', source, target)}"]
    progress.run([*argv, debian.suite, path, *([debian.mirror] if debian.mirror else [])], _tell)


def _tell(line: str) -> str | None:
    found = _STEP.fullmatch(line)
    return found.group(1) if found else None


def disk(tree: str, path: str, size: int, label: str) -> None:
    """Make a disk image with one ext4 file system, filled from a directory, without mounting anything.

    Args:
        tree: The directory.
        path: The image, made anew; blocks that hold nothing take no room.
        size: In bytes.
        label: The file system's label.
    """
    tool = command.need("mke2fs", "e2fsprogs")
    with open(path, "wb") as file:
        file.truncate(size)
    progress.say(f"writing a disk of {size // 1024**2} MiB")
    lazy = "lazy_itable_init=1,lazy_journal_init=1"
    command.run([tool, "-q", "-F", "-t", "ext4", "-m", "0", "-E", lazy, "-L", label, "-d", tree, path])



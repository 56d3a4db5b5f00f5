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
from . import trees

_STEP = re.compile(r"I: (.*)")
_HOOKS = {
    "running special hook: tar-in": "laying the overlay over it",
    "running special hook: download": "taking files out of it",
    "running --customize-hook": "running what is to run in it",
}

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


def rootless() -> bool:
    return os.geteuid() != 0


def debootstrap(debian: Debian, path: str, format: str, handles: Sequence[int] = ()) -> None:
    """Make a tree: a directory, or a tar archive.

    Args:
        debian: What goes into it.
        path: Where; nothing is there yet.
        format: ``directory`` or ``tar``.
        handles: Open files that mmdebstrap inherits.

    Raises:
        StrataError: mmdebstrap is missing or failed; the message ends with its last lines.
    """
    tool = command.need("mmdebstrap", "mmdebstrap")
    if rootless():
        command.need("newuidmap", "uidmap")
    argv = [tool, f"--format={format}", f"--variant={debian.variant}", f"--components={','.join(debian.components)}"]
    argv += [f"--mode={'unshare' if rootless() else 'root'}"]
    if debian.packages:
        argv += [f"--include={','.join(debian.packages)}"]
    argv += ['--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"']
    # Files of the overlay that are configuration files of packages, too, stay as the overlay has them.
    argv += ["--dpkgopt=force-confold", "--dpkgopt=force-unsafe-io"]
    argv += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    overlay = f"{path}.overlay.tar"
    if debian.overlay:
        trees.pack(debian.overlay, overlay)
        argv += [f"--essential-hook={_hook('tar-in', overlay, '/')}"]
    for words in debian.run:
        argv += [f"--customize-hook={_hook('chroot', '$1', *words)}"]
    for target, source in (debian.extract or {}).items():
        argv += [f"--customize-hook={_hook('download', source, target)}"]
    argv += [debian.suite, path, *([debian.mirror] if debian.mirror else [])]
    # What it can't make in place, it makes in a scratch folder: a whole system, which a /tmp in memory may not hold.
    scratch = {"TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
    try:
        progress.run(argv, _tell, env=scratch, handles=handles)
    finally:
        trees.remove(overlay)


def _tell(line: str) -> str | None:
    found = _STEP.fullmatch(line)
    if not found:
        return None
    for words, said in _HOOKS.items():
        if found.group(1).startswith(words):
            return said
    return found.group(1).rstrip(".")


def disk(debian: Debian, path: str, size: int, label: str, handles: Sequence[int] = ()) -> None:
    """Make a disk image with one ext4 file system, without mounting anything.

    Args:
        debian: What goes into it.
        path: The image, made anew; blocks that hold nothing take no room.
        size: In bytes.
        label: The file system's label.
        handles: Open files that the programs inherit.

    Raises:
        StrataError: A program is missing or failed; the message ends with its last lines.
    """
    tool = command.need("mke2fs", "e2fsprogs")
    source, tree = f"{path}.source", f"{path}.tree"
    debootstrap(debian, source, "tar" if rootless() else "directory", handles)
    with open(path, "wb") as file:
        file.truncate(size)
    lazy = "lazy_itable_init=1,lazy_journal_init=1"
    argv = [tool, "-q", "-F", "-t", "ext4", "-m", "0", "-E", lazy, "-L", label, path]
    progress.say(f"writing a disk of {size // 1024**2} MiB")
    if rootless():
        os.mkdir(tree)
        unshare = [command.need("unshare", "util-linux"), "--map-root-user", "--map-auto", "--fork"]
        command.run([*unshare, "sh", "-e", "-c", _MAPPED, "sh", source, tree, *argv])
    else:
        command.run([*argv, "-d", source])
    for leftover in (source, tree):
        trees.remove(leftover)

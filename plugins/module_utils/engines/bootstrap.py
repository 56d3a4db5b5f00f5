# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of Debian and its relatives, by mmdebstrap."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core import command
from . import complaints, trees
from .complaints import Complaint
from .trees import Work

COMPLAINTS = (
    Complaint(
        r"Unable to locate package |has no installation candidate|Couldn't find any package",
        "packages",
        "Check their names, and the components",
    ),
    Complaint(
        r"Could not (?:resolve|connect)|failure resolving|Connection (?:refused|timed out|failed)|No route|unreachable",
        "mirror",
        "Check the mirror, and that the host may reach it",
    ),
    Complaint(
        r"NO_PUBKEY|is not signed|Missing key|couldn't be verified|(?:keyring|key) .*does not exist",
        "keyring",
        "Name the keyring that the archive is signed with",
    ),
    Complaint(r"does not have a Release file", "suite", "Check that the mirror has this suite"),
    Complaint(
        r"unmet dependencies|but it is not (?:going to be installed|installable)",
        "packages",
        "Name what they depend on, or its component",
    ),
)
"""What is nearest to the cause comes first: apt says of an archive that isn't reached that it has no Release, too."""

_STEP = re.compile(r"I: (.*)")
_HOOKS = {
    "running special hook: tar-in": "laying the overlay over it",
    "running special hook: download": "taking files out of it",
    "running --customize-hook": "running what is to run in it",
}


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
        keyring: What the archive is signed with; None: what the host's own apt trusts.
    """

    suite: str
    mirror: str | None = None
    variant: str = "minbase"
    packages: Sequence[str] = ()
    components: Sequence[str] = ("main",)
    overlay: str | None = None
    run: Sequence[Sequence[str]] = ()
    extract: Mapping[str, str] | None = None
    keyring: str | None = None


def _hook(*words: str) -> str:
    """A hook is a line of shell, with the tree as its first parameter: everything else in it is quoted."""
    return " ".join('"$1"' if word == "$1" else shlex.quote(word) for word in words)


def rootless() -> bool:
    return os.geteuid() != 0


def build(debian: Debian, work: Work, *, archive: bool = False) -> None:
    """Make a tree.

    Args:
        debian: What goes into it.
        work: Where; the tree is an empty directory, or isn't there yet.
        archive: Whether an archive is made of it instead, which has the right owners in it without root, too.

    Raises:
        StrataError: mmdebstrap is missing or failed; the message ends with its last lines.
    """
    tool = command.need("mmdebstrap", "mmdebstrap")
    if rootless():
        command.need("newuidmap", "uidmap")
    path, format = (work.archive, "tar") if archive else (work.tree, "directory")
    argv = [tool, f"--format={format}", f"--variant={debian.variant}", f"--components={','.join(debian.components)}"]
    argv += [f"--mode={'unshare' if rootless() else 'root'}"]
    if debian.packages:
        argv += [f"--include={','.join(debian.packages)}"]
    argv += ['--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"']
    # Files of the overlay that are configuration files of packages, too, stay as the overlay has them.
    argv += ["--dpkgopt=force-confold", "--dpkgopt=force-unsafe-io"]
    argv += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    if debian.keyring:
        argv += [f"--keyring={debian.keyring}"]
    if debian.overlay:
        overlay = f"{work.folder}/overlay.tar"
        trees.pack(debian.overlay, overlay)
        argv += [f"--essential-hook={_hook('tar-in', overlay, '/')}"]
    for words in debian.run:
        argv += [f"--customize-hook={_hook('chroot', '$1', *words)}"]
    for target, source in (debian.extract or {}).items():
        argv += [f"--customize-hook={_hook('download', source, target)}"]
    argv += [debian.suite, path, *([debian.mirror] if debian.mirror else [])]
    # What it can't make in place, it makes in a scratch folder: a whole system, which a /tmp in memory may not hold.
    scratch = {"TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
    complaints.run(argv, _tell, COMPLAINTS, env=scratch, handles=work.handles)


def _tell(line: str) -> str | None:
    found = _STEP.fullmatch(line)
    if not found:
        return None
    for words, said in _HOOKS.items():
        if found.group(1).startswith(words):
            return said
    return found.group(1).rstrip(".")

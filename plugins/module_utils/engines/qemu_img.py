# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images changed by qemu-img (qemu-img(1)), and who holds the locks that QEMU takes on those it has open."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Mapping, Sequence

from ..core import command, progress

_SHARE = re.compile(r"\((\d+)\.\d+/100%\)")
_PACKAGE = "qemu-utils (Debian) or qemu-img (Fedora)"
_FLOCK = struct.Struct("hhqqi4x")  # fcntl(2): type, whence, start, length, process
# A byte for each thing that is done with it, and one for each that others may not do (QEMU: block/file-posix.c,
# RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE).
_LOCKS, _LOCKS_END = 100, 300


def in_use(path: str) -> bool:
    """Whether a program of QEMU's has an image open, be it as the base of another. No file: no.

    Asked of the kernel, whose answer has no process: these locks belong to open files (fcntl(2), F_OFD_GETLK).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCKS, _LOCKS_END - _LOCKS, 0)
        return bool(_FLOCK.unpack(fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)
    finally:
        os.close(handle)


def _run(verb: str, *argv: str) -> None:
    command.run([command.need("qemu-img", _PACKAGE), verb, *argv])


def _work(doing: str, verb: str, *argv: str) -> None:
    """Run what may take long, and tell how far it is."""
    line = [command.need("qemu-img", _PACKAGE), verb, "-p", *argv]
    progress.run(line, lambda said: f"{doing} {found.group(1)}%" if (found := _SHARE.match(said)) else None)


def _words(options: Mapping[str, str]) -> list[str]:
    return ["-o", ",".join(f"{name}={value}" for name, value in options.items())] if options else []


def _base(option: str, backing: Mapping[str, str] | None) -> list[str]:
    return [option, backing["path"], "-F", backing["format"]] if backing else []


def create(
    path: str,
    format: str,
    size: int | None,
    backing: Mapping[str, str] | None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Make an empty image.

    Args:
        path: The file.
        format: What qemu-img calls it.
        size: In bytes; None: that of the file below.
        backing: The ``path`` and the ``format`` of the file below it.
        options: Of the format, as ``qemu-img create -o`` takes them.
    """
    sized = [str(size)] if size is not None else []
    _run("create", "-q", "-f", format, *_base("-b", backing), *_words(options or {}), path, *sized)


def convert(
    source: str,
    path: str,
    format: str,
    *,
    source_format: str | None = None,
    backing: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Copy a disk's content into a new image; holes stay holes, and so does what ``backing`` has already."""
    known = ["-f", source_format] if source_format else []
    _work("copied", "convert", *known, "-O", format, *_base("-B", backing), *_words(options or {}), source, path)


def resize(path: str, format: str, size: int, *, shrink: bool = False) -> None:
    """Have a disk of another size."""
    _run("resize", "-q", *(["--shrink"] if shrink else []), "-f", format, path, str(size))


def rebase(path: str, backing: Mapping[str, str] | None, *, safe: bool) -> None:
    """Have an image lie on another one, or on nothing.

    Args:
        path: The image, qcow2.
        backing: The ``path`` and the ``format`` of what is to be below it.
        safe: Copy what the guest would see otherwise; else only the name in the header changes.
    """
    line = ["-f", "qcow2", *(_base("-b", backing) or ["-b", ""]), path]
    if safe:
        _work("compared", "rebase", *line)
    else:
        _run("rebase", "-u", *line)


def amend(path: str, options: Mapping[str, str]) -> None:
    """Change options of a qcow2 image in its place."""
    _work("changed", "amend", "-f", "qcow2", *_words(options), path)


def snapshot(verb: str, path: str, names: Sequence[str]) -> None:
    """Take (``-c``), restore (``-a``) or remove (``-d``) snapshots of a disk that nobody uses."""
    for name in names:
        _run("snapshot", verb, name, path)


def forget(path: str, name: str) -> None:
    """Remove a snapshot of a disk that nobody uses."""
    snapshot("-d", path, [name])

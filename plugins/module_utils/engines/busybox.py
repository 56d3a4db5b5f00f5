# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest tree that runs: one static program, and the names that it answers to."""

from __future__ import annotations

import os
import shutil
import struct

from ..core import command
from ..core.errors import StrataError

PACKAGE = "busybox-static (Debian) or busybox (Fedora)"
_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o555, "root": 0o700, "run": 0o755, "sbin": 0o755}
_FOLDERS |= {"sys": 0o555, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/sbin": 0o755, "var": 0o755}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    # systemd-nspawn and machinectl take nothing for a system that doesn't say what it is (os-release(5))
    "etc/os-release": "ID=busybox\nNAME=BusyBox\n",
}
_PT_INTERP = 3  # elf(5)


def program() -> str:
    """The host's busybox.

    Raises:
        StrataError: It isn't there, or needs libraries that a tree of its own wouldn't have.
    """
    path = os.path.realpath(command.need("busybox", PACKAGE))
    if not _static(path):
        raise StrataError(f"{path} is linked to libraries of this host", hint=f"Install the package {PACKAGE}")
    return path


def _static(path: str) -> bool:
    """Whether a program names no interpreter that would load libraries (elf(5))."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF":
            return False
        order, wide = "<" if head[5] == 1 else ">", head[4] == 2
        start = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)[0]
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        file.seek(start)
        table = file.read(size * count)
    return _PT_INTERP not in [struct.unpack_from(f"{order}I", table, place * size)[0] for place in range(count)]


def build(tree: str) -> None:
    """Fill an empty directory."""
    source = program()
    names = command.run([source, "--list-full"]).stdout.split()
    for folder, mode in _FOLDERS.items():
        os.makedirs(f"{tree}/{folder}", exist_ok=True)
        os.chmod(f"{tree}/{folder}", mode)
    for name, text in _FILES.items():
        with open(f"{tree}/{name}", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(f"{tree}/{name}", 0o644)
    shutil.copyfile(source, f"{tree}/bin/busybox")
    os.chmod(f"{tree}/bin/busybox", 0o755)
    for name in names:
        place = f"{tree}/{name}"
        if os.path.isdir(os.path.dirname(place)) and not os.path.lexists(place):
            os.symlink("/bin/busybox", place)

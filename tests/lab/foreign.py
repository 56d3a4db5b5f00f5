# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs for another processor, and what the kernel runs them with.

The emulator is a stand-in: a shell that is started in the way in which binfmt_misc starts QEMU's. All else is real.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.lab.driver import run

PLATFORM = "linux/arm64"
RECIPE = ("COPY program /program", 'RUN ["/program", "one two"]')
"""Steps of a build that runs it, after which its image has a file "/made"."""
MADE = "/program one two\n"
# The head of an ELF file: 64 bits, little endian, a program that is executed, for AArch64 (elf(5)).
_HEAD = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00"
_SCRIPT = b'\necho "$0" "$@" >/made\n'
_FORMATS = Path("/proc/sys/fs/binfmt_misc")
_NAME = "strata-test"


def program(folder: Path) -> None:
    """Write one into a folder: to a kernel that is of another processor it is nothing else. No cache knows it."""
    path = folder / "program"
    path.write_bytes(_HEAD + _SCRIPT + f"# {uuid.uuid4()}\n".encode())
    path.chmod(0o755)


@contextlib.contextmanager
def emulated(folder: Path) -> Iterator[None]:
    """Have the kernel run such programs, also in roots that have no emulator: it keeps it open (flag F)."""
    run("modprobe", "binfmt_misc")
    if not (_FORMATS / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(_FORMATS))
    shell = folder / "sh"
    shutil.copy(shutil.which("busybox"), shell)
    magic = "".join(f"\\x{byte:02x}" for byte in _HEAD)
    (_FORMATS / "register").write_text(f":{_NAME}:M::{magic}::{shell}:F")
    try:
        yield
    finally:
        (_FORMATS / _NAME).write_text("-1")

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images: read from their header, without a process; changed by qemu-img.

The header is laid down in QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..core import command
from ..core.errors import StrataError

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQ")  # magic, version, backing offset, backing length, cluster bits, size
_BACKING_FORMAT = 0xE2792ACA
_END = 0
_PACKAGE = "qemu-utils (Debian) or qemu-img (Fedora)"


@dataclass(frozen=True)
class Image:
    """What an image's own header says. Sizes in bytes, as the guest sees the disk."""

    format: str
    size: int
    backing: str | None = None
    backing_format: str | None = None


def read(path: str) -> Image | None:
    """An image, None where there is no file. Everything that isn't qcow2 counts as raw."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StrataError(f"could not read {path}: {error.strerror}") from None
    if len(head) < 104 or not head.startswith(_MAGIC):
        return Image("raw", os.stat(path).st_size)
    _magic, version, offset, length, _bits, size = _HEADER.unpack_from(head)
    backing = head[offset : offset + length].decode(errors="surrogateescape") if offset else None
    start = struct.unpack_from(">I", head, 100)[0] if version >= 3 else 72
    return Image("qcow2", size, backing, _extension(head, start, _BACKING_FORMAT))


def _extension(head: bytes, start: int, wanted: int) -> str | None:
    """A header extension's text: type, length and data, padded to eight bytes, until the type 0."""
    while start + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, start)
        if kind == _END:
            return None
        if kind == wanted:
            return head[start + 8 : start + 8 + length].decode()
        start += 8 + (length + 7) // 8 * 8
    return None


def create(path: str, format: str, size: int | None, backing: Mapping[str, str] | None) -> None:
    """Make an empty image; ``backing`` has the path and the format of the file below it."""
    tool = command.need("qemu-img", _PACKAGE)
    base = ["-b", backing["path"], "-F", backing["format"]] if backing else []
    command.run([tool, "create", "-q", "-f", format, *base, path, *([str(size)] if size is not None else [])])


def convert(source: str, path: str, format: str) -> None:
    """Copy a disk's content into a new image; holes stay holes."""
    command.run([command.need("qemu-img", _PACKAGE), "convert", "-O", format, source, path])


def resize(path: str, format: str, size: int) -> None:
    """Grow a disk.

    Raises:
        StrataError: Among others: a running QEMU holds the lock of the image.
    """
    command.run([command.need("qemu-img", _PACKAGE), "resize", "-q", "-f", format, path, str(size)])

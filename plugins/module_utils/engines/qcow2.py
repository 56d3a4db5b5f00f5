# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images: read from their header, without a process; changed by qemu-img.

The header is laid down in QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ..core import command, progress
from ..core.errors import StrataError

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQ")  # magic, version, backing offset, backing length, cluster bits, size
_SNAPSHOTS = struct.Struct(">IQ")  # number, offset
_SNAPSHOTS_AT = 60
_SNAPSHOT = struct.Struct(">QIHHIIQII")  # …, length of the id, of the name, …, of the extra data
_BACKING_FORMAT = 0xE2792ACA
_END = 0
_SHARE = re.compile(r"\((\d+)\.\d+/100%\)")
_PACKAGE = "qemu-utils (Debian) or qemu-img (Fedora)"


@dataclass(frozen=True)
class Image:
    """What an image's own header says. Sizes in bytes, as the guest sees the disk."""

    format: str
    size: int
    backing: str | None = None
    backing_format: str | None = None
    snapshots: tuple[str, ...] = ()


def read(path: str) -> Image | None:
    """An image, None where there is no file. Everything that isn't qcow2 counts as raw."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if len(head) < 104 or not head.startswith(_MAGIC):
                return Image("raw", os.fstat(file.fileno()).st_size)
            snapshots = tuple(_snapshots(file, *_SNAPSHOTS.unpack_from(head, _SNAPSHOTS_AT)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StrataError(f"could not read {path}: {error.strerror}") from None
    except struct.error:
        raise StrataError(f"{path} is a damaged qcow2 image", hint="See qemu-img check") from None
    _magic, version, offset, length, _bits, size = _HEADER.unpack_from(head)
    backing = head[offset : offset + length].decode(errors="surrogateescape") if offset else None
    start = struct.unpack_from(">I", head, 100)[0] if version >= 3 else 72
    return Image("qcow2", size, backing, _extension(head, start, _BACKING_FORMAT), snapshots)


def _snapshots(file: BinaryIO, number: int, offset: int) -> Iterator[str]:
    """The names in the table of snapshots: entries of varying length, padded to eight bytes."""
    for _entry in range(number):
        file.seek(offset)
        entry = _SNAPSHOT.unpack(file.read(_SNAPSHOT.size))
        id_length, name_length, extra = entry[2], entry[3], entry[8]
        text = file.read(extra + id_length + name_length)[extra + id_length :]
        yield text.decode(errors="surrogateescape")
        offset += (_SNAPSHOT.size + extra + id_length + name_length + 7) // 8 * 8


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
    argv = [command.need("qemu-img", _PACKAGE), "convert", "-p", "-O", format, source, path]
    progress.run(argv, lambda line: f"copied {found.group(1)}%" if (found := _SHARE.match(line)) else None)


def forget(path: str, snapshot: str) -> None:
    """Remove a snapshot of a disk that nobody uses."""
    command.run([command.need("qemu-img", _PACKAGE), "snapshot", "-d", snapshot, path])


def resize(path: str, format: str, size: int) -> None:
    """Grow a disk.

    Raises:
        StrataError: Among others: a running QEMU holds the lock of the image.
    """
    command.run([command.need("qemu-img", _PACKAGE), "resize", "-q", "-f", format, path, str(size)])

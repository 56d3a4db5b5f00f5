# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images, read from their header, without a process.

The header is laid down in QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..core.errors import StrataError

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQI")  # magic, version, backing offset, backing length, cluster bits, size, encryption
_SNAPSHOTS = struct.Struct(">IQ")  # number, offset
_SNAPSHOTS_AT = 60
_SNAPSHOT = struct.Struct(">QIHHIIQII")  # …, length of the id, of the name, …, of the extra data
_VERSION_3 = struct.Struct(">QQQII")  # features: incompatible, compatible, autoclear; refcount order, header length
_VERSION_3_AT = 72
_COMPRESSION_AT = 104
_CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED = (1 << bit for bit in (1, 2, 3, 4))
_LAZY = 1
_BACKING_FORMAT = 0xE2792ACA
_END = 0
_ENCRYPTION = {1: "aes", 2: "luks"}
_REFCOUNT_ORDER = 4  # of version 2
_DEEPEST = 200  # images below an image; more is a circle, or might as well be one


@dataclass(frozen=True)
class Image:
    """What an image's own header says. Sizes in bytes, as the guest sees the disk."""

    format: str
    size: int
    backing: str | None = None
    backing_format: str | None = None
    snapshots: tuple[str, ...] = ()
    compat: str = "1.1"
    cluster_size: int = 65536
    refcount_bits: int = 16
    lazy_refcounts: bool = False
    extended_l2: bool = False
    compression_type: str = "zlib"
    encryption: str | None = None
    corrupt: bool = False
    data_file: bool = False


def read(path: str) -> Image | None:
    """An image, None where there is no file. Everything that isn't qcow2 counts as raw."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if len(head) < 104 or not head.startswith(_MAGIC):
                return Image("raw", os.lseek(file.fileno(), 0, os.SEEK_END))  # which tells it of block devices, too
            snapshots = tuple(_snapshots(file, *_SNAPSHOTS.unpack_from(head, _SNAPSHOTS_AT)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StrataError(f"could not read {path}: {error.strerror}") from None
    except struct.error:
        raise StrataError(f"{path} is a damaged qcow2 image", hint="See qemu-img check") from None
    return _image(path, head, snapshots)


def _image(path: str, head: bytes, snapshots: tuple[str, ...]) -> Image:
    _magic, version, offset, length, bits, size, encryption = _HEADER.unpack_from(head)
    features, compatible, order, start = 0, 0, _REFCOUNT_ORDER, _VERSION_3_AT
    if version >= 3:
        features, compatible, _autoclear, order, start = _VERSION_3.unpack_from(head, _VERSION_3_AT)
    if bits > 30 or order > 6:
        raise StrataError(f"{path} is a damaged qcow2 image", hint="See qemu-img check")
    backing = head[offset : offset + length].decode(errors="surrogateescape") if offset else None
    return Image(
        "qcow2",
        size,
        _absolute(path, backing),
        _extension(head, start, _BACKING_FORMAT) if backing else None,
        snapshots,
        compat="1.1" if version >= 3 else "0.10",
        cluster_size=1 << bits,
        refcount_bits=1 << order,
        lazy_refcounts=bool(compatible & _LAZY),
        extended_l2=bool(features & _EXTENDED),
        compression_type="zstd" if features & _COMPRESSION and head[_COMPRESSION_AT] else "zlib",
        encryption=_ENCRYPTION.get(encryption),
        corrupt=bool(features & _CORRUPT),
        data_file=bool(features & _DATA_FILE),
    )


def _absolute(path: str, backing: str | None) -> str | None:
    """A name without a protocol is seen from the folder of the image that has it (qemu-img(1), create -b)."""
    if backing is None or ":" in backing.partition("/")[0]:
        return backing
    return os.path.normpath(os.path.join(os.path.dirname(path), backing))


def below(image: Image | None) -> list[str]:
    """The files that an image lies on, the next one first; the last may be missing, or no file."""
    found: list[str] = []
    while image is not None and image.backing is not None and len(found) < _DEEPEST:
        found.append(image.backing)
        # What is below a raw image is no business of the guest's who can write into it.
        image = read(image.backing) if image.backing_format != "raw" else None
    return found


def gone(path: str) -> str | None:
    """The file that an image lies on, at whatever depth, and that is gone; None where none is, or nobody tells us."""
    try:
        files = below(read(path))
    except StrataError:  # not for this user to read: who runs the guest may
        return None
    lost = [file for file in files if ":" not in file.partition("/")[0] and not os.path.exists(file)]
    return lost[0] if lost else None


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

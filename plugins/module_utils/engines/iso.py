# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file systems of ISO 9660 with Joliet (ECMA-119), the same to the byte for the same files.

What seeds virtual machines is a handful of small files in one folder. Programs that make such images put the time,
their own name and random numbers into them, each in its own way, so that nothing could be compared by content.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

SECTOR = 2048
_VOLUMES = 16  # the first sector that says something (ECMA-119, 6.2.1)
_PRIMARY, _JOLIET, _LAST = 1, 2, 255
_UCS2 = b"%/E"  # Joliet, level 3
_DATE = bytes([100, 1, 1, 0, 0, 0, 0])  # 2000-01-01, as records of folders have it
_LONG_DATE = b"2000010100000000\0"
_NO_DATE = b"0" * 16 + b"\0"
_FOLDER = 2

Name = Callable[[str], bytes]


def _both(value: int) -> bytes:
    """A number in both orders of bytes."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def _both_short(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _record(name: bytes, sector: int, size: int, flags: int = 0) -> bytes:
    """An entry of a folder (ECMA-119, 9.1)."""
    pad = b"\0" if len(name) % 2 == 0 else b""
    tail = _both(sector) + _both(size) + _DATE + bytes([flags, 0, 0]) + _both_short(1) + bytes([len(name)]) + name + pad
    return bytes([len(tail) + 2, 0]) + tail


def _plain(name: str) -> bytes:
    """A name for those who know no Joliet; Linux shows it in small letters (isofs: map=normal)."""
    return f"{name.upper()}.;1".encode("ascii")


def _joliet(name: str) -> bytes:
    return name.encode("utf-16-be")


def _folder(own: int, files: Mapping[str, tuple[int, int]], spelled: Name) -> bytes:
    """The only folder: itself twice, then its files in order."""
    records = [_record(b"\0", own, SECTOR, _FOLDER), _record(b"\1", own, SECTOR, _FOLDER)]
    entries = {spelled(name): place for name, place in files.items()}
    records += [_record(name, *entries[name]) for name in sorted(entries)]
    whole = b"".join(records)
    if len(whole) > SECTOR:
        raise ValueError("too many files for one sector")
    return whole.ljust(SECTOR, b"\0")


def _paths(folder: int, order: str) -> bytes:
    """A table of paths: that of the one folder (ECMA-119, 9.4)."""
    return (bytes([1, 0]) + struct.pack(f"{order}IH", folder, 1) + b"\0\0").ljust(SECTOR, b"\0")


def _text(value: str, size: int, wide: bool) -> bytes:
    if wide:
        return (value.encode("utf-16-be") + b"\0 " * size)[:size]
    return value.encode("ascii").ljust(size)


def _descriptor(sort: int, label: str, sectors: int, tables: tuple[int, int], folder: int) -> bytes:
    """A descriptor of the volume (ECMA-119, 8.4 and 8.5)."""
    wide = sort == _JOLIET
    root = _record(b"\0", folder, SECTOR, _FOLDER)
    parts = [
        bytes([sort]),
        b"CD001\1\0",
        _text("", 32, wide),
        _text(label, 32, wide),
        bytes(8),
        _both(sectors),
        _UCS2.ljust(32, b"\0") if wide else bytes(32),
        _both_short(1),
        _both_short(1),
        _both_short(SECTOR),
        _both(10),  # the size of a table of paths: one entry
        struct.pack("<II", tables[0], 0),
        struct.pack(">II", tables[1], 0),
        root,
        _text("", 128, wide),
        _text("", 128, wide),
        _text("", 128, wide),
        _text("", 128, wide),
        _text("", 37, wide),
        _text("", 37, wide),
        _text("", 37, wide),
        _LONG_DATE,
        _LONG_DATE,
        _NO_DATE,
        _LONG_DATE,
        b"\1\0",
    ]
    return b"".join(parts).ljust(SECTOR, b"\0")


def build(label: str, files: Mapping[str, bytes]) -> bytes:
    """An image with some files in its root.

    Args:
        label: What the volume is called.
        files: Their content by name.
    """
    first = _VOLUMES + 9
    places: dict[str, tuple[int, int]] = {}
    content = b""
    for name in sorted(files):
        places[name] = (first + len(content) // SECTOR, len(files[name]))
        content += files[name] + bytes(-len(files[name]) % SECTOR)
    tables = _VOLUMES + 3
    plain, wide = tables + 4, tables + 5
    sectors = first + len(content) // SECTOR
    return b"".join(
        [
            bytes(_VOLUMES * SECTOR),
            _descriptor(_PRIMARY, label, sectors, (tables, tables + 1), plain),
            _descriptor(_JOLIET, label, sectors, (tables + 2, tables + 3), wide),
            (bytes([_LAST]) + b"CD001\1").ljust(SECTOR, b"\0"),
            _paths(plain, "<"),
            _paths(plain, ">"),
            _paths(wide, "<"),
            _paths(wide, ">"),
            _folder(plain, places, _plain),
            _folder(wide, places, _joliet),
            content,
        ]
    )


def read(image: bytes) -> tuple[str, dict[str, bytes]] | None:
    """The label and the files in the root of an image, whoever made it; None where it is none with Joliet.

    Raises:
        ValueError: It is cut off.
    """
    for place in range(_VOLUMES * SECTOR, len(image) - SECTOR + 1, SECTOR):
        sort, magic = image[place], image[place + 1 : place + 6]
        if magic != b"CD001" or sort == _LAST:
            return None
        if sort == _JOLIET and image[place + 88 : place + 90] == _UCS2[:2]:
            break
    else:
        return None
    label = image[place + 40 : place + 72].decode("utf-16-be").rstrip("\0 ")
    sector, size = struct.unpack_from("<I4xI", image, place + 156 + 2)
    return label, _files(image, sector * SECTOR, size)


def _files(image: bytes, start: int, size: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    place, end = start, start + size
    if end > len(image):
        raise ValueError("is cut off")
    while place < end:
        length = image[place]
        if length == 0:  # records don't cross sectors
            place = (place // SECTOR + 1) * SECTOR
            continue
        sector, count = struct.unpack_from("<I4xI", image, place + 2)
        flags, name = image[place + 25], image[place + 33 : place + 33 + image[place + 32]]
        if not flags & _FOLDER:
            content = image[sector * SECTOR : sector * SECTOR + count]
            if len(content) < count:
                raise ValueError("is cut off")
            found[name.decode("utf-16-be").partition(";")[0]] = content
        place += length
    return found

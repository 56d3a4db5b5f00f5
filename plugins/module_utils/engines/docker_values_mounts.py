# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical values of ``mounts``: the long form of what ``volumes`` and ``tmpfs`` say in a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, LINE, PATH, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, table
from .docker_networks import OPTIONS, at, put
from .docker_values import clean_path
from .docker_values_limits import BYTES

Row = Mapping[str, Any]
Document = Mapping[str, Any]
Body = dict[str, Any]

VOLUME, BIND, TMPFS, IMAGE = "volume", "bind", "tmpfs", "image"


def _parse_mode(value: Any) -> int:
    if not re.fullmatch(r"(0o?)?[0-7]{3,4}", str(value)):
        raise ValueError("is no mode: write it in quotes, as '1777'")
    return int(str(value).replace("o", ""), 8)


def _parse_flags(value: Iterable[Mapping[Any, Any]]) -> tuple[tuple[str, ...], ...]:
    """One option an entry, with a value or, for a flag, without: as the engine has it."""
    flags: list[tuple[str, ...]] = []
    for entry in value:
        if len(entry) != 1:
            raise ValueError(f"has {dict(entry)!r}: write one option an entry, as {{huge: always}} or {{noswap: null}}")
        ((name, item),) = entry.items()
        flags.append((str(name),) if item is None else (str(name), str(item)))
    return tuple(flags)


def _show_flags(flags: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    return [{flag[0]: flag[1] if len(flag) > 1 else None} for flag in flags]


_MODE = Codec(_parse_mode, show=lambda mode: f"{mode:o}")
_FLAGS = Codec(_parse_flags, "list", _show_flags, "dict")
_MAP = replace(OPTIONS, partial=False)

# Where each leaf lives in an entry of HostConfig.Mounts, and which types of mounts know it.
_LEAVES: tuple[tuple[Field, tuple[str, ...]], ...] = (
    (Field("target", PATH, "Target", required=True), ()),
    (Field("source", LINE, "Source", default=""), ()),
    (
        Field("type", TEXT, "Type", given=VOLUME, choices=(BIND, "npipe", TMPFS, VOLUME, "cluster", IMAGE)),
        (),
    ),
    (Field("read_only", BOOL, "ReadOnly", default=False), ()),
    (
        Field("consistency", TEXT, "Consistency", default="", choices=("cached", "consistent", "default", "delegated")),
        (),
    ),
    (
        Field(
            "propagation",
            TEXT,
            "BindOptions.Propagation",
            default="",
            choices=("private", "rprivate", "shared", "rshared", "slave", "rslave"),
        ),
        (BIND,),
    ),
    (Field("create_mountpoint", BOOL, "BindOptions.CreateMountpoint", default=False), (BIND,)),
    (Field("non_recursive", BOOL, "BindOptions.NonRecursive", default=False), (BIND,)),
    (Field("read_only_non_recursive", BOOL, "BindOptions.ReadOnlyNonRecursive", default=False), (BIND,)),
    (Field("read_only_force_recursive", BOOL, "BindOptions.ReadOnlyForceRecursive", default=False), (BIND,)),
    (Field("no_copy", BOOL, "VolumeOptions.NoCopy", default=False), (VOLUME,)),
    (Field("labels", _MAP, "VolumeOptions.Labels", default={}), (VOLUME,)),
    (Field("volume_driver", LINE, "VolumeOptions.DriverConfig.Name", default=""), (VOLUME,)),
    (Field("volume_options", _MAP, "VolumeOptions.DriverConfig.Options", default={}), (VOLUME,)),
    (Field("subpath", LINE, "VolumeOptions.Subpath", default=""), (VOLUME, IMAGE)),
    (Field("tmpfs_size", BYTES, "TmpfsOptions.SizeBytes", default=0), (TMPFS,)),
    (Field("tmpfs_mode", _MODE, "TmpfsOptions.Mode", default=0), (TMPFS,)),
    (Field("tmpfs_options", _FLAGS, "TmpfsOptions.Options", default=()), (TMPFS,)),
)
_ROW = tuple(leaf for leaf, _types in _LEAVES)
_TABLE = table(*_ROW, key=lambda row: str(row["target"]))


def _parse(entries: Any) -> tuple[dict[str, Any], ...]:
    rows: tuple[dict[str, Any], ...] = _TABLE.parse(entries)
    for row in rows:
        row.setdefault("type", VOLUME)
        for leaf, types in _LEAVES:
            if types and leaf.name in row and row["type"] not in types:
                said = f"is for mounts of type {' or '.join(types)}, and {row['target']} is of type {row['type']}"
                raise StrataError(said, option=leaf.name, value=leaf.show(row[leaf.name]))
        if row["type"] in (BIND, "npipe") and not row.get("source"):
            raise StrataError(f"is required for {row['target']}, which is of type {row['type']}", option="source")
        if row["type"] == BIND:
            row["source"] = clean_path(row["source"])
    return rows


MOUNTS = replace(_TABLE, parse=_parse)

_UNNAMED = re.compile(r"[0-9a-f]{64}")  # moby: volume/mounts/parser.go, stringid.GenerateRandomID


def unnamed(mount: Document) -> bool:
    """Whether it is a volume to which the engine gave its name."""
    return mount.get("Type") == VOLUME and not (mount.get("Source") and not _UNNAMED.fullmatch(mount["Source"]))


def row_of(mount: Document) -> Row:
    """An entry of ``HostConfig.Mounts`` as a row: what isn't set is left out."""
    found = {leaf.name: at(mount, _place(leaf, mount.get("Type"))) for leaf in _ROW}
    row = {name: value for name, value in found.items() if value}
    for name in {"labels", "volume_options"} & row.keys():
        row[name] = _MAP.parse(row[name])
    if "tmpfs_options" in row:
        row["tmpfs_options"] = tuple(tuple(flag) for flag in row["tmpfs_options"])
    if unnamed(mount):
        row.pop("source", None)
    return row


def entry_of(row: Row) -> Body:
    """The other way round."""
    entry: Body = {}
    for leaf in _ROW:
        if row.get(leaf.name) or leaf.name == "read_only":
            value = row.get(leaf.name, leaf.default)
            value = [list(flag) for flag in value] if leaf.name == "tmpfs_options" else value
            put(entry, _place(leaf, row["type"]), value)
    return entry


def _place(leaf: Field, kind: Any) -> str:
    return "ImageOptions.Subpath" if leaf.name == "subpath" and kind == IMAGE else str(leaf.at)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's disks: how they are declared, what a new one gets, and what changing one costs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..core.codec import BOOL, INT, LINE, PATH, TEXT, TEXTS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Fields, decode, structure
from ..core.plan import Change, Effect, State
from ..core.resource import Thing
from ..engines import domain_devices, qcow2
from ..engines.domain_devices import Disks, InPool, Remote
from ..engines.domain_places import Whole
from ..engines.domain_xml import Flag, Leaf
from . import libvirt_domain_seed
from .libvirt_domain_fields import Row, not_negative, number, ordered, text, word

_SOURCES = ("file", "volume", "network")
_DRIVE = "cdrom"

REMOTE = (
    Field("protocol", LINE, required=True),
    Field("name", LINE),
    Field("hosts", TEXTS),
)
IOTUNE = Fields(
    Field(f"{whose}_{what}_sec{most}", INT, Leaf(f"{whose}_{what}_sec{most}", read=int, absent=0), check=not_negative)
    for most in ("", "_max")
    for what in ("bytes", "iops")
    for whose in ("total", "read", "write")
)


def _parse_iotune(value: Any) -> dict[str, int]:
    """0 is no limit, which is the same as none at all."""
    return {name: limit for name, limit in decode(IOTUNE, value).items() if limit}


DISK = (
    Field("file", PATH, domain_devices.DISK_FILE),
    Field("pool", LINE, InPool("pool")),
    Field("volume", LINE, InPool("volume")),
    Field("network", structure(*REMOTE), Remote()),
    word("bus", "target", "bus", "virtio", "scsi", "sata", "ide", "usb", default="virtio"),
    Field(
        "cache",
        TEXT,
        Leaf("driver", "cache", absent="default"),
        default="default",
        choices=("default", "none", "writeback", "writethrough", "directsync", "unsafe"),
    ),
    Field("discard", TEXT, Leaf("driver", "discard", absent="ignore"), default="ignore", choices=("ignore", "unmap")),
    word("detect_zeroes", "driver", "detect_zeroes", "off", "on", "unmap", default="off"),
    word("io", "driver", "io", "threads", "native", "io_uring", default="threads"),
    number("iothread", "driver", "iothread"),
    number("queues", "driver", "queues"),
    word("device", "", "device", "disk", "cdrom", "lun", default="disk"),
    word("format", "driver", "type", "qcow2", "raw"),
    text("serial", "serial"),
    number("boot_order", "boot", "order"),
    Field("read_only", BOOL, Flag("readonly"), default=False),
    Field("shareable", BOOL, Flag("shareable"), default=False),
    Field("target", LINE, Leaf("target", "dev")),
    Field(
        "iotune",
        Codec(_parse_iotune, "dict", dict, row=IOTUNE, single=True),
        Whole("iotune", IOTUNE),
        default={},
    ),
)


def source(row: Row) -> str:
    """What tells a disk from the others: where its content is."""
    if "file" in row:
        return str(row["file"])
    if "volume" in row:
        return f"{row.get('pool', '')}/{row['volume']}"
    if "network" in row:
        return f"{row['network'].get('protocol')}:{row['network'].get('name', '')}"
    return str(row.get("target", ""))


def disk_key(row: Row) -> str:
    """A drive stays the same whatever is in it; a disk is what is on it."""
    return str(row["target"]) if row.get("device") == _DRIVE and "target" in row else source(row)


FIELD = Field(
    "disks",
    ordered(disk_key, *DISK),
    Disks("disk", DISK, disk_key, libvirt_domain_seed.ours),
    Effect.LIVE,
    default=(),
)


def check(rows: Iterable[Row]) -> None:
    """Refuse disks that say nothing, or two things.

    Raises:
        StrataError: It names the option and the value.
    """
    for row in rows:
        given = [name for name in _SOURCES if name in row]
        if len(given) > 1 or not (given or row.get("device") == _DRIVE):
            raise StrataError("is a file, a volume or something on a network", option="disks", value=dict(row))
        if ("pool" in row) != ("volume" in row):
            raise StrataError("needs both a pool and a volume", option="disks", value=dict(row))
        if "iothread" in row and row.get("bus", "virtio") not in ("virtio", "scsi"):
            raise StrataError(f"needs bus: virtio, not {row['bus']}", option="disks.iothread", value=row["iothread"])
        if row.get("io") == "native" and row.get("cache") not in ("none", "directsync"):
            raise StrataError("needs cache: none or directsync", option="disks.io", value="native")


def found(engine: Any, volumes: Iterable[tuple[str, str]], state: State) -> dict[str, str | None]:
    """Where volumes are: their paths where they have to be named by them, else what tells them from other disks.

    Args:
        engine: The connection.
        volumes: Pools and names.
        state: What there is. What a domain has is there: asking again would cost calls for each.
    """
    volumes = list(volumes)
    rows = [row for layer in (state.config, state.live or {}) for row in layer.get("disks", ())]
    there = {source(row) for row in rows}
    running = {source(row) for row in (state.live or {}).get("disks", ())}
    told: dict[str, str | None] = {}
    for pool, name in volumes:
        word = f"{pool}/{name}"
        # One that runs keeps its disk as it was attached: by another name, it would be another one.
        if word in running or (word in there and not engine.by_path):
            told[word] = word
        else:
            path = engine.named_volume(pool, name, there)
            told[word] = path if path is None or (path.startswith("/") and engine.by_path) else word
    return told


def by_path(rows: Iterable[Row], volumes: Mapping[str, str | None]) -> tuple[Row, ...]:
    """The declared disks, with those of volumes by their paths where they have to be (see ``found``)."""
    named = []
    for row in rows:
        path = volumes.get(source(row)) if "volume" in row else None
        if path is not None and path != source(row):
            row = {"file": path, **{leaf: value for leaf, value in row.items() if leaf not in ("pool", "volume")}}
        named.append(row)
    return tuple(named)


def completed(rows: Iterable[Row], state: State, bus: str = "virtio") -> tuple[Row, ...]:
    """The declared disks; those that are new, with what a new one gets, and each drive with its name.

    Args:
        rows: The declared disks.
        state: What there is.
        bus: What a new one is on.
    """
    there = list(state.config.get("disks", ()))
    taken = {str(row.get("target")) for row in [*there, *rows]}
    drives = [row for row in there if row.get("device") == _DRIVE]
    drives = [row for row in drives if row["target"] not in {one.get("target") for one in rows}]
    full = []
    for row in rows:
        if row.get("device") == _DRIVE and "target" not in row:
            # The drive that has it, or else any that no other row means.
            same = [drive for drive in drives if source(drive) == source(row)]
            mine = next(iter([*same, *drives]), None)
            name = domain_devices.free(row.get("bus", "sata"), taken) if mine is None else mine["target"]
            drives = [drive for drive in drives if drive is not mine]
            taken.add(name)
            row = {**row, "target": name}
        known = any(disk_key(row) == disk_key(one) for one in there)
        full.append(row if known else {**_fresh(row, bus), **row})
    return tuple(full)


def _fresh(row: Row, bus: str) -> dict[str, Any]:
    drive = row.get("device") == _DRIVE
    fresh = {"device": "disk", "bus": "sata" if drive else bus}
    if not drive or set(_SOURCES) & set(row):
        fresh["format"] = _format(row)
    return fresh


def _format(row: Row) -> str:
    return str(row.get("format") or ("qcow2" if source(row).endswith(".qcow2") else "raw"))


def baseless(rows: Iterable[Row], promised: Collection[Thing]) -> list[tuple[str, str]]:
    """The disks that lie on a file that is gone, and that file: no domain starts with one."""
    files = [str(row["file"]) for row in rows if "file" in row and _format(row) == "qcow2"]
    files = [file for file in files if ("path", file) not in promised]
    return [(file, below) for file, below in zip(files, map(qcow2.gone, files)) if below is not None]


def cost(change: Change, state: State) -> Effect:
    """What one disk that comes, goes or changes costs what runs."""
    had, has = change.before, change.after
    if had is None or has is None:
        bus = (has or had).get("bus", "virtio")
        hot = bus in ("virtio", "usb") or (bus == "scsi" and state.facts.get("scsi"))
        return Effect.LIVE if hot else Effect.RESTART
    moved = {name for name in has if has[name] != had.get(name)}
    if had.get("device", has.get("device")) == _DRIVE:
        moved -= {*_SOURCES, "pool"}  # another medium
    return Effect.LIVE if moved <= {"iotune"} else Effect.RESTART


def bring_in(engine: Any, name: str, change: Change, target: str, wanted: Mapping[str, Any]) -> bool:
    """Bring in what has a call of its own; False: nothing of it did change."""
    had, has = change.before or {}, change.after or {}
    if "iotune" not in has or had.get("iotune", {}) == has["iotune"]:
        return False
    # 0 takes a limit away.
    engine.set_iotune(name, target, {leaf.name: wanted.get("iotune", {}).get(leaf.name, 0) for leaf in IOTUNE})
    return True

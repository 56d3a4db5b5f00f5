# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices as the io controller knows them, and its files (cgroup-v2.rst, "IO Interface Files").

The kernel tells devices by MAJ:MIN, which is another number after a reboot; here they go by their name, ``/dev/vda``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core import files
from ..core.codec import MAX
from ..core.errors import StrataError
from ..core.limits import DEFAULT, IO_ROW
from . import cgroupfs

SYS = "/sys"
Row = Mapping[str, Any]

FREE: dict[str, Any] = {row.name: row.default for row in IO_ROW if row.name != "device"}
"""What a device has that nobody limited."""

_MAX_KEYS = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}


def disk(path: str) -> str:
    """The name of the whole disk that a path leads to.

    Limits belong to a disk's queue, and a partition has none: the kernel refuses its number with ENODEV
    (block/blk-cgroup.c: blkg_conf_open_bdev).

    Raises:
        StrataError: There is no such device, or it is no block device.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise StrataError(f"there is no such device: {error.strerror}", value=path) from None
    if not stat.S_ISBLK(found.st_mode):
        raise StrataError("is no block device", value=path, hint="Name a disk, such as /dev/vda")
    return name(f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")


def known(path: str) -> str:
    """As ``disk``; the path itself where it is gone, and maybe comes back."""
    try:
        return disk(path)
    except StrataError:
        return path


def name(number: str) -> str:
    """The name of the whole disk with that MAJ:MIN; the number itself where it is gone."""
    place = f"{SYS}/dev/block/{number}"
    if not os.path.exists(place):
        return number
    real = os.path.realpath(place)
    if os.path.exists(f"{real}/partition"):
        real = os.path.dirname(real)
    return f"/dev/{os.path.basename(real).replace('!', '/')}"  # sysfs spells a slash so (cciss/c0d0)


def number(device: str) -> str:
    """The MAJ:MIN of a device by its name.

    Raises:
        StrataError: It is gone.
    """
    said = files.read(f"{SYS}/class/block/{device[len('/dev/') :].replace('/', '!')}/dev")
    if said is None:
        raise StrataError("there is no such device", value=device)
    return said.strip()


def for_kernel(text: str) -> str:
    """A line of a control file, with the number in the place of a device's name."""
    device, blank, rest = text.partition(" ")
    return f"{number(device)}{blank}{rest}" if device.startswith("/dev/") else text


def keyed(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines of a nested keyed file: what each is about, and its values."""
    for line in text.splitlines():
        first, *pairs = line.split()
        yield first, dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _device(first: str) -> str:
    return first if first.startswith("/dev/") else name(first)


def _limit(text: str) -> int | str:
    return text if text == MAX else int(text)


def rows(limits: str, weights: str, latencies: str) -> tuple[dict[str, Any], ...]:
    """The devices in io.max, io.weight and io.latency that have anything of their own, by name."""
    found: dict[str, dict[str, Any]] = {}

    def of(first: str) -> dict[str, Any]:
        device = _device(first)
        return found.setdefault(device, {"device": device, **FREE})

    for first, values in keyed(limits):
        for option, key in _MAX_KEYS.items():
            of(first)[option] = _limit(values.get(key, MAX))
    for first, weight in (line.split() for line in weights.splitlines() if not line.startswith(DEFAULT)):
        of(first)["weight"] = weight if weight == DEFAULT else int(weight)
    for first, values in keyed(latencies):
        of(first)["latency"] = int(values.get("target", 0))
    return tuple(sorted((row for row in found.values() if not _plain(row)), key=lambda row: str(row["device"])))


def _plain(row: Row) -> bool:
    """Whether a row limits nothing."""
    return all(row.get(key, value) == value for key, value in FREE.items())


def limiting(wanted: Iterable[Row]) -> tuple[dict[str, Any], ...]:
    """The rows without what a device has that nobody limited."""
    bare = [{key: value for key, value in row.items() if key not in FREE or FREE[key] != value} for row in wanted]
    return tuple(row for row in bare if len(row) > 1)


def costed() -> list[str]:
    """The disks whose io is weighed: the others have no cost model (block/blk-iocost.c)."""
    text = cgroupfs.read(cgroupfs.MOUNT, "io.cost.qos") or ""
    return [_device(first) for first, values in keyed(text) if values.get("enable") == "1"]


def disks(wanted: Iterable[Row]) -> dict[str, str]:
    """The whole disks that declared devices are on, by the paths that were given.

    Raises:
        StrataError: One of them is no block device.
    """
    try:
        return {row["device"]: disk(row["device"]) for row in wanted}
    except StrataError as error:
        error.option = "io.device"
        raise


def declared(
    wanted: Iterable[Row], now: Iterable[Row] | None, devices: Mapping[str, str], weighed: Iterable[str]
) -> tuple[dict[str, Any], ...]:
    """Declared rows by the names of whole disks, without those that say nothing new of an unlimited one.

    Raises:
        StrataError: Two are of one disk, or one has a weight that the kernel wouldn't heed.
    """
    there = {row["device"] for row in now or ()}
    found: dict[str, dict[str, Any]] = {}
    for row in wanted:
        device = devices.get(row["device"], row["device"])
        if device in found:
            reason = f"{device} is named twice: limits belong to whole disks"
            raise StrataError(reason, option="io.device", value=row["device"])
        if row.get("weight", DEFAULT) != DEFAULT and device not in weighed:
            raise StrataError(
                f"the kernel weighs the io of {device} only where its cost model is on",
                option="io.weight",
                value=row["weight"],
                hint=f"Write MAJ:MIN and enable=1 to {cgroupfs.MOUNT}/io.cost.qos",
            )
        found[device] = {**row, "device": device}
    kept = [row for row in found.values() if row["device"] in there or not _plain(row)]
    return tuple(sorted(kept, key=lambda row: str(row["device"])))


def merged(before: Iterable[Row] | None, wanted: Iterable[Row]) -> tuple[dict[str, Any], ...]:
    """The rows that are wanted, with what they leave open as it was."""
    there = {row["device"]: row for row in before or ()}
    return tuple({**there.get(row["device"], {}), **row} for row in wanted)


def default_weight(text: str) -> int:
    """The weight in io.weight that holds for devices without one of their own."""
    words = text.split()
    return int(words[words.index(DEFAULT) + 1] if DEFAULT in words else words[0])


def writes(had: Iterable[Row], wanted: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """What to write to which file, so that exactly these devices are limited; keys that a row lacks stay."""
    before = {str(row["device"]): row for row in had}
    after = {str(row["device"]): row for row in wanted}
    for device in sorted(before.keys() | after.keys()):
        now = before.get(device, {})
        row = after.get(device)
        if row is None:
            row = {key: value for key, value in FREE.items() if now.get(key, value) != value}
        limits = [f"{key}={row[option]}" for option, key in _MAX_KEYS.items() if option in row]
        if limits:
            yield "io.max", f"{device} {' '.join(limits)}"
        if row.get("weight", now.get("weight", DEFAULT)) != now.get("weight", DEFAULT):
            yield "io.weight", f"{device} {row['weight']}"
        if row.get("latency", now.get("latency", 0)) != now.get("latency", 0):
            yield "io.latency", f"{device} target={row['latency']}"

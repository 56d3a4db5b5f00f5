# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running VM has, and what it takes without a restart (QEMU: docs/interop/qemu-qmp-ref)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Change, Effect
from ..core.waiting import until
from ..engines.qmp import Monitor
from .qemu_fields import drive_key
from .qemu_line import backend, card, disk, forward, is_cdrom, mark, netdev

Row = Mapping[str, Any]
_PERIPHERAL = "/machine/peripheral"
_ANY_SLOT = "pci.0"  # of the machine pc, whose one bus takes as many as there are
_ANY = ("0.0.0.0", "*", "")  # as libslirp prints it, and as users write it


# What there is.


def forwards(told: str) -> list[dict[str, Any]]:
    """The forwards in the monitor's table of connections, with the ports that the host chose where it was to."""
    rows = [line.split() for line in told.splitlines()]
    return [
        {
            "protocol": row[0].partition("[")[0].lower(),
            "address": row[2],
            "port": int(row[3]),
            "guest_port": int(row[5]),
        }
        for row in rows
        if len(row) > 5 and row[0].endswith("[HOST_FORWARD]")
    ]


def drives(monitor: Monitor, started: Iterable[Row]) -> tuple[Row, ...]:
    """Of the drives that it was started with or got since, those that it has; of cdroms, with what is in them."""
    blocks = [
        (str(one.get("qdev", "")).split("/"), one.get("inserted") or {}) for one in monitor.execute("query-block")
    ]
    return tuple(row for row in (_as_it_is(row, blocks) for row in started) if row is not None)


def _as_it_is(row: Row, blocks: Iterable[tuple[list[str], Mapping[str, Any]]]) -> Row | None:
    for path, inserted in blocks:
        named = f"disk-{mark(row)}" in path
        if named and is_cdrom(row):
            return {**row, "file": inserted.get("file", "")}
        if named or (inserted.get("file") == row.get("file") and not is_cdrom(row)):
            return row
    return None


def networks(monitor: Monitor, started: tuple[Row, ...]) -> tuple[Row, ...]:
    """Of the networks that it was started with or has got since, those that it still has: the last one goes first."""
    told = monitor.human("info network") if started else ""
    there = {word.strip(" \\:").partition(":")[0] for word in told.splitlines()}
    count = next((place for place in range(len(started)) if f"net{place}" not in there), len(started))
    return started[:count]


def places(monitor: Monitor, machine: str) -> dict[str, Any]:
    """Where more can be plugged in (``slots``, ``scsi``), and what can be pulled out again (``removable``)."""
    named = [one["name"] for one in monitor.execute("qom-list", path=_PERIPHERAL) if one["type"].startswith("child<")]
    scsi = "scsi0" in named
    if machine.startswith("pc"):
        pulled = [name for name in named if name.startswith(("disk-", "nic"))]
        return {"slots": [_ANY_SLOT], "scsi": scsi, "removable": pulled}
    held = dict(_bridges(monitor)) if any(name.startswith("port") for name in named) else {}
    plugged = [one["qdev_id"] for devices in held.values() for one in devices]
    on_scsi = [name for name in named if name.startswith("disk-")] if scsi else []
    slots = [port for port in named if port.startswith("port") and not held.get(port)]
    return {"slots": sorted(slots), "scsi": scsi, "removable": [*plugged, *on_scsi]}


def _bridges(monitor: Monitor) -> Iterator[tuple[str, list[Any]]]:
    for bus in monitor.execute("query-pci"):
        for device in bus["devices"]:
            if "pci_bridge" in device:
                yield device["qdev_id"], device["pci_bridge"].get("devices", [])


# What a change costs.


def cost(change: Change, facts: Mapping[str, Any], live: Mapping[str, Any]) -> Effect:
    """What it takes to bring a change into the running VM."""
    before, after = change.before, change.after
    if change.field == "balloon":
        able = bool(live.get("balloon") and after)
    elif change.field == "drives":
        able = _drive_fits(before, after, facts)
    elif change.field == "networks":
        able = _network_fits(int(change.key or 0), before, after, facts, live)
    else:
        return change.effect
    return Effect.LIVE if able else Effect.RESTART


def _drive_fits(before: Row | None, after: Row | None, facts: Mapping[str, Any]) -> bool:
    if before is None or after is None:
        row = after or before or {}
        if is_cdrom(row):
            return False
        if before is not None:
            return f"disk-{mark(row)}" in facts["removable"]
        return bool(facts["slots"]) if row["interface"] == "virtio" else row["interface"] == "scsi" and facts["scsi"]
    return is_cdrom(after) and _differ(before, after) <= {"file", "format"}


def _differ(before: Row, after: Row) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _network_fits(place: int, before: Row | None, after: Row | None, facts: Mapping[str, Any], live: Row) -> bool:
    if before is None:
        return bool(facts["slots"])
    if after is None:
        return f"nic{place}" in facts["removable"]
    rules = [*(before.get("forwards") or ()), *(after.get("forwards") or ())]
    # Which port the host chose for 0 isn't told of one forward among others.
    return _differ(before, after) == {"forwards"} and not any(rule.split(":")[2] == "0" for rule in rules)


def crowded(changes: Iterable[Change], facts: Mapping[str, Any]) -> bool:
    """Whether more is to be plugged in than there are ports."""
    added = [one for one in changes if one.effect is Effect.LIVE and one.before is None]
    count = sum(one.field == "networks" or one.after["interface"] == "virtio" for one in added if one.key is not None)
    return facts.get("slots") != [_ANY_SLOT] and count > len(facts.get("slots", ()))


# Changes.


def plug_drive(monitor: Monitor, row: Row, slots: list[str]) -> None:
    said = monitor.human(f"drive_add 0 {backend(row)}").strip()
    if said != "OK":
        raise StrataError(f"QEMU refused the drive {drive_key(row)}: {said}")
    try:
        _add(monitor, disk(row), slots if row["interface"] == "virtio" else [])
    except StrataError:
        monitor.human(f"drive_del drive-{mark(row)}")
        raise


def plug_network(monitor: Monitor, place: int, row: Row, name: str, slots: list[str]) -> None:
    monitor.human(f"netdev_add {netdev(place, row)}")
    try:
        _add(monitor, {**card(place, row, name), "id": f"nic{place}"}, slots)
    except StrataError:
        monitor.human(f"netdev_del net{place}")
        raise


def _add(monitor: Monitor, options: Mapping[str, Any], slots: list[str]) -> None:
    bus = {"bus": slots.pop(0)} if slots and slots != [_ANY_SLOT] else {}
    given = {name.replace("_", "-"): value for name, value in {**options, **bus}.items() if value is not None}
    monitor.execute("device_add", **given)


def pull(monitor: Monitor, device: str, timeout: float) -> None:
    """Have the guest let go of a device, and wait until it did.

    Raises:
        StrataError: It didn't in time: nothing runs in it that would, or something there uses it.
    """
    if device not in _named(monitor):
        return
    monitor.execute("device_del", id=device)
    until(lambda: device not in _named(monitor), f"the guest to let go of {device}", timeout)


def pull_network(monitor: Monitor, place: int, timeout: float) -> None:
    pull(monitor, f"nic{place}", timeout)
    monitor.human(f"netdev_del net{place}")


def _named(monitor: Monitor) -> set[str]:
    return {one["name"] for one in monitor.execute("qom-list", path=_PERIPHERAL)}


def change_medium(monitor: Monitor, row: Row) -> None:
    """Put what is declared into a cdrom, or nothing; a lock of the guest's doesn't hold it."""
    device = f"disk-{mark(row)}"
    if not row.get("file"):
        monitor.execute("eject", id=device, force=True)
        return
    more = {"read-only-mode": "read-only", "force": True}
    monitor.execute("blockdev-change-medium", id=device, filename=row["file"], format=row["format"], **more)


def change_forwards(monitor: Monitor, place: int, before: Iterable[str], after: Iterable[str]) -> None:
    """Have a user network's ports as declared."""
    there = forwards(monitor.human("info usernet"))
    for rule in sorted(set(before) - set(after)):
        if _is_there(rule, there):
            monitor.human(f"hostfwd_remove net{place} {rule.rpartition(':')[0]}")
    for rule in sorted(set(after) - set(before)):
        if not _is_there(rule, there):
            said = monitor.human(f"hostfwd_add net{place} {forward(rule)}").strip()
            if said:
                raise StrataError(f"QEMU refused it: {said}", option="networks.forwards", value=rule)


def _is_there(rule: str, there: Iterable[Mapping[str, Any]]) -> bool:
    protocol, address, port, inside = rule.split(":")
    for one in there:
        same = one["address"] == address or (one["address"] in _ANY and address in _ANY)
        if same and [one["protocol"], str(one["port"]), str(one["guest_port"])] == [protocol, port, inside]:
            return True
    return False

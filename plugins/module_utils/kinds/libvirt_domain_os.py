# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operating system a domain is for: what a new one gets for it, and where that is noted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import Codec, parse_line, show_size
from ..core.errors import StrataError
from ..core.field import Field
from ..core.plan import Effect, Plan
from ..engines import osinfo
from ..engines.domain_xml import child
from ..engines.osinfo import System

_NAMESPACE = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
_NOTE, _SYSTEM = f"{{{_NAMESPACE}}}libosinfo", f"{{{_NAMESPACE}}}os"


@dataclass(frozen=True)
class Note:
    """The full ID of a system in a domain's metadata, where virt-install and others have it, too."""

    def get(self, root: ET.Element) -> str | None:
        found = root.find(f"metadata/{_NOTE}/{_SYSTEM}")
        return None if found is None else found.get("id")

    def put(self, root: ET.Element, value: str | None) -> None:
        if value is not None:
            ET.register_namespace("libosinfo", _NAMESPACE)
            child(child(child(root, "metadata"), _NOTE), _SYSTEM).set("id", value)
            return
        metadata = root.find("metadata")
        for note in [] if metadata is None else metadata.findall(_NOTE):
            for system in note.findall(_SYSTEM):
                note.remove(system)
            if metadata is not None and not len(note):
                metadata.remove(note)


_MERGED = ("clock", "features", "rng", "video")
"""What is declared in part may be; the rest is the system's."""

FIELD = Field("os_variant", Codec(parse_line, show=osinfo.word), Note(), Effect.NEXT_BOOT)


def of(facts: Mapping[str, Any]) -> System | None:
    """The system that a declaration names."""
    told = facts.get("system")
    return None if told is None else System(**told)


def bus(system: System | None, machine: str) -> str:
    """What a disk is on that nobody chose a bus for."""
    if system is None or "virtio_disk" in system.has:
        return "virtio"
    if "virtio_scsi" in system.has:
        return "scsi"
    return "sata" if "q35" in machine else "ide"


def card(system: System | None) -> str:
    """The model of a network card that nobody chose one for."""
    if system is None or "virtio_net" in system.has:
        return "virtio"
    return next((model for model in ("e1000e", "e1000", "rtl8139") if model in system.has), "rtl8139")


def completed(values: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical values of a new domain, with what it gets for its system where nothing else is declared."""
    system = of(facts)
    if system is None:
        return dict(values)
    chosen = _defaults(system, values)
    newest = facts.get("q35")
    if newest is None:  # no x86
        chosen = {name: value for name, value in chosen.items() if name in ("memory", "vcpus", "rng")}
    elif "q35" in system.has:
        chosen["machine"] = newest
    return {**chosen, **{name: value for name, value in values.items() if name not in _MERGED}}


def _defaults(system: System, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a new domain gets for a system on x86.

    They are virt-install's for the same system: its clock and timers, what Windows is told by its hypervisor, a source
    of random numbers, and a screen where there is one to be seen on.
    """
    timers = [
        {"name": "hpet", "present": False},
        {"name": "pit", "tick_policy": "delay"},
        {"name": "rtc", "tick_policy": "catchup"},
    ]
    if system.windows:
        timers.insert(1, {"name": "hypervclock", "present": True})
    chosen: dict[str, Any] = {
        "clock": {"offset": "localtime" if system.windows else "utc", "timers": tuple(timers)},
    }
    if system.windows:
        chosen["features"] = {"acpi": True, "apic": True, "hyperv": ("relaxed", "spinlocks", "vapic")}
    if not system.bios:
        chosen["firmware"] = "efi"
    if "virtio_rng" in system.has:
        chosen["rng"] = {"model": "virtio", "backend": "random", "device": "/dev/urandom"}
    if given.get("graphics"):
        chosen["video"] = {"model": "virtio" if "virtio_video" in system.has else "vga"}
    for option, need in (("memory", "ram"), ("vcpus", "n-cpus")):
        amount = {**system.minimum, **system.recommended}.get(need)
        if amount:
            chosen[option] = -(-amount // 1024**2) * 1024**2 if option == "memory" else amount
    for option in _MERGED:
        if option in given:
            chosen[option] = {**chosen.get(option, {}), **given[option]}
    if "vcpus_max" in given:
        chosen["vcpus"] = min(chosen.get("vcpus", 1), given["vcpus_max"])
    if "memory_max" in given and "memory" in chosen:
        chosen["memory"] = min(chosen["memory"], given["memory_max"])
    return chosen


def tablet(root: ET.Element) -> None:
    """Give it a pointer whose place is that of the mouse on the screen."""
    devices = child(root, "devices")
    if devices.find("graphics") is not None and devices.find("input[@type='tablet']") is None:
        ET.SubElement(devices, "input", {"type": "tablet", "bus": "usb"})


def advice(plan: Plan) -> list[str]:
    """What its system needs more of than it is given."""
    system = of(plan.state.facts)
    if system is None:
        return []
    moved = {change.field for change in plan.changes}
    told = []
    for option, need in (("memory", "ram"), ("vcpus", "n-cpus")):
        least, has = system.minimum.get(need), plan.want.get(option)
        if option in moved and least and has is not None and has < least:
            shown = [show_size(one) if option == "memory" else one for one in (has, least)]
            told.append(f"{option} is {shown[0]}: {system.name} needs {shown[1]} at least")
    return told


def told(word: str, noted: str | None) -> dict[str, object]:
    """What is known of the system of an ID.

    Args:
        word: The ID.
        noted: The full ID that the domain has.

    Raises:
        StrataError: There is no such.
    """
    try:
        return osinfo.system(word, noted).facts()
    except OSError as error:
        raise StrataError(
            f"can't be looked up: {error.strerror} ({error.filename})", option="os_variant", value=word
        ) from None

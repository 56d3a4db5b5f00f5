# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a domain's firmware and its single devices live in its XML, on top of the places of domain_xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core.field import Field
from .domain_xml import Leaf, child
from .xml_places import Group, Row, entry, patch


@dataclass(frozen=True)
class Boot:
    """The devices that are tried, in their order, where no device has an order of its own."""

    def get(self, root: ET.Element) -> tuple[str, ...]:
        return tuple(one.get("dev", "") for one in root.iterfind("os/boot"))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        system = child(root, "os")
        for element in system.findall("boot"):
            system.remove(element)
        for device in value or ():
            ET.SubElement(system, "boot", {"dev": device})


@dataclass(frozen=True)
class SecureBoot:
    """Whether a firmware is chosen that checks what it boots, with the keys of vendors in it."""

    def get(self, root: ET.Element) -> bool | None:
        enabled = {one.get("name"): one.get("enabled") == "yes" for one in root.iterfind("os/firmware/feature")}
        return enabled.get("secure-boot")

    def put(self, root: ET.Element, value: bool | None) -> None:
        if self.get(root) == value:
            return
        forget_firmware(root)
        system = child(root, "os")
        for element in system.findall("firmware"):
            system.remove(element)
        if value is None:
            return
        firmware = child(system, "firmware")
        for name in ("secure-boot", "enrolled-keys"):
            ET.SubElement(firmware, "feature", {"enabled": "yes" if value else "no", "name": name})


@dataclass(frozen=True)
class Firmware:
    """``bios`` or ``efi``; libvirt chooses the files."""

    def get(self, root: ET.Element) -> str:
        pflash = root.find("os/loader[@type='pflash']") is not None
        return "efi" if pflash else Leaf("os", "firmware").get(root) or "bios"

    def put(self, root: ET.Element, value: str | None) -> None:
        if self.get(root) == value:
            return
        forget_firmware(root)
        Leaf("os", "firmware").put(root, "efi" if value == "efi" else None)
        system = child(root, "os")
        for element in system.findall("firmware") if value != "efi" else ():
            system.remove(element)


def forget_firmware(root: ET.Element) -> None:
    """Take out the files that were chosen for another firmware."""
    system = child(root, "os")
    for tag in ("loader", "nvram"):
        for element in system.findall(tag):
            system.remove(element)


@dataclass(frozen=True)
class Enlightenments:
    """What the hypervisor tells Windows, by their names."""

    def get(self, features: ET.Element) -> tuple[str, ...]:
        hyperv = features.find("hyperv")
        return tuple(sorted(one.tag for one in (() if hyperv is None else hyperv) if one.get("state") == "on"))

    def put(self, features: ET.Element, value: Iterable[str] | None) -> None:
        wanted, there = set(value or ()), set(self.get(features))
        if wanted == there:
            return
        hyperv = child(features, "hyperv")
        for element in list(hyperv):
            if element.tag not in wanted:
                hyperv.remove(element)
        for name in sorted(wanted - there):
            element = child(hyperv, name)
            element.set("state", "on")
            if name == "spinlocks":
                element.set("retries", element.get("retries", "8191"))  # formatdomain, Hypervisor features
        if not len(hyperv):
            features.remove(hyperv)


class Clock(Group):
    """What the clock begins with."""

    def put(self, root: ET.Element, value: Row | None) -> None:
        super().put(root, value)
        clock = root.find("clock")
        if clock is not None and clock.get("offset") != "timezone":
            clock.attrib.pop("timezone", None)  # libvirt takes it with no other


@dataclass(frozen=True)
class Single:
    """The first device of a type. Without a value it goes.

    Attributes:
        tag: Its element.
        row: The Fields that it is described by.
        fresh: What a new one begins with, since libvirt takes none without.
    """

    tag: str
    row: tuple[Field, ...]
    fresh: Row

    def _find(self, root: ET.Element) -> ET.Element | None:
        return root.find(f"devices/{self.tag}")

    def get(self, root: ET.Element) -> dict[str, Any] | None:
        device = self._find(root)
        return None if device is None else entry(self.row, device)

    def put(self, root: ET.Element, value: Row | None) -> None:
        devices = child(root, "devices")
        device = self._find(root)
        if value is None:
            if device is not None:
                devices.remove(device)
            return
        if device is None:
            device, value = ET.SubElement(devices, self.tag), {**self.fresh, **value}
        address, had = device.find("address"), entry(self.row, device)
        if address is not None and "model" in value and had.get("model") != value["model"]:
            device.remove(address)  # another model may be on another bus
        patch(self.row, device, value)


class Watchdog(Single):
    """The watchdog beside that which every q35 has. QEMU has one action for both (-action watchdog)."""

    def _find(self, root: ET.Element) -> ET.Element | None:
        found = root.iterfind(f"devices/{self.tag}")
        return next((device for device in found if device.get("model") != "itco"), None)

    def put(self, root: ET.Element, value: Row | None) -> None:
        super().put(root, value)
        self.agree(root)

    def agree(self, root: ET.Element) -> None:
        """Have the other one do the same."""
        mine = self._find(root)
        for other in root.iterfind(f"devices/{self.tag}[@model='itco']"):
            other.set("action", "reset" if mine is None else mine.get("action", "reset"))


@dataclass(frozen=True)
class Serial:
    """The first serial port, and the console that libvirt repeats it as."""

    row: tuple[Field, ...]

    def get(self, root: ET.Element) -> dict[str, Any] | None:
        port = root.find("devices/serial")
        known = next(field.choices for field in self.row if field.name == "type")
        if port is None or port.get("type") not in known:
            return None
        told = entry(self.row, port)
        if told.get("type") == "pty":
            told.pop("path", None)  # whichever was free when it was started
        return told

    def put(self, root: ET.Element, value: Row | None) -> None:
        devices = child(root, "devices")
        port = devices.find("serial")
        if port is None:
            port = ET.SubElement(devices, "serial", {"type": "pty"})
        wanted = {"type": "pty"} if value is None else value
        for console in devices.findall("console"):
            if console.find("target[@type='serial']") is not None:
                devices.remove(console)  # libvirt makes it anew from the port
        for source in port.findall("source"):
            port.remove(source)
        patch(self.row, port, wanted)


@dataclass(frozen=True)
class Agent:
    """The channel that the guest agent of QEMU listens to."""

    name: str

    def made(self, channel: ET.Element) -> bool:
        """Whether a channel is the agent's."""
        return channel.find(f"target[@name='{self.name}']") is not None

    def get(self, root: ET.Element) -> bool:
        return any(map(self.made, root.iterfind("devices/channel")))

    def put(self, root: ET.Element, value: bool | None) -> None:
        devices = child(root, "devices")
        if value and not self.get(root):
            channel = ET.SubElement(devices, "channel", {"type": "unix"})
            ET.SubElement(channel, "target", {"type": "virtio", "name": self.name})
        for channel in devices.findall("channel") if not value else ():
            if self.made(channel):
                devices.remove(channel)

    def answers(self, root: ET.Element) -> bool:
        """Whether the agent of a running domain has opened its end (formatdomain, Channel)."""
        path = f"devices/channel/target[@name='{self.name}'][@state='connected']"
        return root.find(path) is not None

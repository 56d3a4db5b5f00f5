# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a domain's devices live in its XML, told apart by a natural key each, on top of the places of domain_xml."""

from __future__ import annotations

import string
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.field import Field
from .domain_xml import child
from .xml_places import Entry, places

Row = Mapping[str, Any]


class Devices:
    """A list of devices of one type.

    Args:
        tag: Their element.
        row: The Fields of an entry, each with its place within the element.
        key: The natural key of an entry.
    """

    def __init__(self, tag: str, row: tuple[Field, ...], key: Callable[[Row], str]) -> None:
        self.tag = tag
        self.row = row
        self.key = key
        self.places = places(row)

    def fits(self, element: ET.Element) -> bool:
        """Whether an entry can describe it; others are left alone."""
        raise NotImplementedError

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        """A new element, added to the devices."""
        raise NotImplementedError

    def elements(self, root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
        for element in root.iterfind(f"devices/{self.tag}"):
            if self.fits(element):
                yield self.key(self.entry(element)), element

    def entry(self, element: ET.Element) -> Row:
        return Entry(element, self.places, (None,))

    def copy(self, root: ET.Element, other: ET.Element) -> None:
        """Have in another document what entries say of the devices of one, and no more."""
        for _key, element in self.elements(root):
            alone = ET.SubElement(child(other, "devices"), self.tag)
            for field in self.row:
                value = field.at.get(element)
                if value not in (None, (), {}):
                    field.at.put(alone, value)

    def find(self, root: ET.Element, key: str) -> ET.Element | None:
        return dict(self.elements(root)).get(key)

    def get(self, root: ET.Element) -> tuple[Row, ...]:
        return tuple(self.entry(element) for element in root.iterfind(f"devices/{self.tag}") if self.fits(element))

    def put(self, root: ET.Element, rows: Any) -> None:
        wanted = {self.key(row): row for row in rows or ()}
        devices = child(root, "devices")
        for key, element in list(self.elements(root)):
            if key not in wanted:
                devices.remove(element)
        for key, row in wanted.items():
            there = self.find(root, key)
            self.patch(root, self.fresh(root, row) if there is None else there, row)

    def patch(self, root: ET.Element, element: ET.Element, row: Row) -> None:
        for field in self.row:
            if field.name in row and field.at.get(element) != row[field.name]:
                field.at.put(element, row[field.name])


def _retype(disk: ET.Element, kind: str, *kept: str) -> ET.Element:
    """The source of a disk that is of that type now, without what only other types have."""
    if disk.get("type") != kind:
        disk.set("type", kind)
        for source in disk.findall("source"):
            disk.remove(source)
    source = child(disk, "source")
    for name in set(source.attrib) - {"index", "startupPolicy", *kept}:
        source.attrib.pop(name)
    return source


@dataclass(frozen=True)
class _File:
    """The file or block device of a disk."""

    def get(self, disk: ET.Element) -> str | None:
        source = disk.find("source")
        return None if source is None else source.get("file") or source.get("dev")

    def put(self, disk: ET.Element, value: str | None) -> None:
        if value is not None:
            kind, attribute = ("block", "dev") if value.startswith("/dev/") else ("file", "file")
            _retype(disk, kind).set(attribute, value)


DISK_FILE = _File()


@dataclass(frozen=True)
class InPool:
    """One of the two words that a volume is named by: ``pool`` and ``volume``."""

    word: str

    def get(self, disk: ET.Element) -> str | None:
        source = disk.find("source")
        return None if source is None else source.get(self.word)

    def put(self, disk: ET.Element, value: str | None) -> None:
        if value is not None:
            _retype(disk, "volume", "pool", "volume", "mode").set(self.word, value)


@dataclass(frozen=True)
class Remote:
    """A disk over a network: its protocol, what it is called there, and the hosts that have it."""

    def get(self, disk: ET.Element) -> dict[str, Any] | None:
        source = disk.find("source")
        if disk.get("type") != "network" or source is None:
            return None
        hosts = tuple(":".join(filter(None, (one.get("name"), one.get("port")))) for one in source.findall("host"))
        told = {"protocol": source.get("protocol"), "name": source.get("name"), "hosts": hosts or None}
        return {name: value for name, value in told.items() if value is not None}

    def put(self, disk: ET.Element, value: Row | None) -> None:
        if value is None:
            return
        source = _retype(disk, "network", "protocol", "name", "tls", "query")
        for name in ("protocol", "name"):
            if name in value:
                source.set(name, value[name])
        if "hosts" in value:
            for host in source.findall("host"):
                source.remove(host)
            for place, host in enumerate(value["hosts"]):
                name, _colon, port = host.partition(":")
                source.insert(place, ET.Element("host", {"name": name, **({"port": port} if port else {})}))


_PREFIX = {"virtio": "vd", "ide": "hd"}  # all others are sd


class Disks(Devices):
    """Disks of files, block devices, volumes and over a network; and drives for removable media.

    Args:
        own: Whether a file is a disk of ours that no list names.
    """

    def __init__(self, tag: str, row: tuple[Field, ...], key: Callable[[Row], str], own: Callable[[str], bool]) -> None:
        super().__init__(tag, row, key)
        self.own = own

    def fits(self, element: ET.Element) -> bool:
        if self.own(DISK_FILE.get(element) or ""):
            return False
        sourced = element.find("source") is not None or element.get("device") == "cdrom"
        return sourced and element.get("type") in ("file", "block", "volume", "network")

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        devices = child(root, "devices")
        taken = targets(root)
        disk = ET.SubElement(devices, "disk", {"type": "file", "device": str(row.get("device", "disk"))})
        ET.SubElement(disk, "driver", {"name": "qemu"})
        if any(name in row for name in ("file", "volume", "network")):
            ET.SubElement(disk, "source")
        ET.SubElement(disk, "target", {"dev": row.get("target") or free(row["bus"], taken), "bus": row["bus"]})
        if row["bus"] == "scsi" and devices.find("controller[@type='scsi']") is None:
            # libvirt's own choice is an emulated LSI controller, which many builds of QEMU lack.
            ET.SubElement(devices, "controller", {"type": "scsi", "model": "virtio-scsi"})
        return disk

    def patch(self, root: ET.Element, element: ET.Element, row: Row) -> None:
        target, address = child(element, "target"), element.find("address")
        moved = row.get("bus") not in (None, target.get("bus"))
        if moved and "target" not in row:
            target.set("dev", free(row["bus"], targets(root)))
        if moved and address is not None:
            element.remove(address)  # an address belongs to a bus
        super().patch(root, element, row)


def targets(root: ET.Element) -> set[str]:
    """The names of all disks that a domain has."""
    return {target.get("dev", "") for target in root.iterfind("devices/disk/target")}


def free(bus: str, taken: set[str]) -> str:
    """The first name of a disk on a bus that nobody has."""
    prefix, letters = _PREFIX.get(bus, "sd"), string.ascii_lowercase
    ends: list[str] = [*letters, *(one + two for one in letters for two in letters)]
    return next(f"{prefix}{end}" for end in ends if f"{prefix}{end}" not in taken)


SOURCES = ("network", "bridge", "direct", "user")
"""What a network card of the table is attached to."""


class Networks(Devices):
    """Network cards on a libvirt network, a bridge or a device of the host, or on a network of QEMU's own."""

    def fits(self, element: ET.Element) -> bool:
        return element.get("type") in SOURCES and element.find("mac") is not None

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        card = ET.SubElement(child(root, "devices"), "interface", {"type": "network"})
        for tag in ("mac", "source", "model"):
            ET.SubElement(card, tag)
        return card


@dataclass(frozen=True)
class Attached:
    """What a network card is attached to: a ``network``, a ``bridge``, a device (``direct``), or nothing (``user``)."""

    type: str

    @property
    def attribute(self) -> str:
        """What names it."""
        return "dev" if self.type == "direct" else self.type

    def get(self, card: ET.Element) -> str | bool | None:
        source, kind = card.find("source"), card.get("type")
        named = None if source is None else source.get("network")
        # A running card on a network is of the type, and shows the bridge, that the network has made of it.
        if self.type == "network" or named is not None:
            return named if self.type == "network" else None
        if kind != self.type:
            return None
        return True if self.type == "user" else None if source is None else source.get(self.attribute)

    def put(self, card: ET.Element, value: Any) -> None:
        if value is None or value is False:
            return
        card.set("type", self.type)
        for source in card.findall("source"):
            card.remove(source)
        if self.type != "user":
            card.insert(1, ET.Element("source", {self.attribute: value}))


class Plain(Devices):
    """Devices of which a new one begins with some attributes and children.

    Args:
        start: The new element.
        mine: Whether an entry can describe an element.
    """

    def __init__(
        self,
        tag: str,
        row: tuple[Field, ...],
        key: Callable[[Row], str],
        start: Callable[[Row], ET.Element],
        mine: Callable[[ET.Element], bool] = lambda element: True,
    ) -> None:
        super().__init__(tag, row, key)
        self.start = start
        self.mine = mine

    def fits(self, element: ET.Element) -> bool:
        return self.mine(element)

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        element = self.start(row)
        child(root, "devices").append(element)
        return element


@dataclass(frozen=True)
class PciAddress:
    """A device of the host by its address on PCI, as ``0000:03:00.0``."""

    def get(self, device: ET.Element) -> str | None:
        address = device.find("source/address")
        if device.get("type") != "pci" or address is None:
            return None
        numbers = [int(address.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")]
        return "{:04x}:{:02x}:{:02x}.{:x}".format(*numbers)

    def put(self, device: ET.Element, value: str | None) -> None:
        if value is not None:
            names, parts = ("domain", "bus", "slot", "function"), value.replace(".", ":").split(":")
            address = child(child(device, "source"), "address")
            address.attrib.update({name: f"0x{part}" for name, part in zip(names, parts)})


@dataclass(frozen=True)
class UsbIds:
    """A device of the host by its vendor and product on USB, as ``046d:c52b``."""

    def get(self, device: ET.Element) -> str | None:
        ids = [device.find(f"source/{name}") for name in ("vendor", "product")]
        if device.get("type") != "usb" or None in ids:
            return None
        return ":".join(f"{int(one.get('id', '0'), 16):04x}" for one in ids if one is not None)

    def put(self, device: ET.Element, value: str | None) -> None:
        if value is not None:
            for name, part in zip(("vendor", "product"), value.split(":")):
                child(child(device, "source"), name).set("id", f"0x{part}")


@dataclass(frozen=True)
class Listen:
    """The address that a screen listens on."""

    def get(self, graphics: ET.Element) -> str | None:
        listen = graphics.find("listen[@type='address']")
        return graphics.get("listen") or (None if listen is None else listen.get("address"))

    def put(self, graphics: ET.Element, value: str | None) -> None:
        graphics.attrib.pop("listen", None)
        for listen in graphics.findall("listen"):
            graphics.remove(listen)
        if value is not None:
            ET.SubElement(graphics, "listen", {"type": "address", "address": value})


@dataclass(frozen=True)
class Port:
    """The port that a screen listens on; None: whichever is free."""

    def get(self, graphics: ET.Element) -> int | None:
        port = graphics.get("port", "-1")
        return None if graphics.get("autoport") == "yes" or port == "-1" else int(port)

    def put(self, graphics: ET.Element, value: int | None) -> None:
        graphics.set("autoport", "yes" if value is None else "no")
        graphics.set("port", str(-1 if value is None else value))


def same_address(root: ET.Element, address: ET.Element) -> bool:
    """Whether a device of the domain already has that address."""
    return any(other.attrib == address.attrib for other in root.iterfind("devices/*/address"))

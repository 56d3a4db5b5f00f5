# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a value lives in a libvirt domain's XML, and how to change that place and no other.

Everything here has ``get(root)``, the canonical value or None, and ``put(root, value)``; None takes the value away.
What isn't named survives: elements, attributes, comments and name spaces of others.
"""

from __future__ import annotations

import io
import re
import string
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.field import Field

NAMESPACE = "https://strata.virt/ns/1"
MARK = f"{{{NAMESPACE}}}strata"

Row = Mapping[str, Any]

SKELETON = """<domain>
  <name/><metadata/><memory unit='KiB'/><vcpu>1</vcpu>
  <os><type>hvm</type></os><features><acpi/><apic/></features>
  <devices><serial type='pty'/></devices>
</domain>"""
"""What a new domain starts from; libvirt fills in the rest."""


def parse(text: str) -> ET.Element:
    """A document; prefixes of name spaces are kept as they are written back."""
    if "xmlns:" in text.replace("xmlns:strata=", ""):  # others than our own: worth parsing it twice
        for _event, (prefix, uri) in ET.iterparse(io.StringIO(text), events=("start-ns",)):
            if prefix and not re.fullmatch(r"ns\d+", prefix):  # that pattern is ElementTree's own
                ET.register_namespace(prefix, uri)
    return ET.fromstring(text, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))


def text_of(root: ET.Element) -> str:
    ET.register_namespace("strata", NAMESPACE)
    return ET.tostring(root, encoding="unicode")


def child(parent: ET.Element, tag: str) -> ET.Element:
    """The first child of that name, made where there is none."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


@dataclass(frozen=True)
class Leaf:
    """An element's text, or one of its attributes. An empty path is the element itself.

    ``absent`` is the value that is the same as saying nothing, and is put so.
    """

    path: str
    attribute: str = ""
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str
    absent: Any = None

    def get(self, root: ET.Element) -> Any:
        element = root.find(self.path or ".")
        if element is None:
            return None
        text = element.get(self.attribute) if self.attribute else (element.text or "").strip()
        return None if text is None or text == "" else self.read(text)

    def put(self, root: ET.Element, value: Any) -> None:
        if value is None or value == self.absent:
            self._drop(root)
            return
        element = root
        for tag in filter(None, self.path.split("/")):
            element = child(element, tag)
        if self.attribute:
            element.set(self.attribute, self.write(value))
        else:
            element.text = self.write(value)

    def _drop(self, root: ET.Element) -> None:
        element = root.find(self.path or ".")
        if element is None:
            return
        if self.attribute:
            element.attrib.pop(self.attribute, None)
        else:
            parent = root.find(self.path.rpartition("/")[0] or ".")
            if parent is not None:
                parent.remove(element)


@dataclass(frozen=True)
class Flag:
    """An empty element that is there or isn't."""

    path: str

    def get(self, root: ET.Element) -> bool:
        return root.find(self.path) is not None

    def put(self, root: ET.Element, value: Any) -> None:
        found = root.find(self.path)
        if value and found is None:
            ET.SubElement(root, self.path)
        elif not value and found is not None:
            root.remove(found)


@dataclass(frozen=True)
class Now:
    """What a guest has of something that it can get more of: at most ``most``.

    Where both were the same they stay the same; a most that was set apart stays, unless it has become too little.
    """

    now: Leaf
    most: Leaf

    def get(self, root: ET.Element) -> Any:
        now = self.now.get(root)
        return self.most.get(root) if now is None else now

    def put(self, root: ET.Element, value: Any) -> None:
        most = self.most.get(root)
        tied = self.now.get(root) in (None, most)
        self.now.put(root, value)
        if tied or most < value:
            self.most.put(root, value)


def _bytes(kib: str) -> int:
    return int(kib) * 1024


def _kib(size: int) -> str:
    return str(size // 1024)


# libvirt prints both in KiB, and reads KiB where no unit is given (formatdomain, Memory Allocation).
MEMORY = (Leaf("currentMemory", read=_bytes, write=_kib), Leaf("memory", read=_bytes, write=_kib))
VCPUS = (Leaf("vcpu", "current", int), Leaf("vcpu", read=int))


@dataclass(frozen=True)
class ConsoleLog:
    """The file that the first serial port is logged to."""

    def get(self, root: ET.Element) -> str | None:
        log = root.find("devices/serial/log")
        return None if log is None else log.get("file")

    def put(self, root: ET.Element, value: str | None) -> None:
        devices = child(root, "devices")
        serial = devices.find("serial")
        if serial is None:
            serial = ET.SubElement(devices, "serial", {"type": "pty"})
        ports = [serial]
        # libvirt repeats the first serial port as a console; both must say the same.
        ports += [port for port in devices.findall("console") if port.find("target[@type='serial']") is not None][:1]
        for port in ports:
            if value is not None:
                log = child(port, "log")
                log.set("file", value)
                log.set("append", log.get("append", "on"))  # so that a restart doesn't lose what was said
            else:
                for log in port.findall("log"):
                    port.remove(log)


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

    def entry(self, element: ET.Element) -> dict[str, Any]:
        values = {field.name: field.at.get(element) for field in self.row}
        return {name: value for name, value in values.items() if value is not None}

    def find(self, root: ET.Element, key: str) -> ET.Element | None:
        return dict(self.elements(root)).get(key)

    def get(self, root: ET.Element) -> tuple[dict[str, Any], ...]:
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


@dataclass(frozen=True)
class _Source:
    """The file or block device of a disk."""

    def get(self, disk: ET.Element) -> str | None:
        source = disk.find("source")
        return None if source is None else source.get("file") or source.get("dev")

    def put(self, disk: ET.Element, value: str) -> None:
        kind, attribute = ("block", "dev") if value.startswith("/dev/") else ("file", "file")
        disk.set("type", kind)
        source = child(disk, "source")
        for name in ("file", "dev"):
            source.attrib.pop(name, None)
        source.set(attribute, value)


DISK_FILE = _Source()

_PREFIX = {"virtio": "vd", "ide": "hd"}  # all others are sd


class Disks(Devices):
    """Disks of a file or a block device."""

    def fits(self, element: ET.Element) -> bool:
        return element.get("type") in ("file", "block") and DISK_FILE.get(element) is not None

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        devices = child(root, "devices")
        taken = _targets(devices)
        disk = ET.SubElement(devices, "disk", {"type": "file", "device": str(row.get("device", "disk"))})
        ET.SubElement(disk, "driver", {"name": "qemu"})
        ET.SubElement(disk, "source")
        ET.SubElement(disk, "target", {"dev": row.get("target") or _free(row["bus"], taken), "bus": row["bus"]})
        if row["bus"] == "scsi" and devices.find("controller[@type='scsi']") is None:
            # libvirt's own choice is an emulated LSI controller, which many builds of QEMU lack.
            ET.SubElement(devices, "controller", {"type": "scsi", "model": "virtio-scsi"})
        return disk

    def patch(self, root: ET.Element, element: ET.Element, row: Row) -> None:
        target, address = child(element, "target"), element.find("address")
        moved = row.get("bus") not in (None, target.get("bus"))
        if moved and "target" not in row:
            target.set("dev", _free(row["bus"], _targets(child(root, "devices"))))
        if moved and address is not None:
            element.remove(address)  # an address belongs to a bus
        super().patch(root, element, row)


def _targets(devices: ET.Element) -> set[str]:
    return {target.get("dev", "") for target in devices.iterfind("disk/target")}


def _free(bus: str, taken: set[str]) -> str:
    prefix = _PREFIX.get(bus, "sd")
    names = (prefix + letter for letter in string.ascii_lowercase)
    return next(name for name in names if name not in taken)


class Networks(Devices):
    """Network cards on a libvirt network or on a bridge of the host."""

    def fits(self, element: ET.Element) -> bool:
        return element.get("type") in ("network", "bridge") and element.find("mac") is not None

    def fresh(self, root: ET.Element, row: Row) -> ET.Element:
        card = ET.SubElement(child(root, "devices"), "interface", {"type": "network"})
        for tag in ("mac", "source", "model"):
            ET.SubElement(card, tag)
        return card


@dataclass(frozen=True)
class Attached:
    """What a network card is attached to: a ``network`` or a ``bridge``."""

    type: str

    def get(self, card: ET.Element) -> str | None:
        source = card.find("source")
        # A running card on a network shows the network's bridge, too.
        return source.get(self.type) if source is not None and card.get("type") == self.type else None

    def put(self, card: ET.Element, value: str | None) -> None:
        if value is None:
            return
        card.set("type", self.type)
        source = child(card, "source")
        source.attrib.clear()
        source.set(self.type, value)


def mark(root: ET.Element) -> ET.Element | None:
    """What the collection has noted in a domain's metadata."""
    return root.find(f"metadata/{MARK}")


def same_address(root: ET.Element, address: ET.Element) -> bool:
    """Whether a device of the domain already has that address."""
    return any(other.attrib == address.attrib for other in root.iterfind("devices/*/address"))


def running_memory(root: ET.Element) -> int:
    """What the guest was asked to make do with, as long as it hasn't moved since; else what it has."""
    actual = int(Now(*MEMORY).get(root))
    marked = mark(root)
    if marked is not None and marked.get("stayed") == str(actual // 1024):
        return int(marked.get("asked", "")) * 1024
    return actual


def running_facts(root: ET.Element) -> dict[str, Any]:
    balloon = root.find("devices/memballoon")
    fixed = root.findall("vcpus/vcpu[@enabled='yes'][@hotpluggable='no']")
    return {
        "id": root.get("id"),
        "memory_most": MEMORY[1].get(root),
        "memory_actual": Now(*MEMORY).get(root),
        "balloon": balloon is not None and balloon.get("model") != "none",
        "vcpus_most": VCPUS[1].get(root),
        # Those that it was started with can't be taken away while it runs.
        "vcpus_fixed": len(fixed) or Now(*VCPUS).get(root),
    }

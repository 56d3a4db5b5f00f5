# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a value lives in a libvirt domain's XML, and how to change that place and no other.

Everything here has ``get(root)``, the canonical value or None, and ``put(root, value)``; None takes the value away.
What isn't named survives: elements, attributes, comments and name spaces of others.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NAMESPACE = "https://strata.virt/ns/1"
MARK = f"{{{NAMESPACE}}}strata"

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


def find(root: ET.Element, path: str) -> ET.Element | None:
    """The first element that a path leads to, the root itself where it is empty."""
    if not path:
        return root
    first, deeper, rest = path.partition("/")
    if not deeper:
        return root.find(first)
    return next((found for above in root.findall(first) if (found := find(above, rest)) is not None), None)


def find_all(root: ET.Element, path: str) -> list[ET.Element]:
    """All elements that a path leads to, step by step: a whole one ElementTree reads in Python, which takes longer."""
    first, deeper, rest = path.partition("/")
    found = root.findall(first)
    return [one for above in found for one in find_all(above, rest)] if deeper else found


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
        element = find(root, self.path)
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
        element = find(root, self.path)
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


def mark(root: ET.Element) -> ET.Element | None:
    """What the collection has noted in a domain's metadata."""
    metadata = root.find("metadata")
    return None if metadata is None else metadata.find(MARK)


def marked(root: ET.Element) -> ET.Element:
    """The same, made where there is none; without an owner it is nobody's."""
    found = mark(root)
    return ET.SubElement(child(root, "metadata"), MARK) if found is None else found


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
        "scsi": root.find("devices/controller[@type='scsi']") is not None,
        "vcpus_most": VCPUS[1].get(root),
        # Those that it was started with can't be taken away while it runs.
        "vcpus_fixed": len(fixed) or Now(*VCPUS).get(root),
    }

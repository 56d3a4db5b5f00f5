# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of libvirt networks that are written in more than one place: leases, functions of PCI devices, parameters."""

from __future__ import annotations

import functools
import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .domain_xml import Leaf

# They come twice and more often, in what is declared and in what there is, and take a while to be taken apart.
address = functools.lru_cache(maxsize=None)(ipaddress.ip_address)
interface = functools.lru_cache(maxsize=None)(ipaddress.ip_interface)


@dataclass(frozen=True)
class Attributes:
    """All attributes of an element, as a mapping."""

    path: str

    def get(self, root: ET.Element) -> dict[str, str] | None:
        element = root.find(self.path)
        return None if element is None else dict(element.attrib) or None

    def put(self, root: ET.Element, value: Mapping[str, str] | None) -> None:
        above = self.path.rpartition("/")[0]
        parent, element = root.find(above or "."), root.find(self.path)
        if element is not None and parent is not None:
            parent.remove(element)
            if parent is not root and not (value or len(parent) or parent.attrib):
                root.remove(parent)
        for name, text in (value or {}).items():
            Leaf(self.path, name).put(root, text)


_PCI = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


@dataclass(frozen=True)
class Functions:
    """PCI functions, each as ``0000:03:10.1``."""

    @staticmethod
    def _found(root: ET.Element) -> list[ET.Element]:
        return [one for one in root.findall("address") if one.get("type") == "pci"]

    def get(self, root: ET.Element) -> tuple[str, ...]:
        found = []
        for one in self._found(root):
            domain, bus, slot, function = (
                int(one.get(word, "0"), 16) for word in ("domain", "bus", "slot", "function")
            )
            found.append(f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
        return tuple(sorted(found))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        wanted = sorted(value or ())
        if wanted == list(self.get(root)):
            return
        for one in self._found(root):
            root.remove(one)
        for text in wanted:
            numbers = _PCI.fullmatch(text)
            words = ("domain", "bus", "slot", "function")
            given = {word: f"0x{number}" for word, number in zip(words, numbers.groups() if numbers else ())}
            ET.SubElement(root, "address", {"type": "pci", **given})


_LEASE_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}


@dataclass(frozen=True)
class Lease:
    """How long a host keeps its address, in seconds; 0: for good (formatnetwork)."""

    def get(self, root: ET.Element) -> int | None:
        element = root.find("lease")
        if element is None:
            return None
        return int(element.get("expiry", "0")) * _LEASE_UNITS[element.get("unit", "minutes")]

    def put(self, root: ET.Element, value: int | None) -> None:
        for element in root.findall("lease"):
            root.remove(element)
        if value is not None:
            ET.SubElement(root, "lease", {"expiry": str(value), **({"unit": "seconds"} if value else {})})

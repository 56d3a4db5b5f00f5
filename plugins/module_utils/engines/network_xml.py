# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the values of a libvirt network live in its XML (formatnetwork), on top of the places of domain_xml."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.field import Field
from .domain_xml import Leaf, child, find, find_all, text_of
from .network_values import interface
from .xml_places import OfRow, patch

Row = Mapping[str, Any]

SKELETON = "<network><name/></network>"
DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"


def family(version: int) -> Callable[[ET.Element], ET.Element | None]:
    """The first ``<ip>`` of an IP version: no family means IPv4."""

    def pick(root: ET.Element) -> ET.Element | None:
        words = ("ipv6",) if version == 6 else (None, "ipv4")
        return next((ip for ip in root.findall("ip") if ip.get("family") in words), None)

    return pick


def keep_only(root: ET.Element, tag: str, attribute: str, wanted: Iterable[str]) -> None:
    """Have one element of a name for each wanted value of its text or of an attribute; those that are there stay."""
    at, missing = Leaf("", attribute), list(wanted)
    for element in root.findall(tag):
        value = at.get(element)
        if value in missing:
            missing.remove(value)
        else:
            root.remove(element)
    for value in missing:
        at.put(ET.SubElement(root, tag), value)


@dataclass(frozen=True)
class Address:
    """An address with its prefix, as one value; libvirt takes a netmask for it, too."""

    def get(self, element: ET.Element) -> str | None:
        address = element.get("address")
        if address is None:
            return None
        length = element.get("prefix") or element.get("netmask")
        return str(interface(f"{address}/{length}" if length else address))

    def put(self, element: ET.Element, value: str) -> None:
        address, _slash, prefix = value.partition("/")
        element.attrib.pop("netmask", None)
        element.set("address", address)
        element.set("prefix", prefix)
        if ":" in address:
            element.set("family", "ipv6")


@dataclass(frozen=True)
class Ip(OfRow):
    """The first address of an IP version, and what belongs to it."""

    version: int
    row: tuple[Field, ...]

    def get(self, root: ET.Element) -> Row | None:
        element = family(self.version)(root)
        return None if element is None else self.entry(element)

    def put(self, root: ET.Element, value: Row | None) -> None:
        element = family(self.version)(root)
        if value is None:
            if element is not None:
                root.remove(element)
            return
        patch(self.row, ET.SubElement(root, "ip") if element is None else element, value)


@dataclass(frozen=True)
class Forward(OfRow):
    """How the network reaches others; without an element, not at all."""

    row: tuple[Field, ...]

    def get(self, root: ET.Element) -> Row:
        element = root.find("forward")
        return {"mode": "isolated"} if element is None else self.entry(element)

    def put(self, root: ET.Element, value: Row | None) -> None:
        element = root.find("forward")
        mode = "isolated" if value is None else value.get("mode", self.get(root)["mode"])
        if mode == "isolated" or value is None:
            if element is not None:
                root.remove(element)
            return
        element = child(root, "forward")
        patch(self.row, element, value)
        nat = element.find("nat")
        if mode != "nat" and nat is not None:
            element.remove(nat)  # libvirt refuses it with another mode


@dataclass(frozen=True)
class Span:
    """The start and the end of a range, as one value."""

    path: str

    def get(self, root: ET.Element) -> str | None:
        element = find(root, self.path)
        return None if element is None else f"{element.get('start')}-{element.get('end')}"

    def put(self, root: ET.Element, value: str | None) -> None:
        for attribute, text in zip(("start", "end"), (value or "-").split("-")):
            Leaf(self.path, attribute).put(root, text or None)


@dataclass(frozen=True)
class Tags:
    """The VLANs of an element; more than one make a trunk."""

    def get(self, root: ET.Element) -> tuple[int, ...] | None:
        return tuple(sorted(int(tag.get("id", "0")) for tag in root.findall("vlan/tag"))) or None

    def put(self, root: ET.Element, value: Iterable[int] | None) -> None:
        tags = [str(tag) for tag in value or ()]
        vlan = root.find("vlan")
        if not tags:
            if vlan is not None:
                root.remove(vlan)
            return
        vlan = child(root, "vlan")
        keep_only(vlan, "tag", "id", tags)
        vlan.attrib.pop("trunk", None)
        if len(tags) > 1:
            vlan.set("trunk", "yes")


@dataclass(frozen=True)
class Names:
    """The texts of an element's children, or one attribute of each."""

    tag: str
    attribute: str = ""

    def get(self, root: ET.Element) -> tuple[str, ...]:
        at = Leaf("", self.attribute)
        return tuple(sorted(str(at.get(element)) for element in root.findall(self.tag)))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        keep_only(root, self.tag, self.attribute, value or ())


@dataclass(frozen=True)
class Options:
    """Lines for dnsmasq's own configuration, in their order."""

    def get(self, root: ET.Element) -> tuple[str, ...]:
        return tuple(one.get("value", "") for one in root.findall(f"{{{DNSMASQ}}}options/{{{DNSMASQ}}}option"))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        ET.register_namespace("dnsmasq", DNSMASQ)
        for element in root.findall(f"{{{DNSMASQ}}}options"):
            root.remove(element)
        lines = tuple(value or ())
        if lines:
            options = ET.SubElement(root, f"{{{DNSMASQ}}}options")
            for line in lines:
                ET.SubElement(options, f"{{{DNSMASQ}}}option", {"value": line})


@dataclass(frozen=True)
class Rows(OfRow):
    """A table of elements of one name.

    Attributes:
        path: Where they are, the last step being their name.
        row: The Fields of an entry, each with its place within the element.
        key: The natural key of an entry.
        section: What virNetworkUpdate calls the table; none: it can't change it.
        within: Which element of the document the path starts at; None: the document's own. Without it, no entries.
        modify: Whether libvirt can change an entry in its place.
    """

    path: str
    row: tuple[Field, ...]
    key: Callable[[Row], str]
    section: str = ""
    within: Callable[[ET.Element], ET.Element | None] | None = None
    modify: bool = False

    def _found(self, root: ET.Element) -> list[ET.Element]:
        start = root if self.within is None else self.within(root)
        return [] if start is None else find_all(start, self.path)

    def elements(self, root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
        for element in self._found(root):
            yield self.key(self.entry(element)), element

    def get(self, root: ET.Element) -> tuple[Row, ...]:
        return tuple(sorted((self.entry(element) for element in self._found(root)), key=self.key))

    def put(self, root: ET.Element, rows: Iterable[Row] | None) -> None:
        start = root if self.within is None else self.within(root)
        wanted = {self.key(row): row for row in rows or ()}
        there = dict(self.elements(root))
        if start is None or not (wanted or there):
            return
        parent = start
        *above, tag = self.path.split("/")
        for step in above:
            parent = child(parent, step)
        for key, element in there.items():
            if key not in wanted:
                parent.remove(element)
        for key, row in wanted.items():
            patch(self.row, there[key] if key in there else ET.SubElement(parent, tag), row)
        if above and not len(parent) and not parent.attrib:
            start.remove(parent)

    def updates(self, live: ET.Element, before: Row | None, row: Row | None) -> Iterator[tuple[str, str]]:
        """The commands of virNetworkUpdate, each with its entry, that lead from one entry to another one.

        Args:
            live: The running network.
            before: The entry as it runs, None for a new one.
            row: The entry that is wanted, None for one that is to go.
        """
        old = None if before is None else dict(self.elements(live)).get(self.key(before))
        fresh = ET.Element(self.path.rpartition("/")[2]) if old is None else copy.deepcopy(old)
        if row is not None:
            patch(self.row, fresh, row)
        if old is not None and row is not None and self.modify:
            yield "MODIFY", text_of(fresh)
            return
        if old is not None:
            yield "DELETE", text_of(old)
        if row is not None:
            yield "ADD_LAST", text_of(fresh)

    def parent(self, live: ET.Element) -> int:
        """Which ``<ip>`` of the running network the table is of, from 0; -1 where it is of none."""
        return -1 if self.within is None else place(live, self.within)


class Interfaces(Rows):
    """Those that a network forwards to, of which libvirt wants that the first one is the network's ``dev``."""

    def put(self, root: ET.Element, rows: Iterable[Row] | None) -> None:
        super().put(root, rows)
        forward = root.find("forward")
        found = [] if forward is None else forward.findall("interface")
        if forward is None or not found:
            return
        first = next((one for one in found if one.get("dev") == forward.get("dev")), found[0])
        forward.remove(first)
        forward.insert(0, first)
        forward.set("dev", first.get("dev", ""))


def place(root: ET.Element, within: Callable[[ET.Element], ET.Element | None]) -> int:
    """Which ``<ip>`` of a network that is, from 0; -1 where there is none."""
    element = within(root)
    return -1 if element is None else root.findall("ip").index(element)


@dataclass(frozen=True)
class Ranges:
    """The addresses that DHCP hands out: pairs of the first and the last."""

    version: int
    section: str = "IP_DHCP_RANGE"

    def get(self, root: ET.Element) -> tuple[tuple[str, str], ...]:
        element = family(self.version)(root)
        found = [] if element is None else find_all(element, "dhcp/range")
        return tuple(sorted((one.get("start", ""), one.get("end", "")) for one in found))

    def put(self, root: ET.Element, value: Iterable[tuple[str, str]] | None) -> None:
        element, wanted = family(self.version)(root), set(value or ())
        there = set(self.get(root))
        if element is None or wanted == there:
            return
        dhcp = child(element, "dhcp")
        for one in dhcp.findall("range"):
            if (one.get("start"), one.get("end")) not in wanted:
                dhcp.remove(one)
        for start, end in sorted(wanted - there):
            ET.SubElement(dhcp, "range", {"start": start, "end": end})

    def parent(self, live: ET.Element) -> int:
        return place(live, family(self.version))

    def updates(self, live: ET.Element, value: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """As those of ``Rows``; libvirt can't change a range in its place."""
        there, wanted = set(self.get(live)), set(value)
        for command, ranges in (("DELETE", there - wanted), ("ADD_LAST", wanted - there)):
            for start, end in sorted(ranges):
                yield command, text_of(ET.Element("range", {"start": start, "end": end}))

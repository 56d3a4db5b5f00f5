# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's network filters, through its own binding."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from . import domain_xml
from .libvirt_objects import Defined

OWN = frozenset(
    [
        "allow-arp",
        "allow-dhcp",
        "allow-dhcp-server",
        "allow-dhcpv6",
        "allow-dhcpv6-server",
        "allow-incoming-ipv4",
        "allow-incoming-ipv6",
        "allow-ipv4",
        "allow-ipv6",
        "clean-traffic",
        "clean-traffic-gateway",
        "no-arp-ip-spoofing",
        "no-arp-mac-spoofing",
        "no-arp-spoofing",
        "no-ip-multicast",
        "no-ip-spoofing",
        "no-ipv6-multicast",
        "no-ipv6-spoofing",
        "no-mac-broadcast",
        "no-mac-spoofing",
        "no-other-l2-traffic",
        "no-other-rarp-traffic",
        "qemu-announce-self",
        "qemu-announce-self-rarp",
    ]
)
"""The filters that come with libvirt (src/nwfilter/xml), of which its packages make those that are missing."""


class Filters(Defined):
    noun = "filter"
    calls = ("listAllNWFilters", "nwfilterLookupByName", "nwfilterDefineXMLFlags")
    validate = "VIR_NWFILTER_DEFINE_VALIDATE"
    gone = "VIR_ERR_NO_NWFILTER"

    def filters(self, names: Iterable[str] | None) -> dict[str, str]:
        """The XML of the named ones, or of all: one call, and one for each."""
        return dict(self._present(names, lambda one: (one.name(), str(one.XMLDesc(0)))))

    def names(self) -> list[str]:
        return sorted(one.name() for one in self._all())

    def parts_of(self, name: str) -> list[str]:
        """The filters that a filter is a part of."""
        return sorted(
            whole for whole, xml in self.filters(None).items() if _names(ET.fromstring(xml), "filterref", name)
        )

    def users(self, name: str) -> dict[str, str | None]:
        """The domains with a card that has the filter, running or not, and who made each."""
        found = {}
        for domain in self.domains(None):
            root = domain_xml.parse(domain.stored)
            sources = [root, *([domain_xml.parse(domain.running)] if domain.running else [])]
            if any(_names(one, "devices/interface/filterref", name) for one in sources):
                marked = domain_xml.mark(root)
                found[domain.name] = None if marked is None else marked.get("owner")
        return found


def _names(root: ET.Element, path: str, name: str) -> bool:
    return any(part.get("filter") == name for part in root.iterfind(path))

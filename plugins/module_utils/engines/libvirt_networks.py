# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's virtual networks, through its own binding."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ..core.errors import StrataError
from . import domain_xml
from .libvirt_objects import Objects

_METADATA_SINCE = 9_008_000  # libvirt 9.8 keeps <metadata> of networks (its NEWS)


class Networks(Objects):
    noun = "network"
    calls = ("listAllNetworks", "networkLookupByName", "networkDefineXMLFlags")
    constant = "NETWORKS"
    inactive = "VIR_NETWORK_XML_INACTIVE"
    validate = "VIR_NETWORK_DEFINE_VALIDATE"
    gone = "VIR_ERR_NO_NETWORK"

    def keeps_metadata(self) -> bool:
        return bool(self.connection.getLibVersion() >= _METADATA_SINCE)

    def start(self, name: str) -> None:
        with self._doing("start it"):
            self.get(name).create()

    def guests(self, name: str) -> dict[str, str | None]:
        """The running domains that are connected to a network, and who made each."""
        network = self.find(name)
        if network is None or not network.isActive():
            return {}
        with self._doing("tell who is connected"):
            ports = [ET.fromstring(port.XMLDesc(0)) for port in network.listAllPorts(0)]
        names = {port.findtext("owner/name") for port in ports}
        return {guest: self._made_by(guest) for guest in sorted(filter(None, names))}

    def _made_by(self, domain: str) -> str | None:
        try:
            xml = self._domain(domain).metadata(self.api.VIR_DOMAIN_METADATA_ELEMENT, domain_xml.NAMESPACE, 0)
        except self.api.libvirtError:  # it has none, or went away
            return None
        return ET.fromstring(xml).get("owner")

    def update(self, name: str, command: str, section: str, xml: str, parent: int = -1) -> None:
        """Change one entry of a running network.

        Args:
            command: ``ADD_LAST``, ``DELETE`` or ``MODIFY``, as libvirt spells it.
            section: Which table, likewise: ``IP_DHCP_HOST``, ``DNS_TXT``, …
            xml: The entry.
            parent: Which ``<ip>`` of the network it is of, from 0; -1 where it is of none.
        """
        api = self.api
        verb = getattr(api, f"VIR_NETWORK_UPDATE_COMMAND_{command}")
        table = getattr(api, f"VIR_NETWORK_SECTION_{section}")
        try:
            # libvirt 7.2 and later take the arguments in this order, whatever was documented before.
            self.get(name).update(verb, table, parent, xml, api.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        except api.libvirtError as error:
            raise StrataError(
                f"libvirt could not change the running network: {error.get_error_message()}",
                hint="It is stored as declared: restart: if_needed brings it in",
            ) from None

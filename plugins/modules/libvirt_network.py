#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_network
short_description: Virtual networks of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a virtual network and keeps it as declared.
  - Changes only what is declared. Everything else in the network's XML stays, whoever put it there.
  - DHCP, DNS entries and port groups are changed while it is active, so that no guest notices.
extends_documentation_fragment:
  - strata.virt.libvirt_network_services
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The network.
    type: str
    required: true
  state:
    description:
      - V(active) makes it and starts it, V(inactive) makes it and stops it, V(present) leaves it active or not.
      - V(absent) stops it and forgets it.
    type: str
    choices: [active, inactive, present, absent]
    default: active
  restart:
    description:
      - Whether it may be restarted for what it can't take while it is active. Where it may not, the change is stored,
        takes effect at its next start, and RV(restart_required) names it.
    type: str
    choices: [never, if_needed, always]
    default: never
  force:
    description:
      - Stop it though running domains are connected to it, which cuts them off until their cards are plugged in again.
        Otherwise that is an error that names them.
    type: bool
    default: false
  forward:
    description:
      - How it reaches others. A new one that doesn't give it is isolated.
    type: dict
    suboptions:
      mode:
        description:
          - V(isolated) reaches the host only, V(nat) others by the host's address, V(route) and V(open) by its own, the
            latter without rules of libvirt's.
          - V(bridge) connects cards to a bridge that the host has (O(bridge)), or to O(forward.dev) by macvtap.
            V(private), V(vepa) and V(passthrough) are the other modes of macvtap.
          - V(hostdev) hands out PCI functions, those of O(forward.pf) or O(forward.addresses).
        type: str
        choices: [isolated, nat, route, open, bridge, private, vepa, passthrough, hostdev]
      dev:
        description: The only interface of the host that it forwards to.
        type: str
      interfaces:
        description: Interfaces of the host, one of which each card gets (macvtap). Changed while the network is active.
        type: list
        elements: str
      pf:
        description: The interface of the host whose virtual functions V(hostdev) hands out.
        type: str
      addresses:
        description: The PCI functions that V(hostdev) hands out, as V(0000:03:10.1).
        type: list
        elements: str
      managed:
        description: Whether libvirt takes a function from its driver, and gives it back afterwards.
        type: bool
      driver:
        description: What hands it on.
        type: str
        choices: [vfio, kvm]
      nat_addresses:
        description: The addresses that V(nat) uses, as V(FIRST-LAST).
        type: str
      nat_ports:
        description: The ports that V(nat) uses, as V(1024-65535).
        type: str
      nat_ipv6:
        description: V(nat) for IPv6, too.
        type: bool
  title:
    description:
      - A short line on what it is for. From libvirt 9.7 on.
    type: str
  description:
    description:
      - More on that. From libvirt 9.7 on.
    type: str
  guest_ipv6:
    description:
      - Whether its guests may speak IPv6 with each other where the host has no such address on it.
    type: bool
  trust_guest_rx_filters:
    description:
      - Whether the host follows what a guest says of the addresses that its card listens to.
    type: bool
  bridge:
    description:
      - The bridge that libvirt makes, or with O(forward.mode=bridge) the one that the host has. A new network gets a
        free C(virbrN).
    type: str
  stp:
    description:
      - Whether the bridge speaks the spanning tree protocol. A new one does.
    type: bool
  delay:
    description:
      - How long the bridge looks before it forwards, in seconds.
    type: int
  zone:
    description:
      - The zone of firewalld that the bridge is in.
    type: str
  mac:
    description:
      - The address of the bridge. A new network gets one from libvirt.
    type: str
  mac_table:
    description:
      - Who keeps the bridge's table of addresses. With V(libvirt) the bridge neither learns nor floods.
    type: str
    choices: [kernel, libvirt]
  isolated_ports:
    description:
      - Whether cards on it can't reach each other.
    type: bool
  mtu:
    description:
      - Of the bridge and of the cards that are connected to it, in bytes.
    type: int
  virtualport:
    description:
      - The type of its ports, as V(openvswitch).
    type: str
  virtualport_parameters:
    description:
      - What its ports are told, as C(profileid) or C(interfaceid). Enforced whole.
    type: dict
  vlans:
    description:
      - The VLANs of its ports, for networks that can (Open vSwitch, SR-IOV). More than one make a trunk.
    type: list
    elements: int
  inbound:
    description:
      - What the whole network may receive.
    type: dict
    suboptions:
      average:
        description: In KiB a second.
        type: int
      peak:
        description: Up to this in a burst, in KiB a second.
        type: int
      burst:
        description: What may go at O(inbound.peak), in KiB.
        type: int
  outbound:
    description:
      - What the whole network may send.
    type: dict
    suboptions:
      average:
        description: In KiB a second.
        type: int
      peak:
        description: Up to this in a burst, in KiB a second.
        type: int
      burst:
        description: What may go at O(outbound.peak), in KiB.
        type: int
  domain:
    description:
      - The DNS domain of its guests.
    type: str
  domain_local_only:
    description:
      - Questions about O(domain) are never passed on.
    type: bool
  domain_register:
    description:
      - Whether systemd-resolved of the host asks it about O(domain). From libvirt 10.1 on.
    type: bool
  portgroups:
    description:
      - Classes of ports that a domain's card can name.
    type: list
    elements: dict
    suboptions:
      name:
        description: Tells it from the others.
        type: str
        required: true
      default:
        description: The one of cards that name none.
        type: bool
      trust_guest_rx_filters:
        description: As that of the network.
        type: bool
      virtualport:
        description: As that of the network.
        type: str
      virtualport_parameters:
        description: As those of the network.
        type: dict
      vlans:
        description: The VLANs of its ports.
        type: list
        elements: int
      inbound:
        description: What each port may receive.
        type: dict
        suboptions:
          average:
            description: In KiB a second.
            type: int
          peak:
            description: Up to this in a burst, in KiB a second.
            type: int
          burst:
            description: What may go at O(portgroups[].inbound.peak), in KiB.
            type: int
      outbound:
        description: What each port may send.
        type: dict
        suboptions:
          average:
            description: In KiB a second.
            type: int
          peak:
            description: Up to this in a burst, in KiB a second.
            type: int
          burst:
            description: What may go at O(portgroups[].outbound.peak), in KiB.
            type: int
  dnsmasq_options:
    description:
      - Lines for the configuration of dnsmasq, as they are. libvirt doesn't vouch for them.
    type: list
    elements: str
  autostart:
    description:
      - Start it when the host boots.
    type: bool
  xml:
    description:
      - The network as libvirt's XML, as people have it. What has an option becomes that option, and what an option says
        besides wins; of the rest, what is written there is kept as it is written.
    type: str
seealso:
  - module: strata.virt.libvirt_network_info
  - module: strata.virt.libvirt_domain
"""

EXAMPLES = r"""
- name: A network behind the host's address, with fixed addresses for some
  strata.virt.libvirt_network:
    name: lab0
    forward: {mode: nat}
    bridge: virbr10
    ip:
      address: 10.20.0.1/24
      dhcp:
        ranges: [[10.20.0.100, 10.20.0.200]]
        hosts: [{mac: "52:54:00:00:00:10", ip: 10.20.0.10, name: lab1}]
    autostart: true
    state: active

- name: One that reaches nobody but the host, with names of its own
  strata.virt.libvirt_network:
    name: backend
    bridge: virbr11
    domain: backend.example.com
    ip: {address: 192.0.2.1/24}
    dns_hosts: [{ip: 192.0.2.10, names: [db, db.backend.example.com]}]

- name: Cards straight on a bridge that the host has
  strata.virt.libvirt_network:
    name: uplink
    forward: {mode: bridge}
    bridge: br0
    state: inactive

- name: Another network, forgotten
  strata.virt.libvirt_network:
    name: uplink
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: "dns_txt[k]", before: null, after: {name: k, value: v}, effect: live, layer: running}
restart_required:
  description: Options that are stored and take effect at the next start, because O(restart) didn't allow one.
  returned: always
  type: list
  elements: str
  sample: [mtu]
resource:
  description: What the host has now. C(options) are as stored, C(running) as it is active.
  returned: always
  type: dict
  sample:
    name: lab0
    status: active
    owner: ""
    options: {name: lab0, bridge: virbr10, forward: {mode: nat}, ip: {address: 10.20.0.1/24}, state: active}
    running: {bridge: virbr10, forward: {mode: nat}, ip: {address: 10.20.0.1/24}}
    facts: {bridge: virbr10, mac: "52:54:00:d9:31:45", uuid: d6505dc4-c91e-4f94-bb18-a819adbe6f6c}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_network import LibvirtNetwork


def main() -> None:
    converge(LibvirtNetwork)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: link
short_description: "Network links: bridges, veth pairs, vlans, tunnels"
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a link on the host or in a named network namespace, and keeps its addresses and settings.
  - What the kernel can change of a link that is there is changed live. What it can't (the type, the id of a vlan, the
    parent) is done by making the link anew, where O(recreate) allows.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - python3-pyroute2
options:
  name:
    description:
      - The link, 15 bytes at most.
    type: str
    required: true
  state:
    description:
      - V(present) makes the link and keeps its settings, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  recreate:
    description:
      - Whether a change that the kernel can't make live may make the link anew. Its ports, its addresses and its master
        are carried over.
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  netns:
    description:
      - The named network namespace that the link is in; the host where it is not given.
    type: str
  type:
    description:
      - What it is. Needed to make a link; a link that is there, such as a network card, can do without.
    type: str
    choices: [bridge, veth, macvlan, ipvlan, vlan, vxlan, bond, tun, tap, dummy]
  mtu:
    description:
      - The largest packet, in bytes.
    type: int
  mac:
    description:
      - The MAC address. A port of a bond has that of the bond, where it is declared.
    type: str
  master:
    description:
      - The bridge or bond that it is a port of, in the same namespace; empty for none.
    type: str
  up:
    description:
      - Whether it is set up.
    type: bool
    default: true
  addresses:
    description:
      - All its addresses, such as V(10.0.0.1/24); others are removed. Addresses that aren't permanent (DHCP, router
        advertisements) and IPv6 link-local ones stay.
    type: list
    elements: str
  parent:
    description:
      - The link that a vlan, a macvlan or an ipvlan lies on, and that a vxlan sends through. It is looked for in the
        link's own namespace, then on the host.
    type: str
  bridge:
    description:
      - Settings of a bridge.
    type: dict
    suboptions:
      vlan_filtering:
        description:
          - Whether it tells vlans apart.
        type: bool
      stp:
        description:
          - Whether it speaks the spanning tree protocol.
        type: bool
      forward_delay:
        description:
          - Seconds that a new port listens and learns before it forwards.
        type: float
  vlan:
    description:
      - Settings of a vlan.
    type: dict
    suboptions:
      id:
        description:
          - The tag.
        type: int
        required: true
  macvlan:
    description:
      - Settings of a macvlan.
    type: dict
    suboptions:
      mode:
        description:
          - How it reaches others on the same parent.
        type: str
        choices: [private, vepa, bridge, passthru]
  ipvlan:
    description:
      - Settings of an ipvlan.
    type: dict
    suboptions:
      mode:
        description:
          - Whether it switches or routes.
        type: str
        choices: [l2, l3, l3s]
  vxlan:
    description:
      - Settings of a vxlan.
    type: dict
    suboptions:
      id:
        description:
          - The network's identifier (VNI).
        type: int
        required: true
      local:
        description:
          - The address that it sends from.
        type: str
      remote:
        description:
          - The address of the other end.
        type: str
      group:
        description:
          - The multicast group of the other ends. Needs O(parent).
        type: str
      port:
        description:
          - The UDP port. 4789 where it is not given, as RFC 7348 has it.
        type: int
  bond:
    description:
      - Settings of a bond.
    type: dict
    suboptions:
      mode:
        description:
          - How it uses its ports.
        type: str
        choices: [balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb]
      miimon:
        description:
          - Milliseconds between two looks at its ports' carriers; 0 for none.
        type: int
  tun:
    description:
      - Settings of a tun or tap device.
    type: dict
    suboptions:
      owner:
        description:
          - The user who may open it.
        type: str
      group:
        description:
          - The group that may open it.
        type: str
  peer:
    description:
      - The other end of a veth pair.
    type: dict
    suboptions:
      name:
        description:
          - Its name.
        type: str
        required: true
      netns:
        description:
          - The named network namespace that it is in; the host where it is not given.
        type: str
      mtu:
        description:
          - The largest packet, in bytes.
        type: int
      mac:
        description:
          - The MAC address. A port of a bond has that of the bond, where it is declared.
        type: str
      master:
        description:
          - The bridge or bond that it is a port of, in its own namespace.
        type: str
      up:
        description:
          - Whether it is set up.
        type: bool
        default: true
      addresses:
        description:
          - All its addresses.
        type: list
        elements: str
  persistent:
    description:
      - Whether files of systemd-networkd (C(/etc/systemd/network/60-strata-NAME.*)) make the link again at boot. They
        say what the task says, and are compared apart from what runs.
      - For links of the host, on hosts where systemd-networkd runs.
    type: bool
seealso:
  - module: strata.virt.link_info
  - module: strata.virt.netns
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A bridge with an address, after a reboot too
  strata.virt.link: {name: br90, type: bridge, addresses: [10.90.0.1/24], persistent: true}

- name: A tap device for a virtual machine, on that bridge
  strata.virt.link: {name: tap90, type: tap, master: br90, tun: {owner: nobody}}

- name: A tagged network
  strata.virt.link: {name: br90.5, type: vlan, parent: br90, vlan: {id: 5}, addresses: [10.95.0.2/24]}

- name: Take the tagged network away again
  strata.virt.link: {name: br90.5, state: absent}

- name: Take the tap device away again
  strata.virt.link: {name: tap90, state: absent}

- name: Take the bridge away again
  strata.virt.link: {name: br90, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: mtu, before: 1500, after: 1400, effect: live, layer: config}
restart_required:
  description: Options that only a link made anew can take, where O(recreate=never) forbids it.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: br0
    status: present
    owner: ""
    options: {name: br0, type: bridge, mtu: 1500, addresses: [10.90.0.1/24], state: present}
    running: null
    facts: {index: 7, alias: "strata.virt owner=", mac: "ea:9e:5b:44:0e:2e", link_locals: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.link import Link


def main() -> None:
    converge(Link)


if __name__ == "__main__":
    main()

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link, and links as one option of what they are in."""

from __future__ import annotations

from textwrap import indent


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The link, 15 bytes at most.
    type: str
    required: true
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
          - The multicast group of the other ends. Needs C(parent).
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
"""
    # ansible-test takes what is assigned without a type for text as it stands.
    NESTED: str = f"""
options:
  links:
    description:
      - All links that this module keeps in it, besides C(lo). One that was made here and is no longer listed is
        removed; links that somebody else made, or that are resources of M(strata.virt.link), stay.
    type: list
    elements: dict
    suboptions:
{indent(DOCUMENTATION.partition("options:")[2], "    ")}"""

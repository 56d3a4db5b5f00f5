#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netns
short_description: Named network namespaces, with what is in them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a network namespace in C(/run/netns), the same as C(ip netns add) does, and keeps its links, routes, rules
    and kernel parameters.
  - Everything in it is changed live. A link whose type, parent, tag or peer changes is made anew.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - python3-pyroute2
  - systemd, iproute2 and, with O(sysctls), procps, for O(persistent)
options:
  name:
    description:
      - The namespace.
    type: str
    required: true
  state:
    description:
      - V(present) makes the namespace and keeps what is in it.
      - V(absent) removes the links that this module made in it, and its name. The namespace itself lives as long as
        a process is in it, as with C(ip netns del).
    type: str
    choices: [present, absent]
    default: present
  links:
    description:
      - All links that this module keeps in it, besides C(lo). One that was made here and is no longer listed is
        removed; links that somebody else made, or that are resources of M(strata.virt.link), stay.
    type: list
    elements: dict
    suboptions:
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
          - The link that a vlan, a macvlan or an ipvlan lies on, and that a vxlan sends through. It is looked for in
            the link's own namespace, then on the host.
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
  routes:
    description:
      - All its routes, besides those that the kernel makes for addresses and that routers announce.
    type: list
    elements: dict
    suboptions:
      to:
        description:
          - The network, or V(default).
        type: str
        required: true
      via:
        description:
          - The gateway.
        type: str
      dev:
        description:
          - The link.
        type: str
      metric:
        description:
          - Of several routes to a network the one with the lowest metric counts.
        type: int
      table:
        description:
          - The table, V(main) where it is not given.
        type: str
      type:
        description:
          - What becomes of a packet; V(unicast) where it is not given.
        type: str
        choices: [unicast, blackhole, unreachable, prohibit]
  rules:
    description:
      - All its rules, besides the three that every namespace has. They say in which table a packet's route is looked
        up.
    type: list
    elements: dict
    suboptions:
      priority:
        description:
          - Its place among the rules, and what tells it from the others.
        type: int
        required: true
      from:
        description:
          - Packets from this network.
        type: str
      to:
        description:
          - Packets to this network.
        type: str
      fwmark:
        description:
          - Packets with this mark.
        type: str
      iif:
        description:
          - Packets that came in by this link.
        type: str
      oif:
        description:
          - Packets of sockets that are bound to this link.
        type: str
      table:
        description:
          - The table, V(main) where it is not given.
        type: str
  sysctls:
    description:
      - Kernel parameters of the namespace, C(net.*). Others stay as they are.
    type: dict
  loopback:
    description:
      - Whether C(lo) is set up.
    type: bool
    default: true
  persistent:
    description:
      - Whether it is made again at boot, with all that is declared of it, by the unit C(strata-netns-NAME.service). Of
        options that are not given, what is there now is made again.
      - The unit waits for links of the host that its own lie on or are ports of, and for other namespaces that are
        persistent.
    type: bool
seealso:
  - module: strata.virt.netns_info
  - module: strata.virt.link
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A bridge on the host
  strata.virt.link: {name: br91, type: bridge, addresses: [10.91.0.1/24]}

- name: A namespace on that bridge, with a way out
  strata.virt.netns:
    name: blue
    links: [{name: veth0, type: veth, peer: {name: veth-blue, netns: null, master: br91}, addresses: [10.91.0.2/24]}]
    routes: [{to: default, via: 10.91.0.1}]
    persistent: true

- name: A router between that bridge and a namespace behind it
  strata.virt.netns:
    name: router
    links:
      - {name: left, type: veth, addresses: [10.91.0.3/24], peer: {name: r-left, master: br91}}
      - {name: right, type: veth, addresses: [10.92.0.1/24], peer: {name: right0, netns: blue}}
    sysctls:
      net.ipv4.ip_forward: 1

- name: Take the router away again
  strata.virt.netns: {name: router, state: absent}

- name: Take the namespace away again
  strata.virt.netns: {name: blue, state: absent}

- name: Take the bridge away again
  strata.virt.link: {name: br91, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - field: routes[default]
      before: null
      after: {to: default, via: 10.90.0.1, metric: 0, table: main, type: unicast}
      effect: live
      layer: config
restart_required:
  description: Empty, because everything is changed live.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: blue
    status: present
    owner: ""
    options: {name: blue, loopback: true, state: present}
    running: null
    facts: {path: /run/netns/blue, id: "4:4026532183", links: [lo, veth0]}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.netns import Netns


def main() -> None:
    converge(Netns)


if __name__ == "__main__":
    main()

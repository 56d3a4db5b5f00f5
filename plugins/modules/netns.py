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
  - strata.virt.links.nested
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

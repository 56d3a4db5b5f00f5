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
  - strata.virt.links
  - strata.virt.converges
requirements:
  - python3-pyroute2
options:
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

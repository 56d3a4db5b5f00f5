#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_network
short_description: Networks of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a network, keeps it as declared, and removes it.
  - Podman can't change a network, only which containers are on it. Any other change makes it anew. The containers
    that are on it are taken off, and put on the new one with their aliases. If Podman refuses
    the new one, the old one is back, with its containers.
  - What a task doesn't name is carried over to the new network, the subnets that Podman chose, too.
extends_documentation_fragment:
  - strata.virt.network
  - strata.virt.over_podman
  - strata.virt.converges
options:
  driver:
    description:
      - What makes the network, V(bridge), V(macvlan), V(ipvlan) or a plugin.
    type: str
    default: bridge
  ipam_driver:
    description:
      - What gives out the addresses, V(host-local), V(dhcp) or V(none).
    type: str
  ipam_config:
    description:
      - The subnets. Without it, or with an empty list, Podman chooses one, which is no drift.
      - A subnet of the other family, which Podman adds on its own, is no drift, either.
    type: list
    elements: dict
    suboptions:
      subnet:
        description:
          - The subnet, such as V(10.94.0.0/24) or V(fd00:db8::/64). Spellings of the same subnet are equal.
        type: str
        required: true
      gateway:
        description:
          - The address of the host on it; Podman chooses one where it is not given.
        type: str
      iprange:
        description:
          - The part of the subnet that addresses of containers are taken from.
        type: str
      aux_addresses:
        description:
          - An error, since Podman reserves none. Leave them out of O(ipam_config[].iprange).
        type: dict
  dns_enabled:
    description:
      - Whether containers on it find each other by name.
    type: bool
  connected:
    description:
      - The containers on it, by name or ID; others are taken off, unless O(appends=true). Where it is not given,
        nobody
        is.
      - In a stack, networks come before containers. There, name the networks in the option C(networks) of
        M(strata.virt.podman_container).
    type: list
    elements: str
    aliases: [containers]
notes:
  - A run that was cut short leaves at most a network named C(NAME.strata-previous), which only holds what is to be
    put
    back. The next run recognises it, tells of it and clears it up.
seealso:
  - module: strata.virt.podman_network_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: A network with a subnet of its own
  strata.virt.podman_network: {name: front, driver: bridge, ipam_config: [{subnet: 10.94.0.0/24}]}

- name: One that leads nowhere else, for what must not be reached
  strata.virt.podman_network:
    name: back
    internal: true
    ipam_config:
      - subnet: 10.90.1.0/24
        gateway: 10.90.1.254
        iprange: 10.90.1.128/25
    labels: {tier: database}

- name: One of a plain user
  strata.virt.podman_network: {name: front, user_scope: deploy, ipam_config: [{subnet: 10.90.2.0/24}]}
  become: true

- name: Take it away
  strata.virt.podman_network: {name: back, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: internal, before: false, after: true, effect: recreate, layer: config}
restart_required:
  description: Options that only a new network can take, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: front
    status: present
    owner: ""
    options:
      name: front
      driver: bridge
      ipam_config: [{subnet: 10.94.0.0/24, gateway: "", iprange: "", aux_addresses: {}}]
      state: present
    running: null
    facts: {containers: {web: ""}, subnets: [{subnet: 10.94.0.0/24}], subnets_by: task}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_network import PodmanNetwork


def main() -> None:
    converge(PodmanNetwork)


if __name__ == "__main__":
    main()

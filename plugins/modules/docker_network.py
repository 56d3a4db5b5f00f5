#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_network
short_description: Networks of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a network, keeps it as declared, and removes it.
  - The daemon can't change a network, only which containers are on it. Any other change makes it anew. The containers
    that are on it are taken off, and put on the new one with their fixed addresses and aliases. If the daemon refuses
    the new one, the old one is back, with its containers.
  - What a task doesn't name is carried over to the new network, the subnets that the daemon chose, too.
extends_documentation_fragment:
  - strata.virt.network
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  driver:
    description:
      - What makes the network, V(bridge), V(macvlan), V(ipvlan), V(overlay) (only within a swarm) or a plugin.
    type: str
    default: bridge
  ipam_driver:
    description:
      - What gives out the addresses.
    type: str
  ipam_driver_options:
    description:
      - Options of what gives out the addresses. Others stay as they are.
    type: dict
  ipam_config:
    description:
      - The subnets. Without it, or with an empty list, the daemon chooses one, which is no drift.
      - A subnet of the other family, which the daemon adds on its own, is no drift, either.
    type: list
    elements: dict
    suboptions:
      subnet:
        description:
          - The subnet, such as V(172.30.0.0/24) or V(fd00:db8::/64). Spellings of the same subnet are equal.
        type: str
        required: true
      gateway:
        description:
          - The address of the host on it; the daemon chooses one where it is not given.
        type: str
      iprange:
        description:
          - The part of the subnet that addresses of containers are taken from.
        type: str
      aux_addresses:
        description:
          - Addresses that are taken by others, by name.
        type: dict
  attachable:
    description:
      - Whether containers that belong to no service may join a network of a swarm.
    type: bool
  ingress:
    description:
      - Whether it is the network that publishes the ports of a swarm.
    type: bool
  scope:
    description:
      - How far it reaches; that of the driver where it is not given.
    type: str
    choices: [local, global, swarm]
  connected:
    description:
      - The containers on it, by name or ID; others are taken off, unless O(appends=true). Where it is not given, nobody
        is.
      - In a stack, networks come before containers. There, name the networks in the option C(networks) of
        M(strata.virt.docker_container).
    type: list
    elements: str
    aliases: [containers]
notes:
  - A run that was cut short leaves at most a network named C(NAME.strata-previous), which only holds what is to be put
    back. The next run recognises it, tells of it and clears it up.
seealso:
  - module: strata.virt.docker_network_info
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: A network with a subnet of its own
  strata.virt.docker_network: {name: front, driver: bridge, ipam_config: [{subnet: 172.30.0.0/24}]}

- name: One that leads nowhere else, for what must not be reached
  strata.virt.docker_network:
    name: back
    internal: true
    ipam_config:
      - subnet: 172.30.1.0/24
        gateway: 172.30.1.254
        iprange: 172.30.1.128/25
        aux_addresses: {router: 172.30.1.253}
    labels: {tier: database}

- name: Take it away
  strata.virt.docker_network: {name: back, state: absent}
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
      ipam_config: [{subnet: 172.30.0.0/24, gateway: "", iprange: "", aux_addresses: {}}]
      state: present
    running: null
    facts: {containers: {web: ""}, subnets: [{subnet: 172.30.0.0/24}], subnets_by: task}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_network import DockerNetwork


def main() -> None:
    converge(DockerNetwork)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_node
short_description: Nodes of a Docker swarm
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Says what a node is for, whether it gets tasks, and its labels, through a manager of the swarm.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The node, by its host's name, or by its ID.
      - A host that left and joined again is listed twice. Its name is that of the node that is up.
    type: str
    required: true
  state:
    description:
      - V(present) changes it, V(absent) has the swarm forget it, which it does of a node that is down or left.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Has the swarm forget it even if it is up.
    type: bool
    default: false
  role:
    description:
      - Whether it is a worker or a manager.
    type: str
    choices: [worker, manager]
  availability:
    description:
      - V(active) gets tasks, V(pause) gets no new ones, V(drain) gives up those it has.
    type: str
    choices: [active, pause, drain]
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
seealso:
  - module: strata.virt.docker_node_info
  - module: strata.virt.docker_swarm
"""

EXAMPLES = r"""
- name: Mark a node, for services that are tied to it
  strata.virt.docker_node: {name: "{{ inventory_hostname }}", availability: active, labels: {disk: ssd}}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: "labels[disk]", before: null, after: ssd, effect: live, layer: config}
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: lab1
    status: present
    owner: null
    options: {name: lab1, role: manager, availability: active, labels: {disk: ssd}, state: present}
    running: null
    facts:
      id: 4f5g...
      version: 12
      state: ready
      address: 127.0.0.1
      leader: true
      reachability: reachable
      engine: 26.1.5
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_node import DockerNode


def main() -> None:
    converge(DockerNode)


if __name__ == "__main__":
    main()

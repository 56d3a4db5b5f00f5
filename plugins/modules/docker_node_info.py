#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_node_info
short_description: Nodes of a Docker swarm, and how they are
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which nodes there are, whether they are up, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The nodes to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_node
"""

EXAMPLES = r"""
- name: Nodes of a Docker swarm
  strata.virt.docker_node_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.docker_node) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: lab1
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

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_node import DockerNode


def main() -> None:
    inform(DockerNode)


if __name__ == "__main__":
    main()

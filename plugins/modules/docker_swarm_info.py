#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_swarm_info
short_description: A Docker daemon's swarm, whoever began it
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells whether the daemon is in a swarm, as what, and with which settings.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The swarm. A daemon is in one at most.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_swarm
"""

EXAMPLES = r"""
- name: A Docker daemon's swarm
  strata.virt.docker_swarm_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.docker_swarm) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: default
      status: present
      owner: ""
      options: {name: default, labels: {site: lab}, state: present}
      running: null
      facts:
        state: active
        node: 4f5g...
        address: 127.0.0.1
        manager: true
        managers: ["127.0.0.1:2377"]
        swarm: 9x2k...
        nodes: 1
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_swarm import DockerSwarmMember


def main() -> None:
    inform(DockerSwarmMember)


if __name__ == "__main__":
    main()

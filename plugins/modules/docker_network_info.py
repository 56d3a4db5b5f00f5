#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_network_info
short_description: Networks of a Docker daemon, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which networks there are, the containers on them, running or not, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The networks to tell of. All where it is not given, but for the daemon's own (bridge, host, none) and those that
        hold a configuration only.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_network
"""

EXAMPLES = r"""
- name: All networks
  strata.virt.docker_network_info:
  register: networks
"""

RETURN = r"""
resources:
  description: One entry a network. C(options) are the options of M(strata.virt.docker_network) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: front
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

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_network import DockerNetwork


def main() -> None:
    inform(DockerNetwork)


if __name__ == "__main__":
    main()

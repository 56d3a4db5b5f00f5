#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_network_info
short_description: Networks of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which networks there are, the containers on them, running or not, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The networks to tell of. All where it is not given, but for Podman's own, C(podman).
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_network
"""

EXAMPLES = r"""
- name: All networks
  strata.virt.podman_network_info:
  register: networks
"""

RETURN = r"""
resources:
  description: One entry a network. C(options) are the options of M(strata.virt.podman_network) that declare it.
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
        ipam_config: [{subnet: 10.94.0.0/24, gateway: "", iprange: "", aux_addresses: {}}]
        state: present
      running: null
      facts: {containers: {web: ""}, subnets: [{subnet: 10.94.0.0/24}], subnets_by: task}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_network import PodmanNetwork


def main() -> None:
    inform(PodmanNetwork)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_pod_info
short_description: Pods of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which pods there are, what they hold, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The pods to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_pod
"""

EXAMPLES = r"""
- name: Pods of Podman
  strata.virt.podman_pod_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.podman_pod) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: shop
      status: running
      owner: ""
      options:
        name: shop
        published_ports: ["127.0.0.1:8084:8080"]
        memory: 256M
        networks: [podman]
        state: started
      running: null
      facts: {id: 448af850..., containers: {web: running}, cgroup: machine.slice/machine-libpod_pod_448af850....slice}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_pod import PodmanPod


def main() -> None:
    inform(PodmanPod)


if __name__ == "__main__":
    main()

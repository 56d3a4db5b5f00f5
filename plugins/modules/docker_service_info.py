#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_service_info
short_description: Services of a Docker swarm, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which services there are, how many of their tasks run, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The services to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_service
"""

EXAMPLES = r"""
- name: Services of a Docker swarm
  strata.virt.docker_service_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.docker_service) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web
      status: present
      owner: ""
      options: {name: web, image: "web:1.0", memory: 64M, cpus: 0.5, read_only: true, cap_drop: [ALL], state: present}
      running: null
      facts: {id: 7m1c..., version: 20, running: 1, ports: {}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_service import DockerService


def main() -> None:
    inform(DockerService)


if __name__ == "__main__":
    main()

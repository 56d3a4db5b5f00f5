#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_container_info
short_description: Containers of a Docker daemon, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which containers there are, running or not, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The containers to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: All containers
  strata.virt.docker_container_info:
  register: containers
"""

RETURN = r"""
resources:
  description: One entry a container. C(options) are the options of M(strata.virt.docker_container) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web
      status: running
      owner: ""
      options: {name: web, image: "web:1.0", memory: 512M, cpus: 1.5, pids_limit: 256, state: started}
      running: null
      facts: {pid: 2809, health: null, exit_code: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer


def main() -> None:
    inform(DockerContainer)


if __name__ == "__main__":
    main()

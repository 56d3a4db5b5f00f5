#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_config_info
short_description: Configs of a Docker swarm, but not what is kept
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which configs there are, and their labels.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The configs to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.docker_config
"""

EXAMPLES = r"""
- name: Configs of a Docker swarm
  strata.virt.docker_config_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.docker_config) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: motd
      status: present
      owner: ""
      options: {name: motd, labels: {tier: back}, state: present}
      running: null
      facts: {id: 2kx8..., version: 14}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_config import DockerConfig


def main() -> None:
    inform(DockerConfig)


if __name__ == "__main__":
    main()

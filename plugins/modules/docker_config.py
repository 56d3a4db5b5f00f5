#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_config
short_description: Configs of a Docker swarm
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps a config, and makes it anew when what is kept is not what was given, which is told by a digest in a label.
  - A swarm changes nothing that it keeps. One that a service has is refused, and the service is named.
extends_documentation_fragment:
  - strata.virt.swarm_data
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The config.
    type: str
    required: true
seealso:
  - module: strata.virt.docker_config_info
  - module: strata.virt.docker_service
"""

EXAMPLES = r"""
- name: A file for services
  strata.virt.docker_config: {name: motd, data: "Welcome\n", labels: {tier: back}}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: data, before: "********", after: "******** (new)", effect: recreate, layer: config}
restart_required:
  description: What only a new one can have, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: motd
    status: present
    owner: ""
    options: {name: motd, labels: {tier: back}, state: present}
    running: null
    facts: {id: 2kx8..., version: 14}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_config import DockerConfig


def main() -> None:
    converge(DockerConfig)


if __name__ == "__main__":
    main()

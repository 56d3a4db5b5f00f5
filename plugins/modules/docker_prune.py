#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_prune
short_description: Take away what nobody uses of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Finds the containers that ended, and the networks, volumes and images that no container needs, and takes them away.
  - Check mode tells which would go, and how much that is. A run takes away just these.
  - What only a container needs that goes itself is taken away with it, in one run.
extends_documentation_fragment:
  - strata.virt.prune
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  builder_cache:
    description:
      - Whether what BuildKit keeps of builds goes.
    type: bool
    default: false
  builder_cache_all:
    description:
      - Whether what BuildKit keeps for itself, such as frontends, goes with it.
    type: bool
    default: false
seealso:
  - module: strata.virt.docker_container
  - module: strata.virt.docker_image
"""

EXAMPLES = r"""
- name: What ended more than a day ago, and images that lost their names
  strata.virt.docker_prune:
    containers: true
    containers_filters: {until: 24h}
    images: true

- name: Everything of a project that is over
  strata.virt.docker_prune:
    containers: true
    containers_filters: {label: project=spring}
    networks: true
    networks_filters: {label: project=spring}
    volumes: true
    volumes_filters: {label: project=spring, all: true}
"""

RETURN = r"""
changes:
  description: What is gone now, or would be, one entry a sort.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: unused_containers, before: [job-1, job-2], after: [], effect: remove, layer: config}
restart_required:
  description: Always empty, because nothing that runs is touched.
  returned: always
  type: list
  elements: str
containers:
  description: The IDs of the containers that are gone, or would be. So for O(networks), O(volumes), O(images), and for
    O(builder_cache) C(builder_cache_caches_deleted).
  returned: with O(containers=true)
  type: list
  elements: str
  sample: [4c01db0b339c]
containers_space_reclaimed:
  description: Bytes that they took. So for each sort.
  returned: with O(containers=true)
  type: int
  sample: 212
resource:
  description: What may still go.
  returned: always
  type: dict
  sample:
    name: unix:///var/run/docker.sock
    status: present
    owner: null
    options: {docker_host: "unix:///var/run/docker.sock"}
    running: null
    facts: {reclaimable: {containers: 0, images: 0}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_prune import DockerPrune


def main() -> None:
    converge(DockerPrune)


if __name__ == "__main__":
    main()

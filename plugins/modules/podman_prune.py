#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_prune
short_description: Take away what nobody uses of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Finds the pods and containers that ended, and the networks, volumes and images that no container needs, and takes
    them away.
  - What is in a pod stays as long as that does. Secrets stay, because Podman doesn't tell who uses them.
  - Check mode tells which would go, and how much that is. A run takes away just these.
  - What only a container needs that goes itself is taken away with it, in one run.
extends_documentation_fragment:
  - strata.virt.prune
  - strata.virt.over_podman
  - strata.virt.converges
options:
  pods:
    description:
      - Whether pods go of which nothing runs, with all that is in them.
    type: bool
    default: false
  pods_filters:
    description:
      - Which of them, by C(label), C(label!) and C(until), as in O(containers_filters).
    type: dict
seealso:
  - module: strata.virt.podman_container
  - module: strata.virt.podman_image
  - module: strata.virt.podman_pod
"""

EXAMPLES = r"""
- name: What ended more than a day ago, and images that lost their names
  strata.virt.podman_prune:
    containers: true
    containers_filters: {until: 24h}
    images: true

- name: Everything of a plain user's project that is over
  strata.virt.podman_prune:
    user_scope: deploy
    pods: true
    pods_filters: {label: project=spring}
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
  description: The IDs of the containers that are gone, or would be. So for O(pods), O(networks), O(volumes) and
    O(images).
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
    name: root
    status: present
    owner: null
    options: {user_scope: root}
    running: null
    facts: {reclaimable: {containers: 0, images: 0}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_prune import PodmanPrune


def main() -> None:
    converge(PodmanPrune)


if __name__ == "__main__":
    main()

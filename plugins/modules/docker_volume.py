#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_volume
short_description: Volumes of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a volume, tells whether it is as declared, and removes it.
  - The daemon can't change a volume. A new one in its place would be empty, so that a change is only told of, in
    RV(restart_required), unless O(recreate) says otherwise.
extends_documentation_fragment:
  - strata.virt.volume
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
seealso:
  - module: strata.virt.docker_volume_info
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: A volume for a database
  strata.virt.docker_volume: {name: pgdata, labels: {backup: nightly}}

- name: One in memory, that may go with the stack that made it
  strata.virt.docker_volume:
    name: scratch
    driver_options: {type: tmpfs, device: tmpfs, o: "size=64m,mode=1777"}
    keep: false

- name: Take it away, with what is in it
  strata.virt.docker_volume: {name: pgdata, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: state, before: absent, after: present, effect: create, layer: config}
restart_required:
  description: Options that only a new, empty volume can take, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: pgdata
    status: present
    owner: ""
    options: {name: pgdata, driver: local, labels: {backup: nightly}, state: present}
    running: null
    facts: {containers: {db: ""}, mountpoint: /var/lib/docker/volumes/pgdata/_data}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_volume import DockerVolume


def main() -> None:
    converge(DockerVolume)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_volume
short_description: Volumes of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a volume, tells whether it is as declared, and removes it.
  - Podman can't change a volume. A new one in its place would be empty, so that a change is only told of, in
    RV(restart_required), unless O(recreate) says otherwise.
extends_documentation_fragment:
  - strata.virt.volume
  - strata.virt.over_podman
  - strata.virt.converges
seealso:
  - module: strata.virt.podman_volume_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: A volume for a database
  strata.virt.podman_volume: {name: pgdata, labels: {backup: nightly}}

- name: One of a plain user
  strata.virt.podman_volume: {name: pgdata, user_scope: deploy}
  become: true

- name: One in memory, that may go with the stack that made it
  strata.virt.podman_volume:
    name: scratch
    driver_options: {type: tmpfs, device: tmpfs, o: "size=64m,mode=1777"}
    keep: false

- name: Take it away, with what is in it
  strata.virt.podman_volume: {name: pgdata, state: absent}
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
    facts: {containers: {db: ""}, mountpoint: /var/lib/containers/storage/volumes/pgdata/_data}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_volume import PodmanVolume


def main() -> None:
    converge(PodmanVolume)


if __name__ == "__main__":
    main()

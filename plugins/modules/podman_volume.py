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
  - strata.virt.over_podman
  - strata.virt.converges
options:
  name:
    description:
      - The volume.
    type: str
    required: true
    aliases: [volume_name]
  state:
    description:
      - V(present) makes it, V(absent) removes it and what is in it. A volume that a container has mounted, running or
        not, is refused, and the containers are named.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description:
      - What keeps the volume, V(local) or a plugin.
    type: str
    default: local
  driver_options:
    description:
      - Options of the driver, such as C(type), C(device) and C(o) of V(local), which are those of C(mount). Others
        stay
        as they are.
    type: dict
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  recreate:
    description:
      - Whether it is made anew, empty. V(never) tells of changes in RV(restart_required), V(if_needed) makes it anew
        for them, and V(always) even if nothing changed. A volume that a container has mounted is refused.
      - V(options-changed) is another word for V(if_needed).
    type: str
    choices: [never, if_needed, always, options-changed]
    default: never
  keep:
    description:
      - Whether it stays when a stack that made it no longer declares it and prunes. With V(false), it is removed
        then,
        and what is in it is lost.
    type: bool
    default: true
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

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_secret
short_description: Secrets of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps a secret, changes it in its place when what is kept is not what was given, and forgets it.
  - What is kept is read back and compared, and shown neither in results nor in diffs.
  - A container has the secret as it was when the container was made; what is kept now, a new container gets.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.converges
options:
  name:
    description:
      - The secret.
    type: str
    required: true
  state:
    description:
      - V(present) keeps it, V(absent) forgets it.
    type: str
    choices: [present, absent]
    default: present
  data:
    description:
      - What is kept, text of fewer than 512000 bytes. A new secret needs it, or O(path).
    type: str
  path:
    description:
      - A file on the managed host with what is kept, read by the user who runs the module.
    type: str
  driver:
    description:
      - What keeps it, V(file), V(pass) or V(shell).
    type: str
    default: file
  driver_options:
    description:
      - Options of the driver. Others stay as they are.
    type: dict
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
seealso:
  - module: strata.virt.podman_secret_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: A token
  strata.virt.podman_secret: {name: token, data: "correct horse", labels: {tier: back}}

- name: The same for a plain user
  strata.virt.podman_secret: {name: token, data: "correct horse", user_scope: deploy}
  become: true

- name: Forget it
  strata.virt.podman_secret: {name: token, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: data, before: "********", after: "******** (new)", effect: live, layer: config}
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: token
    status: present
    owner: ""
    options: {name: token, driver: file, labels: {tier: back}, state: present}
    running: null
    facts: {id: 6a3f2b1c..., created: "2026-01-02T03:04:05Z", updated: "2026-01-02T03:04:05Z"}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_secret import PodmanSecret


def main() -> None:
    converge(PodmanSecret)


if __name__ == "__main__":
    main()

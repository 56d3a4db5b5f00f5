#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_container_copy
short_description: Put a file into a container of Podman
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Puts a file of the managed host, or a text, into a container, running or not, where its content, its
    permissions or
    its owner differ. The content is compared byte by byte, whatever its size and time.
  - Podman reads and writes it, inside the container. No path of the container is opened from the host.
  - A container that is made anew is without it. What belongs to every container of an image belongs into the
    image, and
    what comes from the host into a mount.
extends_documentation_fragment:
  - strata.virt.container_copy
  - strata.virt.over_podman
  - strata.virt.converges
options:
  container_path:
    description:
      - The path in the container. Its folder must be there, and can't be on a tmpfs, which Podman doesn't see.
    type: str
    required: true
  owner_id:
    description:
      - The number of the owner in the container. Where it is not given, that of a file that is there is left, and
        a new
        one is root's.
    type: int
seealso:
  - module: strata.virt.podman_container
  - module: strata.virt.podman_container_exec
"""

EXAMPLES = r"""
- name: What is said to who logs in
  strata.virt.podman_container_copy:
    container: tools
    container_path: /etc/motd
    content: "Down for maintenance on Sunday\n"
    mode: "0644"
"""

RETURN = r"""
changes:
  description: What changed, or would. C(bytes) is the content, where it is a text that isn't too long, else its size
    and digest.
  returned: always
  type: list
  elements: dict
  sample:
    - field: bytes
      before: "Down for maintenance\n"
      after: "Down for maintenance on Sunday\n"
      effect: live
      layer: config
restart_required:
  description: Always empty.
  returned: always
  type: list
  elements: str
container_path:
  description: The path in the container, with O(follow=true) that which the link leads to.
  returned: always
  type: str
  sample: /etc/motd
resource:
  description: What is there.
  returned: always
  type: dict
  sample:
    name: /etc/motd
    status: present
    owner: null
    options: {container_path: /etc/motd, mode: "0644", owner_id: 0, group_id: 0}
    running: null
    facts: {path: /etc/motd}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_container_copy import PodmanContainerCopy


def main() -> None:
    converge(PodmanContainerCopy)


if __name__ == "__main__":
    main()

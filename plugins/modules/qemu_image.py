#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_image
short_description: Disk images for QEMU
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes disk images, with or without a backing file, and grows them. Data is never lost, so an image that exists in
    another
    format or on another backing file is an error, and so is a smaller size.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - qemu-img
options:
  path:
    description:
      - The image.
    type: str
    required: true
  state:
    description:
      - V(present) makes the image and grows it, V(absent) removes it, never its backing file.
    type: str
    choices: [present, absent]
    default: present
  format:
    description:
      - The image's format.
    type: str
    choices: [qcow2, raw]
    default: qcow2
  size:
    description:
      - The size of the disk as the guest sees it, such as V(20G). Without it, that of O(backing) or O(convert_from).
    type: str
  backing:
    description:
      - The image below this one. It must never change once something lies on it.
    type: dict
    suboptions:
      path:
        description:
          - The file.
        type: str
        required: true
      format:
        description:
          - Its format. It is never guessed, because a guest could write whatever header it likes.
        type: str
        required: true
        choices: [qcow2, raw]
  convert_from:
    description:
      - A disk whose content a new image starts with. Not looked at where the image exists.
    type: str
"""

EXAMPLES = r"""
- name: A disk that holds what differs from a base
  strata.virt.qemu_image:
    path: /var/lib/libvirt/images/disk.qcow2
    size: 20G
    backing: {path: /var/lib/libvirt/images/base.qcow2, format: qcow2}

- name: Take it away
  strata.virt.qemu_image:
    path: /var/lib/libvirt/images/disk.qcow2
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
restart_required:
  description: Options that take effect only after an interruption that wasn't allowed.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: /var/lib/libvirt/images/disk.qcow2
    status: present
    owner: null
    options: {path: /var/lib/libvirt/images/disk.qcow2, format: qcow2, size: 20G, state: present}
    running: null
    facts: {}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_image import QemuImage


def main() -> None:
    converge(QemuImage)


if __name__ == "__main__":
    main()

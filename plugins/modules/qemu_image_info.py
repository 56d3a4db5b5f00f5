#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_image_info
short_description: Disk images, and what they are
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells the format, the size, the options and the snapshots of disk images, how much room they take (C(allocated), in
    bytes), and the files below them, from their headers.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The images to tell of. Nobody can list them all, so that without it there is nothing to tell.
    type: list
    elements: str
seealso:
  - module: strata.virt.qemu_image
"""

EXAMPLES = r"""
- name: What a disk is, and what it lies on
  strata.virt.qemu_image_info:
    name: [/var/lib/libvirt/images/disk.qcow2]
  register: disks
"""

RETURN = r"""
resources:
  description: One entry an image. C(options) are the options of M(strata.virt.qemu_image) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /var/lib/libvirt/images/disk.qcow2
      status: present
      owner: ""
      options: {path: /var/lib/libvirt/images/disk.qcow2, format: qcow2, size: 20G, backing: {path:
        /var/lib/libvirt/images/base.qcow2, format: qcow2}, state: present}
      running: null
      facts:
        allocated: 200704
        below: [/var/lib/libvirt/images/base.qcow2]
        snapshots: []
        encryption: null
        corrupt: false
        data_file: false
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_image import QemuImage


def main() -> None:
    inform(QemuImage)


if __name__ == "__main__":
    main()

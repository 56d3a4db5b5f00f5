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
  - Makes disk images, with or without a backing file, copies them, grows them, moves them onto another backing file,
    and keeps their snapshots. What the guest sees on the disk stays, unless an option is given that says otherwise.
  - An image that a virtual machine has open is not touched, and neither is one that is encrypted, marked as corrupt, or
    whose backing file is gone.
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
      - V(present) makes the image and has it as declared, V(absent) removes it, never its backing file.
    type: str
    choices: [present, absent]
    default: present
  format:
    description:
      - The image's format. See O(convert) for an image that has another one.
    type: str
    choices: [qcow2, raw]
    default: qcow2
  size:
    description:
      - The size of the disk as the guest sees it, such as V(20G). Without it, that of O(backing) or O(convert_from).
      - A smaller one than the disk has cuts off what lies beyond it, and takes O(force).
    type: str
  backing:
    description:
      - The image below this one. It must never change once something lies on it. An empty mapping is none.
      - An image that lies on another one is moved as O(rebase) says.
    type: dict
    suboptions:
      path:
        description:
          - The file.
        type: str
      format:
        description:
          - Its format. It is never guessed, because a guest could write whatever header it likes.
        type: str
        choices: [qcow2, raw]
  compat:
    description:
      - V(0.10) for images that QEMU before 1.1 can read.
    type: str
    choices: ["0.10", "1.1"]
  lazy_refcounts:
    description:
      - Put off updates of the counts of references, for which QEMU has to look through the image after a crash.
    type: bool
  refcount_bits:
    description:
      - The width of those counts.
    type: int
  cluster_size:
    description:
      - The unit in which the image grows, from V(512) to V(2M). See O(convert) for an image that has another one.
    type: str
  extended_l2:
    description:
      - Divide clusters into 32 parts, of which each is allocated on its own. See O(convert) for an image that isn't so.
    type: bool
  compression_type:
    description:
      - How compressed clusters are. See O(convert) for an image that has another one.
    type: str
    choices: [zlib, zstd]
  snapshots:
    description:
      - The snapshots that the image is to have. Missing ones are taken, others removed.
    type: list
    elements: str
  restore:
    description:
      - Bring the disk back to what it was at a snapshot, once. What is on it now is lost. This is noted on the file.
    type: dict
    suboptions:
      snapshot:
        description:
          - The snapshot.
        type: str
        required: true
      id:
        description:
          - Any word. With another one, it is done once more.
        type: str
        default: ""
  preallocation:
    description:
      - What of the disk has its place from the beginning. Looked at where the image is made.
    type: str
    choices: ["off", metadata, falloc, full]
  convert_from:
    description:
      - A disk whose content a new image starts with, a file or a block device. Not looked at where the image exists.
    type: str
  convert_from_format:
    description:
      - The format of O(convert_from). Without it, it is guessed; give it for a disk that a guest could write to.
    type: str
    choices: [qcow2, raw, vmdk, vdi, vhdx, vpc]
  checksum:
    description:
      - What the file of O(convert_from) or O(backing) must have, as V(sha256:...) or V(sha512:...). Looked at where the
        image is made.
    type: str
  force:
    description:
      - Let a smaller O(size) cut off the end of the disk.
    type: bool
    default: false
  rebase:
    description:
      - What to do with an image that lies on another O(backing) than declared.
      - V(safe) copies what the guest would see otherwise; V(unsafe) only changes the name, for a backing file that was
        moved; V(never) refuses it.
    type: str
    choices: [never, safe, unsafe]
    default: safe
  convert:
    description:
      - Write an image anew, with the same content, where its O(format), O(cluster_size), O(extended_l2) or
        O(compression_type) is another one. It takes its place when it is whole. One with snapshots is refused.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A disk that holds what differs from a base
  strata.virt.qemu_image:
    path: /var/lib/libvirt/images/disk.qcow2
    size: 20G
    backing: {path: /var/lib/libvirt/images/base.qcow2, format: qcow2}

- name: A copy that can grow to 8 GB, with a snapshot to come back to
  strata.virt.qemu_image:
    path: /var/lib/libvirt/images/copy.qcow2
    convert_from: /var/lib/libvirt/images/base.qcow2
    convert_from_format: qcow2
    size: 8G
    snapshots: [clean]

- name: The first disk needs no base any more
  strata.virt.qemu_image:
    path: /var/lib/libvirt/images/disk.qcow2
    size: 20G
    backing: {}

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
    facts:
      allocated: 200704
      below: []
      snapshots: []
      encryption: null
      corrupt: false
      data_file: false
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_image import QemuImage


def main() -> None:
    converge(QemuImage)


if __name__ == "__main__":
    main()

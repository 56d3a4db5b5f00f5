#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_volume
short_description: Volumes in storage pools of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a volume, empty, as a layer over another one, as a copy of one, or from a file, and lets it grow.
  - What is in a volume is never lost unless O(state=absent) says so.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The volume.
    type: str
    required: true
  state:
    description:
      - V(absent) deletes it and what is in it. Refused while a domain has it as a disk, running or not, and while other
        volumes of the pool are layers over it.
    type: str
    choices: [present, absent]
    default: present
  pool:
    description:
      - The pool that it is in.
    type: str
    default: default
  keep:
    description:
      - Whether it stays when a stack that made it no longer declares it.
    type: bool
    default: true
  format:
    description:
      - A new one is V(qcow2) where its name ends so, else V(raw). An existing one keeps its own.
    type: str
    choices: [raw, qcow2, qed, vmdk, vdi, vpc, vhdx]
  capacity:
    description:
      - What its guest sees, with a unit of V(k), V(m), V(g) or V(t), powers of 1024. Needed to make an empty one.
      - It grows, and shrinks only with O(force=true). While a running domain has it as a disk, it does not grow either.
    type: str
  allocation:
    description:
      - How much of it a new one takes at once. Not compared afterwards.
    type: str
  backing:
    description:
      - The volume of the same pool, or the path, that it is a layer over.
    type: str
  backing_format:
    description:
      - The format of O(backing). Needed where that is a path that no active pool of libvirt's has.
    type: str
    choices: [raw, qcow2, qed, vmdk, vdi, vpc, vhdx]
  path:
    description:
      - Where it is to be. Another place is an error. In a stack, domains that have this path among their disks wait for
        the volume.
    type: str
  clone_from:
    description:
      - The volume that a new one is a copy of, as V(NAME) or V(POOL/NAME).
    type: str
  upload_from:
    description:
      - What is copied into a new one, a file of the host, or a URL of http or https.
    type: str
  checksum:
    description:
      - What O(upload_from) has to have, as V(sha256:…) or V(sha512:…). A local file is looked at before anything is
        touched.
    type: str
  validate_certs:
    description:
      - Whether the server of O(upload_from) has to prove that it is who it says.
    type: bool
    default: true
  preallocation:
    description:
      - What a new one has from the start, V(off) nothing, V(metadata) the tables of an image in qcow2, V(full) all of
        its room.
      - Where it is not given, an empty one in V(raw) has all of its room, as with libvirt; others have nothing.
    type: str
    choices: ["off", metadata, full]
  force:
    description:
      - Let O(capacity) shrink it, too. What lies beyond is lost.
    type: bool
    default: false
  wipe:
    description:
      - With O(state=absent), overwrite what is in it with zeros before it is deleted.
    type: bool
    default: false
  xml:
    description:
      - The volume as libvirt's XML, as people have it. What has an option becomes that option, and what an option says
        besides wins. The rest only counts when it is made.
    type: str
seealso:
  - module: strata.virt.libvirt_volume_info
  - module: strata.virt.libvirt_pool
  - module: strata.virt.qemu_image
"""

EXAMPLES = r"""
- name: A pool for what follows
  strata.virt.libvirt_pool:
    name: vms
    type: dir
    path: /srv/vms

- name: An image that others are layers over
  strata.virt.libvirt_volume:
    pool: vms
    name: base.qcow2
    upload_from: /var/lib/libvirt/images/base.qcow2

- name: A layer over it, larger
  strata.virt.libvirt_volume:
    pool: vms
    name: web.qcow2
    backing: base.qcow2
    capacity: 10G

- name: A copy of it
  strata.virt.libvirt_volume:
    pool: vms
    name: db.qcow2
    clone_from: base.qcow2

- name: Delete a volume and what is in it
  strata.virt.libvirt_volume:
    pool: vms
    name: db.qcow2
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: capacity, before: 10G, after: 20G, effect: live, layer: config}
restart_required:
  description: Options that are stored and take effect at the next start, always empty for volumes.
  returned: always
  type: list
  elements: str
  sample: []
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web.qcow2
    status: present
    owner: ""
    options: {name: web.qcow2, format: qcow2, capacity: 10G, backing: /srv/vms/base.qcow2, state: present}
    running: null
    facts: {allocation: 200704, path: /srv/vms/web.qcow2, type: file}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_volume import LibvirtVolume


def main() -> None:
    converge(LibvirtVolume)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_pool
short_description: Storage pools of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a storage pool and keeps it as declared. What is in it stays, whatever is done to the pool.
  - Changes only what is declared. Everything else in the pool's XML stays, whoever put it there.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The pool.
    type: str
    required: true
  state:
    description:
      - V(active) makes it and starts it, V(inactive) makes it and stops it, V(present) leaves it active or not.
      - V(absent) stops it and forgets it. What is in it stays where it is.
    type: str
    choices: [active, inactive, present, absent]
    default: active
  restart:
    description:
      - Whether it may be restarted for what it can't take while it is active. Where it may not, the change is stored,
        takes effect at its next start, and RV(restart_required) names it.
    type: str
    choices: [never, if_needed, always]
    default: never
  build:
    description:
      - Whether to make what it is built on, where a start shows that it is missing.
      - Of V(dir), V(fs) and V(netfs) that is the folder, which is made unless this is V(false). Of others it is a
        volume group or a partition table, made only if this is V(true), and never over anything that is there.
    type: bool
  delete:
    description:
      - With O(state=absent), delete what it is built on, too. Refused while any volume is in it.
    type: bool
    default: false
  type:
    description:
      - What it is. Needed to make one; an existing pool keeps its own.
    type: str
    choices: [dir, fs, netfs, logical, disk, iscsi, iscsi-direct, rbd, gluster, zfs, scsi, mpath, vstorage]
  source:
    description:
      - Where it comes from, for all types but V(dir).
    type: dict
    suboptions:
      hosts:
        description: The servers of V(netfs), V(iscsi), V(rbd) and V(gluster), as V(HOST) or V(HOST:PORT).
        type: list
        elements: str
      dir:
        description: The directory that the server exports.
        type: str
      devices:
        description: The block devices of V(fs), V(logical) and V(disk); of V(iscsi) the target's name.
        type: list
        elements: str
      name:
        description: The volume group of V(logical), the pool of V(rbd) and V(zfs), the volume of V(gluster).
        type: str
      format:
        description: As V(ext4), V(nfs), V(lvm2), V(gpt).
        type: str
      adapter:
        description: The host bus adapter of V(scsi).
        type: dict
        suboptions:
          type:
            description: V(scsi_host) is one that the host has, V(fc_host) one that N_Port ID virtualisation makes.
            type: str
            choices: [scsi_host, fc_host]
          name:
            description: As V(scsi_host1).
            type: str
          parent:
            description: The adapter that V(fc_host) is made on.
            type: str
          wwnn:
            description: The node name of V(fc_host), 16 hexadecimal digits.
            type: str
          wwpn:
            description: The port name of V(fc_host), 16 hexadecimal digits.
            type: str
      initiator:
        description: The name of the initiator, for V(iscsi) and V(iscsi-direct).
        type: str
      protocol_version:
        description: The version of NFS.
        type: str
      auth_type:
        description: How to log in.
        type: str
        choices: [chap, ceph]
      auth_username:
        description: Who logs in.
        type: str
      auth_secret:
        description: The usage of the libvirt secret that has the password.
        type: str
  path:
    description:
      - Where its volumes are on the host. Pools of the types V(iscsi-direct), V(rbd) and V(gluster) have none.
    type: str
  mode:
    description:
      - The mode of the folder, in quotes, as V('0711'). Set each time the pool starts.
    type: str
  owner:
    description:
      - The user of the folder, as a number.
    type: int
  group:
    description:
      - The group of the folder, as a number.
    type: int
  copy_on_write:
    description:
      - Whether files in it are copied before they are changed, where its file system can do that (btrfs). V(false) is
        better for images that are written to.
    type: bool
  mount_options:
    description:
      - Options of mount(8) for V(fs) and V(netfs), beside those that libvirt gives itself.
    type: list
    elements: str
  autostart:
    description:
      - Start it when the host boots.
    type: bool
  xml:
    description:
      - The pool as libvirt's XML, as people have it. What has an option becomes that option, and what an option says
        besides wins; of the rest, what is written there is kept as it is written.
    type: str
seealso:
  - module: strata.virt.libvirt_pool_info
  - module: strata.virt.libvirt_volume
"""

EXAMPLES = r"""
- name: Images in a folder
  strata.virt.libvirt_pool:
    name: vms
    type: dir
    path: /srv/vms
    mode: '0711'
    autostart: true

- name: A volume group, to be started once its disk is there
  strata.virt.libvirt_pool:
    name: fast
    type: logical
    path: /dev/fast
    source: {name: fast, devices: [/dev/disk/by-id/nvme-fast]}
    build: true
    state: inactive

- name: Forget a pool; what is in it stays
  strata.virt.libvirt_pool:
    name: fast
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: mode, before: '0711', after: '0750', effect: next_boot, layer: config}
restart_required:
  description: Options that are stored and take effect at the next start, because O(restart) didn't allow one.
  returned: always
  type: list
  elements: str
  sample: [mode]
resource:
  description: What the host has now. C(options) are as stored, C(running) as it is active.
  returned: always
  type: dict
  sample:
    name: vms
    status: active
    owner: ""
    options: {name: vms, type: dir, path: /srv/vms, mode: '0711', state: active}
    running: {type: dir, path: /srv/vms, mode: '0711'}
    facts: {allocation: 31450484736, available: 239102689280, capacity: 270553174016}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_pool import LibvirtPool


def main() -> None:
    converge(LibvirtPool)


if __name__ == "__main__":
    main()

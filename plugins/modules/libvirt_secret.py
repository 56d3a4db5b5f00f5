#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_secret
short_description: Secrets of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps what libvirt logs in to storage with and opens encrypted volumes and TPMs, and forgets it.
  - What is kept is read back and compared, and shown neither in results nor in diffs. What libvirt tells nobody
    (O(private)) is compared with what this collection last set.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - What it is for, as domains and pools name it by its usage. Secrets of libvirt have no other name than that.
      - The UUID of one that is for nothing in particular (O(usage=none)).
    type: str
    required: true
  state:
    description:
      - V(present) keeps it, V(absent) forgets it.
    type: str
    choices: [present, absent]
    default: present
  usage:
    description:
      - What uses it. A new one needs it; one of the same name for another use is another one.
    type: str
    choices: [none, volume, ceph, iscsi, tls, vtpm]
  uuid:
    description:
      - The UUID of a new one, for domains that name it by that. It never changes.
    type: str
  description:
    description:
      - What people are told of it.
    type: str
  ephemeral:
    description:
      - Whether libvirt keeps it in its memory only. Such a one is gone, all of it, when libvirt restarts, and the next
        run makes it anew.
    type: bool
  private:
    description:
      - Whether libvirt tells nobody what is kept. That can't be taken back.
    type: bool
  data:
    description:
      - What is kept, 65536 bytes at most.
    type: str
  data_is_b64:
    description:
      - Whether O(data) is encoded in Base64.
    type: bool
    default: false
  data_src:
    description:
      - A file on the managed host with what is kept.
    type: str
  xml:
    description:
      - The secret as libvirt's XML, which never has what is kept. What an option says besides wins.
    type: str
seealso:
  - module: strata.virt.libvirt_secret_info
  - module: strata.virt.libvirt_pool
"""

EXAMPLES = r"""
- name: What a storage pool logs in to Ceph with
  strata.virt.libvirt_secret:
    name: client.libvirt
    usage: ceph
    data: AQCpdABhAAAAABAA6Xb1GkDT0mZbN2nU5pJkqg==
    data_is_b64: true
    private: true

- name: The passphrase of an encrypted volume
  strata.virt.libvirt_secret:
    name: /var/lib/libvirt/images/vault.qcow2
    usage: volume
    data: correct horse battery staple

- name: Forget it
  strata.virt.libvirt_secret:
    name: /var/lib/libvirt/images/vault.qcow2
    usage: volume
    state: absent
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
    name: client.libvirt
    status: present
    owner: ""
    options: {name: client.libvirt, usage: ceph, private: true, state: present}
    running: null
    facts: {uuid: 2ec115d7-3a88-3ceb-bc12-0ac909a6fd87, has_value: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_secret import LibvirtSecret


def main() -> None:
    converge(LibvirtSecret)


if __name__ == "__main__":
    main()

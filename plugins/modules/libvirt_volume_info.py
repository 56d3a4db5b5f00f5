#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_volume_info
short_description: Volumes in a storage pool of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which volumes are in a pool, whoever made them, with the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The volumes to tell of; all where it is not given.
    type: list
    elements: str
  pool:
    description:
      - The pool that they are in.
    type: str
    default: default
seealso:
  - module: strata.virt.libvirt_volume
"""

EXAMPLES = r"""
- name: All volumes of a pool
  strata.virt.libvirt_volume_info:
    pool: vms
  register: volumes
"""

RETURN = r"""
resources:
  description: One entry a volume. C(options) are the options of M(strata.virt.libvirt_volume) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web.qcow2
      status: present
      owner: ""
      options: {name: web.qcow2, format: qcow2, capacity: 10G, backing: /srv/vms/base.qcow2, state: present}
      running: null
      facts: {allocation: 200704, path: /srv/vms/web.qcow2, type: file}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_volume import LibvirtVolume


def main() -> None:
    inform(LibvirtVolume)


if __name__ == "__main__":
    main()

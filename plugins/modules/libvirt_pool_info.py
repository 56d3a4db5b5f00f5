#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_pool_info
short_description: Storage pools of libvirt, as stored and as they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which storage pools there are, whoever made them, how full they are, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The pools to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.libvirt_pool
"""

EXAMPLES = r"""
- name: All pools
  strata.virt.libvirt_pool_info:
  register: pools
"""

RETURN = r"""
resources:
  description: One entry a pool. C(options) are the options of M(strata.virt.libvirt_pool) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: vms
      status: active
      owner: ""
      options: {name: vms, type: dir, path: /srv/vms, mode: '0711', state: active}
      running: {type: dir, path: /srv/vms, mode: '0711'}
      facts: {allocation: 31450484736, available: 239102689280, capacity: 270553174016}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_pool import LibvirtPool


def main() -> None:
    inform(LibvirtPool)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_vm_info
short_description: Virtual machines on QEMU alone, as they are stored and as they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells of the VMs of M(strata.virt.qemu_vm).
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - qemu-system-x86_64
options:
  name:
    description:
      - The VMs to tell of; all where it is not given.
    type: list
    elements: str
  folder:
    description:
      - Where VMs are kept. Without it C(/var/lib/strata/qemu), and for others than root C($XDG_STATE_HOME/strata/qemu).
    type: str
seealso:
  - module: strata.virt.qemu_vm
"""

EXAMPLES = r"""
- name: All VMs
  strata.virt.qemu_vm_info:
  register: vms
"""

RETURN = r"""
resources:
  description: One entry a VM. C(options) are the options of M(strata.virt.qemu_vm) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: tiny
      status: running
      owner: ""
      options: {name: tiny, memory: 512M, smp: 2, state: running}
      running: {memory: 512M, smp: 2}
      facts:
        folder: /var/lib/strata/qemu/tiny
        accelerator: tcg
        unit: strata-qemu-tiny.service
        ports: [{protocol: tcp, address: 127.0.0.1, port: 2222, guest_port: 22}]
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_vm import QemuVm


def main() -> None:
    inform(QemuVm)


if __name__ == "__main__":
    main()

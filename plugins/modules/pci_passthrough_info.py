#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pci_passthrough_info
short_description: PCI devices that are handed over or divided
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which devices are handed over, to which driver, with whom they share their IOMMU group, and into how many
    virtual functions they are divided.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The addresses to tell of; where it is not given, all devices that are handed over, divided, or kept so for the
        next boot.
    type: list
    elements: str
seealso:
  - module: strata.virt.pci_passthrough
  - module: strata.virt.host_info
"""

EXAMPLES = r"""
- name: Devices that virtual machines may have
  strata.virt.pci_passthrough_info:
  register: handed_over
"""

RETURN = r"""
resources:
  description: One entry a device. C(options) are the options of M(strata.virt.pci_passthrough) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: "0000:01:00.0"
      status: present
      owner: ""
      options: {address: "0000:01:00.0", state: present, driver: vfio-pci, persistent: true}
      running: {driver: vfio-pci, together: ["0000:01:00.1"], functions: 0}
      facts: {driver: vfio-pci, iommu_group: "13", beside: {"0000:01:00.1": vfio-pci}, functions_most: 0}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.pci_passthrough import PciPassthrough


def main() -> None:
    inform(PciPassthrough)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pci_passthrough
short_description: PCI devices for virtual machines, whole IOMMU groups and virtual functions, now and at boot
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Takes a PCI device from the host's driver and hands it over to C(vfio-pci), or gives it back; or divides it into
    virtual functions (SR-IOV).
  - A device that the host or a virtual machine uses is not taken. The error names the network interface, the mount or
    the process.
  - An IOMMU group goes as a whole. The error names what else is in it.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - an IOMMU that is turned on, for V(vfio-pci)
  - systemd, for O(persistent)
options:
  address:
    description:
      - The device, as C(lspci -D) writes it, V(0000:01:00.0), or V(01:00.0).
    type: str
    required: true
  state:
    description:
      - V(present) hands over and keeps what the options say.
      - V(absent) gives the device back to the host's driver, with what was handed over together with it, takes its
        virtual functions away, and forgets it for the next boot.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description:
      - The only driver that may have it, V(vfio-pci) for virtual machines. An empty text gives it back.
    type: str
  group:
    description:
      - Whether the others in its IOMMU group go with it, but for bridges. Without, a group of which the host uses a
        part is refused.
    type: bool
    default: false
  functions:
    description:
      - Into how many virtual functions it is divided. The kernel makes all of them anew for another number. Each can
        then be handed over by its own address.
    type: int
  persistent:
    description:
      - Whether that is done at boot, by a unit of systemd, before anything that uses it is started.
    type: bool
seealso:
  - module: strata.virt.pci_passthrough_info
  - module: strata.virt.host_info
  - module: strata.virt.libvirt_domain
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A graphics card with all that is on it, for a virtual machine, now and at boot
  strata.virt.pci_passthrough:
    address: "0000:01:00.0"
    driver: vfio-pci
    group: true
    persistent: true

- name: A network card as eight
  strata.virt.pci_passthrough:
    address: "0000:02:00.0"
    functions: 8
    persistent: true

- name: One of the eight for a virtual machine
  strata.virt.pci_passthrough:
    address: "0000:02:10.0"
    driver: vfio-pci
    persistent: true

- name: Give the graphics card back
  strata.virt.pci_passthrough:
    address: "0000:01:00.0"
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: driver, before: "", after: vfio-pci, effect: live, layer: running}
restart_required:
  description: Always empty, because all of it changes at once.
  returned: always
  type: list
  elements: str
  sample: []
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: "0000:01:00.0"
    status: present
    owner: ""
    options: {address: "0000:01:00.0", state: present, driver: vfio-pci, persistent: true}
    running: {driver: vfio-pci, together: ["0000:01:00.1"], functions: 0}
    facts:
      driver: vfio-pci
      iommu_group: "13"
      beside: {"0000:01:00.1": vfio-pci}
      handed_over: ["0000:01:00.1"]
      functions: []
      functions_most: 0
      bridge: false
      unit: strata-pci-0000:01:00.0.service
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.pci_passthrough import PciPassthrough


def main() -> None:
    converge(PciPassthrough)


if __name__ == "__main__":
    main()

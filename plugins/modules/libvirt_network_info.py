#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_network_info
short_description: Virtual networks of libvirt, as stored and as they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which virtual networks there are, whoever made them, with the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The networks to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.libvirt_network
"""

EXAMPLES = r"""
- name: All networks
  strata.virt.libvirt_network_info:
  register: networks
"""

RETURN = r"""
resources:
  description: One entry a network. C(options) are the options of M(strata.virt.libvirt_network) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: lab0
      status: active
      owner: ""
      options: {name: lab0, bridge: virbr10, forward: {mode: nat}, ip: {address: 10.20.0.1/24}, state: active}
      running: {bridge: virbr10, forward: {mode: nat}, ip: {address: 10.20.0.1/24}}
      facts: {bridge: virbr10, mac: "52:54:00:d9:31:45", uuid: d6505dc4-c91e-4f94-bb18-a819adbe6f6c}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_network import LibvirtNetwork


def main() -> None:
    inform(LibvirtNetwork)


if __name__ == "__main__":
    main()

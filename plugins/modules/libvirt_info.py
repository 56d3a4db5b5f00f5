#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_info
short_description: Virtual machines of libvirt, as stored and as they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which domains there are, whoever made them, with the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
options:
  name:
    description:
      - The domains to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.libvirt_domain
"""

EXAMPLES = r"""
- name: All domains
  strata.virt.libvirt_info:
  register: domains
"""

RETURN = r"""
resources:
  description: One entry a domain. C(options) are the options of M(strata.virt.libvirt_domain) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: vm1
      status: running
      owner: ""
      options: {name: vm1, state: running, memory: 512M, domain_type: kvm}
      running: {memory: 512M, vcpus: 1}
      facts: {id: "1", machine: pc-i440fx-10.0, memory_most: 536870912}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain


def main() -> None:
    inform(LibvirtDomain)


if __name__ == "__main__":
    main()

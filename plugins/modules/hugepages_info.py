#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hugepages_info
short_description: Huge pages that are set aside, by size and NUMA node
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells of each size of which pages are set aside, mounted, or kept for the next boot, how many are free and reserved,
    and on which nodes.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - a kernel with CONFIG_HUGETLBFS
options:
  name:
    description:
      - The sizes to tell of; where it is not given, all that the host has.
    type: list
    elements: str
seealso:
  - module: strata.virt.hugepages
  - module: strata.virt.host_info
"""

EXAMPLES = r"""
- name: The huge pages of this host
  strata.virt.hugepages_info:
  register: huge
"""

RETURN = r"""
resources:
  description: One entry a size. C(options) are the options of M(strata.virt.hugepages) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: 2M
      status: present
      owner: ""
      options: {size: 2M, state: present, pages: 64, persistent: true}
      running: {pages: 64, nodes: {"0": 64}, overcommit: 0, mount: "", mount_options: []}
      facts: {total: 64, free: 60, surplus: 0, reserved: 2, nodes: {"0": {total: 64, free: 60, surplus: 0}}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.hugepages import Hugepages


def main() -> None:
    inform(Hugepages)


if __name__ == "__main__":
    main()

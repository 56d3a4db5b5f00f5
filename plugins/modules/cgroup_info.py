#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cgroup_info
short_description: Control groups that strata.virt keeps, and their limits
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which groups there are below the delegated one, and their limits as the kernel has them.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - cgroup v2
options:
  name:
    description:
      - The groups to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.cgroup
"""

EXAMPLES = r"""
- name: All groups
  strata.virt.cgroup_info:
  register: groups
"""

RETURN = r"""
resources:
  description: One entry a group. C(options) are the options of M(strata.virt.cgroup) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: batch
      status: present
      owner: ""
      options: {name: batch, cpus: 2.0, memory: 1G, pids_limit: 512, state: present}
      running: null
      facts: {path: /sys/fs/cgroup/strata.slice/strata.service/batch, populated: false}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.cgroup import Cgroup


def main() -> None:
    inform(Cgroup)


if __name__ == "__main__":
    main()

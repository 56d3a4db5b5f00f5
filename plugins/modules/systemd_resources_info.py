#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_resources_info
short_description: Limits of units of systemd that strata.virt keeps, and what the units use
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells what units are held to at their next start and right now, and what those that run use.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - systemd
  - cgroup v2
options:
  name:
    description:
      - The units to tell of; all that have a drop-in of M(strata.virt.systemd_resources) where it is not given. One
        that has none is not told of.
    type: list
    elements: str
seealso:
  - module: strata.virt.systemd_resources
"""

EXAMPLES = r"""
- name: All units with limits of this collection
  strata.virt.systemd_resources_info:
  register: limited
"""

RETURN = r"""
resources:
  description:
    - One entry a unit. C(options) are the options of M(strata.virt.systemd_resources) that declare it, C(running) is
      what holds now, C(usage) is as told by M(strata.virt.cgroup_info).
  returned: always
  type: list
  elements: dict
  sample:
    - name: batch.slice
      status: present
      owner: ""
      options: {unit: batch.slice, memory: 2G, cpus: 3.0, pids_limit: 1000, state: present}
      running: {memory: 2G, cpus: 3.0, pids_limit: 1000}
      usage: {memory: {current_bytes: 372736}, pids: {current: 1}, processes: 1}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.systemd_resources import SystemdResources


def main() -> None:
    inform(SystemdResources)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cgroup_info
short_description: Control groups, what they are held to, and what they use
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which groups there are below the delegated one, what they are held to as the kernel has it, what they use,
    what happened to them, and how much they wait.
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
  parent:
    description:
      - Another delegated group to look below. Of all groups there, those are told that M(strata.virt.cgroup) made.
    type: str
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
  description:
    - One entry a group. C(options) are the options of M(strata.virt.cgroup) that declare it.
    - C(usage) has what the kernel counts, with the unit in each name; what a controller that isn't enabled would
      count is left out. C(pressure) is the share of time in which some or all processes waited.
  returned: always
  type: list
  elements: dict
  sample:
    - name: batch
      status: present
      owner: ""
      options: {name: batch, cpus: 2.0, memory: 1G, pids_limit: 512, state: present}
      running: {cpus: 2.0, cpu_period: 100ms, memory: 1G, pids_limit: 512, frozen: false}
      facts: {path: /sys/fs/cgroup/strata.slice/strata.service/batch, populated: true, unit: null}
      usage:
        cpu: {usage_usec: 18443, user_usec: 9221, system_usec: 9222, nr_periods: 3, nr_throttled: 0, throttled_usec: 0}
        memory:
          current_bytes: 372736
          peak_bytes: 1417216
          swap_current_bytes: 0
          events: {low: 0, high: 0, max: 0, oom: 0, oom_kill: 0, oom_group_kill: 0}
        pids: {current: 1, peak: 2, events: {max: 0}}
        pressure:
          cpu:
            some: {avg10_percent: 0.12, avg60_percent: 0.02, avg300_percent: 0.0, total_usec: 20114}
        events: {populated: true, frozen: false}
        processes: 1
        groups: 0
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.cgroup import Cgroup


def main() -> None:
    inform(Cgroup)


if __name__ == "__main__":
    main()

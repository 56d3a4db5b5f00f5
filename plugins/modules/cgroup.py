#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cgroup
short_description: Control groups of cgroup v2
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a control group and keeps what it is held to, now and after every boot.
  - The groups live below C(strata.slice/strata.service), a part of the tree that systemd has handed over, so that
    nothing else writes there. For slices, services and scopes of systemd itself, see M(strata.virt.systemd_resources).
extends_documentation_fragment:
  - strata.virt.limits
  - strata.virt.controls
  - strata.virt.converges
requirements:
  - cgroup v2
  - systemd
options:
  name:
    description:
      - The group, as a path below the delegated one. Groups on the way are made, too.
    type: str
    required: true
  state:
    description:
      - V(present) makes the group and keeps what it is held to, V(absent) removes it and the empty groups below it.
      - A group that holds processes is not removed, unless O(kill) says so.
    type: str
    choices: [present, absent]
    default: present
  parent:
    description:
      - Another group to work below, by its path in C(/sys/fs/cgroup), such as that of a user's own manager. It must
        have been handed over, by C(Delegate=yes) of its unit.
    type: str
  cpu_burst:
    description:
      - The cpu time that may be saved up from periods in which less was used, and spent on top of O(cpus). V(0) is
        none.
    type: str
  cpuset_exclusive:
    description:
      - The cpus to set apart for a partition, as V(2-3). Linux 6.7 and later.
    type: str
  cpuset_partition:
    description:
      - Whether the cpus are this group's alone. V(root) schedules them on their own, V(isolated) doesn't balance load
        between them either, V(member) shares them.
      - It needs a group above that is a partition itself, or O(cpuset_exclusive) and the same cpus in
        C(cpuset.cpus.exclusive) of all groups above. Those of systemd are not written to.
    type: str
    choices: [member, root, isolated]
  oom_group:
    description:
      - Whether all processes of the group are killed together when there is no memory left.
    type: bool
  hugetlb:
    description:
      - "The most memory in huge pages, by page size, as V({2M: 1G}); V(max) is no limit. Sizes that aren't given are
        not touched. systemd doesn't pass this controller on by itself, nor those of O(misc) and O(rdma)."
    type: dict
  misc:
    description:
      - "The most of what a host has few of, by its name in C(misc.capacity) of the root group, such as V({sev: 4})."
    type: dict
  rdma:
    description:
      - "The most handles and objects of RDMA devices, as V({mlx5_0: {hca_handle: 2, hca_object: 2000}})."
    type: dict
  frozen:
    description:
      - Whether the processes are stopped where they are.
    type: bool
  pids:
    description:
      - Processes to have in the group, by number, without the children they already have. One that has ended is no
        error. Numbers are used again by the
        kernel, so this is for a process that was just started.
    type: list
    elements: int
  units:
    description:
      - Units of systemd whose processes to have in the group. systemd then no longer finds them in the group of the
        unit, so that stopping it reaches the main process alone. systemd itself and slices are refused. To limit
        a unit where it is, see M(strata.virt.systemd_resources).
    type: list
    elements: str
  users:
    description:
      - Users whose processes to have in the group, by name or number. Those that they start later from elsewhere come
        in with the next run. V(root) is refused.
    type: list
    elements: str
  persistent:
    description:
      - Whether the group is made again at boot, with everything that it is held to, by a unit of its own. Processes are
        not moved again.
    type: bool
  kill:
    description:
      - Whether O(state=absent) kills the processes that the group and those below it hold. Needs Linux 5.14.
    type: bool
    default: false
seealso:
  - module: strata.virt.cgroup_info
  - module: strata.virt.systemd_resources
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: Two cpus, one gigabyte and 512 processes for batch work
  strata.virt.cgroup: {name: batch, cpus: 2, memory: 1G, pids_limit: 512}

- name: A share of the cpu, a soft limit of memory, a slow disk, and all of it again after a boot
  strata.virt.cgroup:
    name: backup
    cpu_weight: 20
    memory_high: 512M
    memory_swap: 0
    io:
      - {device: /dev/vda, read_bps: 20M, write_bps: 10M, write_iops: 200}
    persistent: true

- name: One cpu of its own choice, and out of memory together or not at all
  strata.virt.cgroup:
    name: build/compilers
    cpuset_cpus: "0"
    memory: 2G
    oom_group: true

- name: Take it away again
  strata.virt.cgroup:
    name: batch
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: max, after: 1G, effect: live, layer: running}
restart_required:
  description: Empty for a cgroup, because the kernel takes every change live.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: batch
    status: present
    owner: ""
    options: {name: batch, cpus: 2.0, memory: 1G, pids_limit: 512, state: present}
    running: {cpus: 2.0, cpu_period: 100ms, memory: 1G, pids_limit: 512, frozen: false}
    facts: {path: /sys/fs/cgroup/strata.slice/strata.service/batch, populated: false, unit: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.cgroup import Cgroup


def main() -> None:
    converge(Cgroup)


if __name__ == "__main__":
    main()

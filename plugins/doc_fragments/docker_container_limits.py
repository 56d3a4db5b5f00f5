# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a container may take."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  memory_swap:
    description:
      - The most memory and swap together, which is more than O(memory) or the same; V(unlimited) or V(-1) for no limit,
        V(0) for the engine's default of twice O(memory).
    type: str
  memory_reservation:
    description:
      - The memory that it keeps when the host runs short. V(0) is none.
    type: str
  memory_swappiness:
    description:
      - How readily the kernel swaps, from 0 to 100. Only with control groups of version 1; elsewhere an error.
    type: int
  kernel_memory:
    description:
      - The most memory of the kernel. Only with control groups of version 1 and Docker before 23; elsewhere an error.
    type: str
  oom_killer:
    description:
      - Whether to disable the kernel's killer for it. Only with control groups of version 1; elsewhere an error.
    type: bool
  oom_score_adj:
    description:
      - How soon the kernel kills it, from -1000 to 1000.
    type: int
  shm_size:
    description:
      - The size of C(/dev/shm). The engine's default is 64M.
    type: str
  cpu_period:
    description:
      - The scheduler's period, in microseconds. O(cpus) is easier.
    type: int
  cpu_quota:
    description:
      - The cpu time in each period, in microseconds. O(cpus) is easier.
    type: int
  cpu_shares:
    description:
      - Its share of cpu time where there isn't enough, relative to 1024.
    type: int
  cpuset_cpus:
    description:
      - The cpus that it may run on, as V(0-3,8).
    type: str
  cpuset_mems:
    description:
      - The memory nodes that it may use, as V(0,1).
    type: str
  ulimits:
    description:
      - Limits of its processes, as C(name:soft[:hard]), such as V(nofile:1024:2048).
    type: list
    elements: str
  blkio_weight:
    description:
      - Its share of the time of disks, from 10 to 1000.
    type: int
  device_read_bps:
    description:
      - The most bytes read from a device per second.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The device.
        type: str
        required: true
      rate:
        description:
          - Bytes, with a unit of V(k), V(m) or V(g) as for O(memory).
        type: str
        required: true
  device_write_bps:
    description:
      - The most bytes written to a device per second.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The device.
        type: str
        required: true
      rate:
        description:
          - Bytes, with a unit of V(k), V(m) or V(g) as for O(memory).
        type: str
        required: true
  device_read_iops:
    description:
      - The most operations read from a device per second.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The device.
        type: str
        required: true
      rate:
        description:
          - Operations.
        type: int
        required: true
  device_write_iops:
    description:
      - The most operations written to a device per second.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The device.
        type: str
        required: true
      rate:
        description:
          - Operations.
        type: int
        required: true
"""

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control group can be held to, wherever it is declared."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cpu_period:
    description:
      - The time in which O(cpus) are counted, from V(1ms) to V(1s). A shorter one makes for shorter pauses. A number
        alone is microseconds.
      - Where it is not given, the one that there is stays; the kernel's own is V(100ms).
    type: str
  cpu_weight:
    description:
      - The share of cpu time against siblings when there is too little of it, from V(1) to V(10000); the kernel's own
        is V(100). V(idle) is what is left over by all others.
    type: str
  memory_high:
    description:
      - The memory above which the processes are slowed down and memory is taken back from them; nothing is killed for
        it.
    type: str
  memory_low:
    description:
      - The memory that is taken back only if there is none to be had elsewhere. V(0) is no protection.
    type: str
  memory_min:
    description:
      - The memory that is never taken back. V(0) is no protection.
    type: str
  memory_swap:
    description:
      - The most swap, besides O(memory) and not counting it. V(0) is none, V(max) no limit.
    type: str
  io_weight:
    description:
      - The share of io against siblings, from V(1) to V(10000), for devices without a weight of their own in O(io).
    type: int
  io:
    description:
      - What holds for single devices. A device that is not listed has no limits; V([]) takes all limits away.
      - Within an entry, what isn't given is not touched.
    type: list
    elements: dict
    suboptions:
      device:
        description:
          - A block device, by any of its paths. Those in C(/dev/disk/by-id) are the same after a reboot.
          - Limits belong to whole disks, so a partition stands for the disk that it is on.
        type: str
        required: true
      read_bps:
        description: The most bytes read in a second, as a number or with a unit, powers of 1024; V(max) is no limit.
        type: str
      write_bps:
        description: The most bytes written in a second.
        type: str
      read_iops:
        description: The most reads in a second; V(max) is no limit.
        type: str
      write_iops:
        description: The most writes in a second.
        type: str
      weight:
        description: The weight on this device, from V(1) to V(10000); V(default) is O(io_weight).
        type: str
      latency:
        description:
          - The latency to aim for, such as V(25ms); groups that have a higher one are slowed down for it. V(0) is none.
          - Many kernels are built without it.
        type: str
  cpuset_cpus:
    description:
      - The cpus to run on, as V(0-3,8); V('') is those of the group above. Compared as a set.
    type: str
  cpuset_mems:
    description:
      - The memory nodes to take memory from, as V(0-1); V('') is those of the group above.
    type: str
"""

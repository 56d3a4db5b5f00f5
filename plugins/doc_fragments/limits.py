# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that mean the same everywhere."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cpus:
    description:
      - The most cpu time, in cpus. V(1.5) is one and a half cpus, V(max) no limit.
    type: str
  memory:
    description:
      - The most memory, as a number of bytes or with a unit of V(k), V(m), V(g) or V(t), powers of 1024; V(max) is
        no limit.
      - Floored to whole pages, as the kernel does it. Swap doesn't count.
    type: str
  pids_limit:
    description:
      - The most processes and threads; V(max) is no limit.
    type: str
"""

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_info
short_description: LXC containers, what is stored of them and what runs
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which LXC containers there are, running or not, with everything that is stored of them, their snapshots, and
    of those that run, their limits, their first process, their addresses and what they use.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - LXC 4 or newer on cgroup v2
  - python3-lxc
options:
  name:
    description:
      - The containers to tell of; all where it is not given.
    type: list
    elements: str
  lxc_path:
    description:
      - Where the containers are. For a plain user, the default is what LXC has as that user's own.
    type: str
    default: /var/lib/lxc
seealso:
  - module: strata.virt.lxc_container
  - module: strata.virt.lxc_snapshot
"""

EXAMPLES = r"""
- name: All LXC containers
  strata.virt.lxc_info:
  register: containers
"""

RETURN = r"""
resources:
  description:
    - One entry a container. C(options) are the options of M(strata.virt.lxc_container) that declare what is stored;
      C(running) are the limits that hold, null for a stopped one.
    - C(facts.pid) is the first process, C(facts.cgroup) the control group, C(facts.snapshots) the snapshots, the oldest
      first. C(usage) is what is used, as M(strata.virt.cgroup_info) tells it, with C(usage.addresses) by interface.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_container import LxcContainer


def main() -> None:
    inform(LxcContainer)


if __name__ == "__main__":
    main()

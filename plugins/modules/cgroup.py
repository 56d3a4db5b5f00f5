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
  - Makes a control group and keeps its limits.
  - The groups live below C(strata.slice/strata.service), a part of the tree that systemd has handed over, so that
    nothing
    else writes there.
extends_documentation_fragment:
  - strata.virt.limits
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
      - V(present) makes the group and keeps its limits, V(absent) removes it and the empty groups below it.
      - A group that holds processes is not removed.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: strata.virt.cgroup_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: Two cpus, one gigabyte and 512 processes for batch work
  strata.virt.cgroup: {name: batch, cpus: 2, memory: 1G, pids_limit: 512}

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
    - {field: memory, before: max, after: 1G, effect: live, layer: config}
restart_required:
  description: Options that take effect only after an interruption that wasn't allowed. Empty for a cgroup.
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
    running: null
    facts: {path: /sys/fs/cgroup/strata.slice/strata.service/batch, populated: false}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.cgroup import Cgroup


def main() -> None:
    converge(Cgroup)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hugepages
short_description: Huge pages, by size and NUMA node, now and at boot
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Sets huge pages aside for virtual machines and others that ask for them, gives them back, and mounts the hugetlbfs
    through which they are had.
  - Pages that the kernel doesn't give, because memory is in use or in pieces, are an error that says how many it gave.
    What there was before is there again then, and nothing is stored.
  - Pages that are in use are never taken. The error names who has them.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - a kernel with CONFIG_HUGETLBFS
  - systemd, for O(persistent)
options:
  size:
    description:
      - The size of a page, such as V(2M) or V(1G). M(strata.virt.hugepages_info) tells which ones the host has.
    type: str
    required: true
  state:
    description:
      - V(present) sets aside and keeps what the options say.
      - V(absent) gives every page of the size back, and takes away the unit and the mounts that this module made.
    type: str
    choices: [present, absent]
    default: present
  pages:
    description:
      - How many there are on the whole host. The kernel spreads them over its NUMA nodes. Not together with O(nodes).
    type: int
  nodes:
    description:
      - How many there are on each NUMA node, by the node's number. Nodes that aren't named are left alone.
    type: dict
  overcommit:
    description:
      - How many more the kernel may make when somebody wants them, as far as it then can. For pages of a gigabyte most
        kernels refuse it.
    type: int
  mount:
    description:
      - Where a hugetlbfs with pages of this size is mounted. The directory is made where it is missing. An empty text
        takes away what this module mounted.
      - One that somebody else mounted there will do. systemd mounts the default size at C(/dev/hugepages).
    type: str
  mount_options:
    description:
      - What it is mounted with, V(uid=NUMBER), V(gid=NUMBER) and V(mode=OCTAL), of its topmost directory. A mount that
        is in use isn't changed. The error names its users.
    type: list
    elements: str
  persistent:
    description:
      - Whether they are set aside and mounted at boot, by a unit of systemd that fails, and so is seen, where the
        kernel gives fewer.
      - The command line of the kernel is not edited. What it says of huge pages is among the facts of RV(resource).
    type: bool
seealso:
  - module: strata.virt.hugepages_info
  - module: strata.virt.libvirt_domain
  - module: strata.virt.host_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: Memory for virtual machines, now and at boot
  strata.virt.hugepages:
    size: 2M
    pages: 64
    persistent: true

- name: Only on the node whose processors use it, for one group
  strata.virt.hugepages:
    size: 2M
    nodes: {0: 64}
    mount: /dev/hugepages-2M
    mount_options: [mode=1770, gid=64055]

- name: Up to 16 more when somebody wants them
  strata.virt.hugepages:
    size: 2M
    overcommit: 16

- name: Give all of them back
  strata.virt.hugepages:
    size: 2M
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: pages, before: 0, after: 64, effect: live, layer: running}
restart_required:
  description: Always empty, because all of it changes at once.
  returned: always
  type: list
  elements: str
  sample: []
resource:
  description:
    - What the host has now. C(running) is what the kernel has set aside, C(options) what is kept for the next boot,
      where anything is.
  returned: always
  type: dict
  sample:
    name: 2M
    status: present
    owner: ""
    options: {size: 2M, state: present, pages: 64, persistent: true}
    running: {pages: 64, nodes: {"0": 64}, overcommit: 0, mount: "", mount_options: []}
    facts:
      total: 64
      free: 64
      surplus: 0
      reserved: 0
      nodes: {"0": {total: 64, free: 64, surplus: 0}}
      mounts: [/dev/hugepages]
      mounts_made: []
      kernel_parameters: []
      unit: strata-hugepages-2M.service
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.hugepages import Hugepages


def main() -> None:
    converge(Hugepages)


if __name__ == "__main__":
    main()

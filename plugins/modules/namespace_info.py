#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_info
short_description: Pinned sets of namespaces, and who is in them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which sets of namespaces are pinned in C(/run/strata/namespaces), and which processes are in them.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The sets to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.namespace
"""

EXAMPLES = r"""
- name: All sets of namespaces
  strata.virt.namespace_info:
  register: namespaces
"""

RETURN = r"""
resources:
  description:
    - One entry a set. C(options) are the options of M(strata.virt.namespace) that declare it.
    - C(facts.namespaces) has the number of each, which is the inode of its file, and what C(/proc/PID/ns) shows.
    - C(facts.users) names the processes that are seen in one of them, the holder left out, and C(facts.processes)
      counts them. The latter is null where C(/proc) doesn't tell the namespaces of every process.
  returned: always
  type: list
  elements: dict
  sample:
    - name: isolated
      status: present
      owner: ""
      options: {name: isolated, kinds: [net, uts, ipc, mnt, pid], hostname: isolated, loopback: true, state: present}
      running: null
      facts:
        path: /run/strata/namespaces/isolated
        namespaces: {net: 4026532256, uts: 4026532252, ipc: 4026532253, mnt: 4026532251, pid: 4026532254}
        holder: 26046
        unit: null
        processes: 1
        users: ["26101 (nginx)"]
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.namespace import Namespace


def main() -> None:
    inform(Namespace)


if __name__ == "__main__":
    main()

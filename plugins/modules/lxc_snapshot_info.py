#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_snapshot_info
short_description: The snapshots of an LXC container
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which snapshots a container has, those of C(lxc-snapshot) included.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - LXC 4 or newer on cgroup v2
  - python3-lxc
options:
  name:
    description:
      - The snapshots to tell of; all where it is not given.
    type: list
    elements: str
  container:
    description:
      - The container.
    type: str
    required: true
  lxc_path:
    description:
      - Where the containers are.
    type: str
    default: /var/lib/lxc
seealso:
  - module: strata.virt.lxc_snapshot
"""

EXAMPLES = r"""
- name: The snapshots of a container
  strata.virt.lxc_snapshot_info:
    container: web1
  register: snapshots
"""

RETURN = r"""
resources:
  description:
    - One entry a snapshot. C(options) are the options of M(strata.virt.lxc_snapshot) that declare it, without the
      container; C(facts.created) is when it was made.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_snapshot import LxcSnapshot


def main() -> None:
    inform(LxcSnapshot)


if __name__ == "__main__":
    main()

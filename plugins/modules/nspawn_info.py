#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nspawn_info
short_description: Containers of systemd-nspawn, as they are stored and as they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells of the machines of C(systemd-nspawn@.service), whoever made them.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - systemd 247 or newer on cgroup v2
  - systemd-nspawn (package systemd-container)
options:
  name:
    description:
      - The machines to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.nspawn_container
"""

EXAMPLES = r"""
- name: All machines
  strata.virt.nspawn_info:
  register: machines
"""

RETURN = r"""
resources:
  description: One entry a machine. C(options) are the options of M(strata.virt.nspawn_container) that declare it.
    C(usage) tells of one that runs C(leader), the first of its processes as the host numbers it, C(addresses), and what
    its control group counts.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_container import NspawnContainer


def main() -> None:
    inform(NspawnContainer)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netns_info
short_description: Named network namespaces, and what is in them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which network namespaces have a name in C(/run/netns), whoever made them.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - python3-pyroute2
options:
  name:
    description:
      - The namespaces to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.netns
"""

EXAMPLES = r"""
- name: All namespaces
  strata.virt.netns_info:
  register: namespaces
"""

RETURN = r"""
resources:
  description: One entry a namespace. C(options) are the options of M(strata.virt.netns) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: blue
      status: present
      owner: ""
      options: {name: blue, loopback: true, state: present}
      running: null
      facts: {path: /run/netns/blue, id: "4:4026532183", links: [lo, veth0]}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.netns import Netns


def main() -> None:
    inform(Netns)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: link_info
short_description: Network links, and what they are
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which links there are on the host, or in a named network namespace, whoever made them.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - python3-pyroute2
options:
  name:
    description:
      - The links to tell of; all where it is not given.
    type: list
    elements: str
  netns:
    description:
      - The named network namespace to look into; the host where it is not given.
    type: str
seealso:
  - module: strata.virt.link
"""

EXAMPLES = r"""
- name: All links of the host
  strata.virt.link_info:
  register: links

- name: One link in a namespace
  strata.virt.link_info:
    name: [veth0]
    netns: blue
"""

RETURN = r"""
resources:
  description: One entry a link. C(options) are the options of M(strata.virt.link) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: br0
      status: present
      owner: ""
      options: {name: br0, type: bridge, mtu: 1500, addresses: [10.90.0.1/24], state: present}
      running: null
      facts: {index: 7, alias: "strata.virt owner=", mac: "ea:9e:5b:44:0e:2e", link_locals: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.link import Link


def main() -> None:
    inform(Link)


if __name__ == "__main__":
    main()

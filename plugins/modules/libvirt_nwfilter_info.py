#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_nwfilter_info
short_description: Network filters of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which network filters there are, whoever made them, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The filters to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.libvirt_nwfilter
"""

EXAMPLES = r"""
- name: All filters
  strata.virt.libvirt_nwfilter_info:
  register: filters
"""

RETURN = r"""
resources:
  description: One entry a filter. C(options) are the options of M(strata.virt.libvirt_nwfilter) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web
      status: present
      owner: ""
      options: {name: web, rules: [{filterref: clean-traffic}], state: present}
      running: null
      facts: {uuid: 29cf53da-93c4-4e7f-832c-0914f09f059a}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_nwfilter import LibvirtNwfilter


def main() -> None:
    inform(LibvirtNwfilter)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_secret_info
short_description: Secrets of libvirt, without what they keep
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which secrets there are, whoever made them, whether they have a value, and the options that declare them but
    for that.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.informs
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The secrets to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.libvirt_secret
"""

EXAMPLES = r"""
- name: All secrets
  strata.virt.libvirt_secret_info:
  register: secrets
"""

RETURN = r"""
resources:
  description: One entry a secret. C(options) are the options of M(strata.virt.libvirt_secret) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: client.libvirt
      status: present
      owner: ""
      options: {name: client.libvirt, usage: ceph, private: true, state: present}
      running: null
      facts: {uuid: 2ec115d7-3a88-3ceb-bc12-0ac909a6fd87, has_value: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_secret import LibvirtSecret


def main() -> None:
    inform(LibvirtSecret)


if __name__ == "__main__":
    main()

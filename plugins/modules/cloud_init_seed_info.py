#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_init_seed_info
short_description: Seeds of cloud-init, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells what is in seeds, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The images to tell of, by their paths. Nothing else tells where there are some.
    type: list
    elements: str
seealso:
  - module: strata.virt.cloud_init_seed
"""

EXAMPLES = r"""
- name: Seeds of cloud-init
  strata.virt.cloud_init_seed_info: {name: [/var/lib/libvirt/images/lab1-seed.iso]}
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.cloud_init_seed) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /var/lib/libvirt/images/lab1-seed.iso
      status: present
      owner: ""
      options:
        path: /var/lib/libvirt/images/lab1-seed.iso
        user_data: "#cloud-config\n{...}"
        instance_id: i-5c1f0a...
        mode: "0600"
      running: null
      facts: {label: cidata, size: 57344, files: [meta-data, network-config, user-data], instance_id: i-5c1f0a...}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.cloud_init_seed import CloudInitSeed


def main() -> None:
    inform(CloudInitSeed)


if __name__ == "__main__":
    main()

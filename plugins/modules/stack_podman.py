#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_podman
short_description: Several resources in one task, kinds of Podman
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Does what M(strata.virt.stack) does, for entries of one family. Nobody has to name it, because
    M(strata.virt.stack) takes it by itself where it will do.
extends_documentation_fragment:
  - strata.virt.stack
  - strata.virt.converges
seealso:
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A network and a volume of Podman
  strata.virt.stack_podman:
    name: podman
    resources:
      - podman_network: {name: stacked, ipam_config: [{subnet: 10.91.7.0/24}]}
      - podman_volume: {name: stacked}
"""

RETURN = r"""
resources:
  description: One result a resource.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: podman_volume
      name: stacked
      changed: true
      changes:
        - {field: state, before: absent, after: present, effect: create, layer: config}
      restart_required: []
restart_required:
  description: The resources that run otherwise than declared until somebody restarts them.
  returned: always
  type: list
  elements: str
advice:
  description: What is done as declared, and may not be what was meant; also shown as warnings.
  returned: where there is some
  type: list
  elements: str
  sample: ["libvirt_domain/vm1: memory is 128M: Debian 12 needs 1G at least"]
errors:
  description: What went wrong, one line a resource.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.strata.virt.plugins.module_utils.core.doors import converge_stack
from ansible_collections.strata.virt.plugins.module_utils.kinds.pack_podman import KINDS, find


def main() -> None:
    converge_stack(find, KINDS)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack
short_description: A host's whole declared state, in one task
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Converges a list of resources of any kind in one process, with bulk reads, one plan, ordered and parallel changes.
  - All entries are validated before anything is read, and everything is planned before anything is touched.
  - What goes wrong with one resource doesn't stop the others; the task fails at the end with every error.
  - The host is sent those kinds alone that are declared. With O(prune), a second task follows by itself where the stack
    made something of other kinds before.
extends_documentation_fragment:
  - strata.virt.converges
options:
  name:
    description:
      - The owner of what is created. It is noted in each engine's own metadata.
      - The stack keeps a record of what it applied last, C(/var/lib/strata/stacks/NAME.json). An option that an entry
        gave before and gives no longer goes back to its default.
    type: str
    required: true
  resources:
    description:
      - The entries, each one kind with its options, the same as those of the module of that name.
    type: list
    elements: dict
    required: true
  prune:
    description:
      - Remove what this stack made and no longer declares.
    type: bool
    default: false
  parallel:
    description:
      - How many independent resources are changed at a time.
    type: int
    default: 4
seealso:
  - module: strata.virt.stack_export
"""

EXAMPLES = r"""
- name: This host's whole declared state
  strata.virt.stack:
    name: demo
    prune: true
    resources:
      - cgroup: {name: batch, memory: 1G}
      - docker_container: {name: web, image: "web:1.0", hardening: restricted}

- name: Take all of it away
  strata.virt.stack:
    name: demo
    prune: true
    resources: []
"""

RETURN = r"""
resources:
  description: One result a resource.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: cgroup
      name: batch
      changed: true
      changes:
        - {field: memory, before: max, after: 1G, effect: live, layer: config}
      restart_required: []
restart_required:
  description: The resources that run otherwise than declared until somebody restarts them.
  returned: always
  type: list
  elements: str
  sample: [libvirt_domain/vm1]
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
from ansible_collections.strata.virt.plugins.module_utils.kinds.pack_all import KINDS, find


def main() -> None:
    converge_stack(find, KINDS)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_export
short_description: What a host has, as the entries that reproduce it
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Reads a host and writes the entries of M(strata.virt.stack) that declare what it has. Applying them changes nothing.
extends_documentation_fragment:
  - strata.virt.informs
options:
  kinds:
    description:
      - The kinds to read. All where it is not given; engines that the host doesn't have are then left out, and named in
        RV(unread).
    type: list
    elements: str
  owner:
    description:
      - Only what this stack made.
    type: str
notes:
  - Of links, network namespaces and sets of namespaces that are persistent, it reads what they are now, and not what of
    it is stored for the next boot. Applying that stores all of it.
seealso:
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: All that the host has
  strata.virt.stack_export:
  register: host

- name: What a stack made
  strata.virt.stack_export:
    owner: demo
  register: made

- name: Declare what it made, which changes nothing
  strata.virt.stack:
    name: demo
    resources: "{{ made.resources }}"
"""

RETURN = r"""
resources:
  description: The entries.
  returned: always
  type: list
  elements: dict
  sample:
    - cgroup: {name: batch, memory: 1G, state: present}
unread:
  description: The kinds that could not be read, and why.
  returned: always
  type: dict
  sample: {libvirt_domain: libvirtd is not running}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.doors import export_stack
from ansible_collections.strata.virt.plugins.module_utils.kinds.pack_all import KINDS, find


def main() -> None:
    export_stack(find, KINDS)


if __name__ == "__main__":
    main()

# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resources
short_description: Entries of a stack from lists of options by kind
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes what O(strata.virt.stack#module:resources) takes from a list of options for each kind, in their order.
options:
  _input:
    description:
      - Lists of options, by kind. A kind without any may be there, too.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Machines, each of them with its options
  strata.virt.stack:
    name: machines
    resources: "{{ {'nspawn_image': images, 'nspawn_container': machines} | strata.virt.resources }}"
  vars:
    images: [{name: golden, source: {rootfs: /srv/trees/base}}]
    machines: [{name: one, image: golden}, {name: two, image: golden}]
"""

RETURN = r"""
_value:
  description:
    - The entries, each a mapping of the kind to the options.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError


def resources(kinds: Any) -> list[dict[str, Any]]:
    """One entry for each list's options.

    Raises:
        AnsibleFilterError: It is something else than a mapping of kinds to lists of options.
    """
    if not isinstance(kinds, dict):
        raise AnsibleFilterError(f"resources: wants a mapping of kinds to lists of options, and not {kinds!r}")
    for kind, entries in kinds.items():
        if not isinstance(entries, (list, tuple)) or not all(isinstance(one, dict) for one in entries):
            raise AnsibleFilterError(f"resources: {kind}: wants a list of options, and not {type(entries).__name__}")
    return [{kind: options} for kind, entries in kinds.items() for options in entries]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Any]:
        return {"resources": resources}

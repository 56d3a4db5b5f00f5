# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vcpu_pins
short_description: Lay virtual processors out over those of a host
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Gives each virtual processor a thread of the host for itself, keeps each guest on one NUMA node, and never lets
    two
    guests share a core, whose threads could look at each other's caches.
  - Emulators and iothreads run on the cores that are reserved for the host.
  - What doesn't fit is refused, with the room that there is.
options:
  _input:
    description:
      - The guests, each with C(name), C(vcpus), and if they like C(iothreads) and the C(node) to be on.
    type: list
    elements: dict
    required: true
  cpu:
    description:
      - C(cpu) of what M(strata.virt.host_info) tells.
    type: dict
    required: true
  numa:
    description:
      - C(numa) of what M(strata.virt.host_info) tells. One node where it is not given.
    type: dict
  reserved:
    description:
      - How many cores of each node are left to the host, to emulators and iothreads.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Where they would run
  ansible.builtin.debug:
    msg: "{{ [{'name': 'db', 'vcpus': 2}] | strata.virt.vcpu_pins(cpu={'online': [0, 1, 2], 'siblings': []}) }}"
"""

RETURN = r"""
_value:
  description:
    - By guest, C(vcpu_pins), C(emulator_pin) and C(iothread_pins), and the C(node) that its memory belongs to.
  type: dict
"""

from typing import Any

from ansible_collections.strata.virt.plugins.plugin_utils.pinning import lay


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Any]:
        return {"vcpu_pins": lay}

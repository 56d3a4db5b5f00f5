# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: placement
short_description: Which technology fits a workload, and why
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells, from what a workload needs, what to declare it with, why, and why not the others.
  - A mixed deployment comes of it by itself; applications go into containers, tenants into virtual machines.
options:
  _input:
    description:
      - The needs. All of them may be left out.
      - C(isolation), what has to stand between it and the host. V(paths), V(namespaces), V(users) or V(kernel).
      - C(density), how many guests one host of 32 GiB has to carry.
      - C(tenants), whether those who use it don't trust each other.
      - C(os), the system that it runs; anything but V(linux) needs a machine.
      - C(kernel_modules), whether it loads any.
      - C(devices), a list of V(pci), V(gpu), V(usb) that it needs for itself.
      - C(system_test), whether a whole system with its services is to boot.
      - C(image), V(oci) for an image of a registry.
      - C(rootless), whether a plain user runs it.
      - C(audit), whether what it does has to be told apart in the host's records.
      - C(live_migration), whether it moves between hosts while it runs.
      - C(build), whether it only builds something.
      - C(network_only), whether it only needs a network of its own.
      - C(compose), whether it is a project of Compose.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say why
  ansible.builtin.debug:
    msg: "{{ {'tenants': true, 'density': 20} | strata.virt.placement }}"
"""

RETURN = r"""
_value:
  description:
    - C(technology), C(kind) and C(options) to declare it with, the C(reasons), and C(instead), the others with
      theirs.
  type: dict
"""

from typing import Any

from ansible_collections.strata.virt.plugins.plugin_utils.placement import place


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Any]:
        return {"placement": place}

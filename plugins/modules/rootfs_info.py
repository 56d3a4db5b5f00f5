#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rootfs_info
short_description: Root file systems, and what they were made from
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells from what, when and for whom root file systems were made by M(strata.virt.rootfs). Nothing is read but the
    note beside each.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The paths to tell of; where it is not given, those in C(/var/lib/machines).
      - One that wasn't made by M(strata.virt.rootfs) is told of without C(owner) and without C(options) of its own.
    type: list
    elements: str
seealso:
  - module: strata.virt.rootfs
"""

EXAMPLES = r"""
- name: What the trees of this host's machines were made from
  strata.virt.rootfs_info:
  register: trees
"""

RETURN = r"""
resources:
  description: One entry a root file system. C(options) are the options of M(strata.virt.rootfs) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /var/lib/machines/deb
      status: present
      owner: ""
      options: {path: /var/lib/machines/deb, type: debootstrap, format: directory, suite: trixie, packages: [dbus,
        systemd], state: present}
      running: null
      facts: {made: "2026-03-01T10:15:00Z", looked_at: null, leftovers: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


def main() -> None:
    inform(Rootfs)


if __name__ == "__main__":
    main()

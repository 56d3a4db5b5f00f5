#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: chroot_info
short_description: Jails of chroot(2), and what is mounted in them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which jails there are, what is mounted in them, and what is stored for the next boot.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - Linux 5.12 or newer
options:
  name:
    description:
      - The trees to tell of, whoever mounted what is in them; where it is not given, all that M(strata.virt.chroot)
        keeps.
    type: list
    elements: str
seealso:
  - module: strata.virt.chroot
"""

EXAMPLES = r"""
- name: All jails
  strata.virt.chroot_info:
  register: jails
"""

RETURN = r"""
resources:
  description: One entry a jail. C(options) are the options of M(strata.virt.chroot) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /srv/jail
      status: mounted
      owner: ""
      options: {path: /srv/jail, mounts: [proc, sys], state: mounted}
      running: {mounts: [proc, sys], binds: [], extra: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.chroot import Chroot


def main() -> None:
    inform(Chroot)


if __name__ == "__main__":
    main()

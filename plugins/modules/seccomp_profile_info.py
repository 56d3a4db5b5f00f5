#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: seccomp_profile_info
short_description: Seccomp profiles, and what they say
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Reads seccomp profiles in any of the forms that M(strata.virt.seccomp_profile) writes, and tells them in one.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The paths of the profiles, whoever made them; where it is not given, all in C(/etc/strata/seccomp).
    type: list
    elements: str
seealso:
  - module: strata.virt.seccomp_profile
"""

EXAMPLES = r"""
- name: What containers may do by default
  strata.virt.seccomp_profile_info:
    name: [/usr/share/containers/seccomp.json]
  register: profiles
"""

RETURN = r"""
resources:
  description: One entry a profile. C(options) are the options of M(strata.virt.seccomp_profile) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /etc/strata/seccomp/tiny.json
      status: present
      owner: ""
      options:
        path: /etc/strata/seccomp/tiny.json
        state: present
        base: empty
        format: oci
        default_action: ENOSYS
        allow: [exit_group, read, write]
      running: null
      facts: {}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.seccomp_profile import SeccompProfile


def main() -> None:
    inform(SeccompProfile)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apparmor_profile_info
short_description: AppArmor profiles, on disk and in the kernel
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells of files in C(/etc/apparmor.d), which profiles are in them, and how those are loaded.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - a kernel with AppArmor
  - apparmor_parser (package apparmor), for files that M(strata.virt.apparmor_profile) has not loaded
options:
  name:
    description:
      - The names of the files, whoever made them; where it is not given, all that M(strata.virt.apparmor_profile) made
        or loaded.
    type: list
    elements: str
seealso:
  - module: strata.virt.apparmor_profile
"""

EXAMPLES = r"""
- name: All profiles of this collection
  strata.virt.apparmor_profile_info:
  register: profiles
"""

RETURN = r"""
resources:
  description: One entry a file. C(options) are the options of M(strata.virt.apparmor_profile) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: worker
      status: loaded
      owner: ""
      options: {name: worker, state: loaded, content: "profile worker /usr/local/bin/worker {\n}\n"}
      running: {mode: enforce, loaded_from: this file}
      facts: {noted: true, profiles: [worker]}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.apparmor_profile import ApparmorProfile


def main() -> None:
    inform(ApparmorProfile)


if __name__ == "__main__":
    main()
